"""A caller that goes away at any moment leaves no open hold and no call without its row."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import create_ledger
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    KINDS,
    Row,
    ask,
    assert_one_row_per_call,
    assert_rows_of_cancelled_calls,
    assert_sound,
    dust_settles,
    eventually,
    locked,
    made,
    make_config,
    open_router,
    provider,
    rows,
    settled,
)

NEVER_S = 3600.0
"""The time limit of the calls: none of them ends by it."""
PROMPT_S = 60.0
"""Far less than that, and enough for a busy machine."""
PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "10"}
PARIS = Reply("The capital is Paris", input_tokens=50, output_tokens=6)
SLOW = Reply("The capital is Paris", chunk_interval_s=NEVER_S)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_mode = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def priced(server: LoopbackServer, *kinds: str) -> list[Row]:
    return [provider(server, kind, price=PRICE, timeout_s=NEVER_S) for kind in kinds]


async def run(router: Any, *, stream: bool = False, thread_id: str = "0") -> None:
    """One request of a caller who may be cancelled."""
    mode = ["messages", "custom"] if stream else "values"
    config = {"configurable": {"thread_id": thread_id}}
    async for _ in router.astream(ask(f"city {thread_id}?"), config, stream_mode=mode):
        pass


async def turns(count: int) -> None:
    """Let the event loop go round so often."""
    for _ in range(count):
        await asyncio.sleep(0)


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel, and see that the caller gets away at once and with the right exception."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PROMPT_S)


@pytest.fixture
def lock(db: Path) -> Iterator[sqlite3.Connection]:
    """A connection of another program, for any thread to lock the database with."""
    with closing(
        sqlite3.connect(db, timeout=30, isolation_level=None, check_same_thread=False)
    ) as connection:
        yield connection


async def test_cancelled_while_it_waits_for_admission(server: LoopbackServer, db: Path) -> None:
    config = make_config(server, db, providers=priced(server, "openai"))
    await create_ledger(config).check()
    router = open_router(config)

    with locked(db):
        task = asyncio.create_task(run(router))
        await turns(200)
        await cancel(task)
        assert rows(db) == []

    await dust_settles(db)
    # The admission was on its way: it may have been made and given back, for nothing.
    await create_ledger(config).check()
    await asyncio.to_thread(eventually, lambda: len(rows(db)) == 1, goal="the hold was made")
    await dust_settles(db)
    assert made(db) == []
    assert server.calls() == ()
    assert_sound(db)


@each_kind
@each_mode
async def test_cancelled_while_the_provider_hangs(
    server: LoopbackServer, db: Path, kind: Any, stream: bool
) -> None:
    server.always(kind, Fault.hang())
    router = open_router(make_config(server, db, providers=priced(server, kind)))

    task = asyncio.create_task(run(router, stream=stream))
    await asyncio.to_thread(server.wait_for_calls, 1)
    await cancel(task)

    await dust_settles(db)
    (row,) = rows(db)
    assert (row["status"], row["cost_basis"]) == ("cancelled", "held")
    assert row["cost_nano_usd"] == row["hold_nano_usd"] > 0
    await asyncio.to_thread(server.wait_until_idle)
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


@each_kind
async def test_cancelled_by_a_time_limit_of_the_caller_in_the_middle_of_a_stream(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.always(kind, SLOW)
    router = open_router(make_config(server, db, providers=priced(server, kind)))
    spoke = asyncio.Event()

    async def listen() -> None:
        async for part, _ in router.astream(ask(), stream_mode="messages"):
            if part.text:
                spoke.set()

    async def listen_until_it_speaks() -> None:
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
            group.create_task(listen())
            await spoke.wait()
            limit.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        await listen_until_it_speaks()

    await dust_settles(db)
    (row,) = rows(db)
    assert (row["status"], row["cost_basis"]) == ("cancelled", "estimated")
    assert 0 < row["cost_nano_usd"] < row["hold_nano_usd"]
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


@pytest.mark.parametrize(
    ("after", "row"),
    [("budget_check", ("cancelled", "none")), ("attempt_openai", ("answered", "reported"))],
)
@pytest.mark.parametrize("ends", [True, False], ids=["loop-ends", "loop-lives"])
def test_a_run_that_ends_between_two_nodes_is_settled_by_whoever_keeps_its_hold(
    server: LoopbackServer, db: Path, after: str, row: Any, ends: bool
) -> None:
    server.always("openai", PARIS)
    router = open_router(make_config(server, db, providers=priced(server, "openai")))

    async def leave_between_two_nodes() -> None:
        stream = router.astream(ask(), stream_mode="updates")
        async for update in stream:
            if after in update:
                break
        await stream.aclose()
        assert not settled(db)
        if not ends:
            await dust_settles(db)

    asyncio.run(leave_between_two_nodes())

    eventually(lambda: settled(db), goal="every hold settled")
    assert [(kept["status"], kept["cost_basis"]) for kept in rows(db)] == [row]
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


async def test_cancelled_while_the_answer_is_being_recorded(
    server: LoopbackServer, db: Path, lock: sqlite3.Connection
) -> None:
    def another_program_locks_the_ledger() -> float:
        lock.execute("BEGIN IMMEDIATE")
        return 0.0

    server.script(
        "openai", Reply("Paris", output_tokens=3, latency_s=another_program_locks_the_ledger)
    )
    router = open_router(make_config(server, db, providers=priced(server, "openai")))
    answered = asyncio.Event()

    async def listen() -> None:
        async for update in router.astream(ask(), stream_mode="updates"):
            if "attempt_openai" in update:
                answered.set()

    task = asyncio.create_task(listen())
    await answered.wait()
    await turns(200)
    await cancel(task)
    lock.execute("ROLLBACK")

    await dust_settles(db)
    (row,) = rows(db)
    assert (row["status"], row["cost_basis"], row["output_tokens"]) == ("answered", "reported", 3)
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


async def test_cancelled_while_it_waits_for_its_retry(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Fault.status(429, retry_after_s=4))
    router = open_router(make_config(server, db, providers=priced(server, "openai")))

    task = asyncio.create_task(run(router))
    await asyncio.to_thread(server.wait_for_calls, 1)
    # Nobody's money is held while it waits.
    await dust_settles(db)
    await cancel(task)

    assert [(row["status"], row["cost_basis"]) for row in rows(db)] == [("failed", "none")]
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


@each_kind
@pytest.mark.parametrize("how", ["aclose", "break"])
async def test_a_stream_that_is_left_after_its_first_token_is_estimated(
    server: LoopbackServer, db: Path, kind: Any, how: str
) -> None:
    server.always(kind, SLOW)
    router = open_router(make_config(server, db, providers=priced(server, kind)))

    async def leave() -> None:
        stream = router.astream(ask(), stream_mode="messages")
        async for part, _ in stream:
            if part.text:
                break
        if how == "aclose":
            await stream.aclose()

    await asyncio.wait_for(leave(), PROMPT_S)

    await dust_settles(db)
    (row,) = rows(db)
    assert (row["status"], row["cost_basis"]) == ("cancelled", "estimated")
    assert 0 < row["cost_nano_usd"] < row["hold_nano_usd"]
    assert row["output_tokens"] == len("The ")
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


async def count_turns(router: Any, *, stream: bool) -> int:
    """How often the loop goes round during one request, when nothing else runs."""
    task = asyncio.create_task(run(router, stream=stream))
    count = 0
    while not task.done():
        await asyncio.sleep(0)
        count += 1
    await task
    return count


@each_mode
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("ends", [True, False], ids=["loop-ends", "loop-lives"])
def test_cancelled_at_any_of_fifty_random_moments(
    server: LoopbackServer, db: Path, first: Any, stream: bool, ends: bool
) -> None:
    second = KINDS[(KINDS.index(first) + 1) % 3]
    server.always(first, Fault.cut(PARIS, after_chunks=2))
    server.always(second, PARIS)
    # No cooldown: each run begins at the provider that fails.
    config = make_config(
        server, db, providers=priced(server, first, second), health={"failures": 1000}
    )
    ledger = create_ledger(config)
    router = open_router(config, ledger=ledger)
    chance = random.Random(f"{first} {stream} {ends}")

    async def interrupted_runs() -> None:
        await run(router, stream=stream)
        most = await count_turns(router, stream=stream)
        for number in range(1, 51):
            known = len(server.calls())
            task = asyncio.create_task(run(router, stream=stream, thread_id=str(number)))
            # Every other one is cancelled some time after its first call has arrived.
            if number % 2:
                await asyncio.to_thread(server.wait_for_calls, known + 1)
            await turns(chance.randrange(most))
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        # Admissions that nobody waits for any more are made, and given back after that.
        await ledger.check()
        if not ends:
            await dust_settles(db)

    asyncio.run(interrupted_runs())

    eventually(lambda: settled(db), goal="every hold settled")
    assert_rows_of_cancelled_calls(db, server.calls())
    assert_sound(db)
