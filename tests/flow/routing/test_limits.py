"""Limits of calls and tokens: full is not failed, and the order of arrival holds."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig, create_embeddings, create_ledger
from aegis_graph.errors import AllProvidersFailedError, LimitExceededError
from aegis_graph.ledger.admission_queue import AdmissionQueue
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.maintenance import verify
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.testing import Fault, LoopbackServer, RawReply, Reply
from aegis_graph.testing.loop_clock import LoopClock
from tests.contract import processes
from tests.contract.ledger_store import Store, hold
from tests.flow.support import (
    Row,
    ask,
    assert_sound,
    dust_settles,
    eventually,
    make_config,
    open_router,
    provider,
    read,
    rows,
)

PARIS = Reply("No doubt: Paris.")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROCESSES, CALLERS, SLOTS = 8, 125, 2


def local(server: LoopbackServer, **changes: Any) -> Row:
    return provider(server, "ollama", **{"max_concurrency": 1, **changes})


def cloud(server: LoopbackServer, **changes: Any) -> Row:
    return provider(server, "openai", **changes)


def queue_of(router: Any) -> AdmissionQueue:
    """Where the requests of a router wait."""
    nodes = router.builder.nodes["budget_check"].runnable.body.__self__
    queue: AdmissionQueue = nodes.services.ledger.queue
    return queue


async def queued(router: Any, number: int, text: str = "", **more: Any) -> asyncio.Task[Any]:
    """A request that waits as the last of so many."""
    task: asyncio.Task[Any] = asyncio.ensure_future(
        router.ainvoke(ask(text or "Which city?", **more))
    )
    queue = queue_of(router)
    await asyncio.to_thread(eventually, lambda: queue.waiting() >= number, goal="it waits")
    return task


async def occupied(server: LoopbackServer, router: Any) -> asyncio.Task[Any]:
    """A call that takes the slot until it is cancelled."""
    server.script("ollama", Fault.hang())
    task: asyncio.Task[Any] = asyncio.ensure_future(router.ainvoke(ask("first?")))
    await asyncio.to_thread(server.wait_for_calls, 1)
    return task


async def ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_slot_is_waited_for_in_the_order_of_arrival(
    server: LoopbackServer, db: Path
) -> None:
    router = open_router(make_config(server, db, providers=[local(server), cloud(server)]))
    first = await occupied(server, router)
    server.always("ollama", PARIS)
    waiting = [await queued(router, number, f"city {number}?") for number in range(1, 21)]
    await ended(first)
    await asyncio.gather(*waiting)
    asked = [call.body["messages"][0]["content"] for call in server.calls()]
    assert asked == ["first?", *(f"city {number}?" for number in range(1, 21))]
    assert server.peak_in_flight == 1
    assert all(row["queued_ms"] is not None for row in rows(db))
    assert_sound(db)


async def test_a_request_that_waited_in_vain_goes_to_the_next_provider(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    router = open_router(make_config(server, db, providers=[local(server), cloud(server)]))
    first = await occupied(server, router)
    server.always("openai", PARIS)
    task = await queued(router, 1)
    clock.advance(61)
    result = await task
    (skipped,) = result["skipped"]
    assert (skipped["code"], skipped["reason"]) == ("limit", "1 of 1 slots busy for 61 s")
    (row,) = [row for row in rows(db) if row["provider"] == "openai"]
    assert row["status"] == "answered"
    await ended(first)
    await dust_settles(db)
    assert_sound(db)


async def test_a_cloud_that_is_full_is_passed_over_at_once(
    server: LoopbackServer, db: Path
) -> None:
    chain = [cloud(server, requests_per_minute=1), provider(server, "ollama")]
    router = open_router(make_config(server, db, providers=chain))
    server.always("openai", PARIS)
    server.always("ollama", PARIS)
    results = [await router.ainvoke(ask()) for _ in range(3)]
    assert [one["attempts"][-1]["provider"] for one in results] == ["openai", "ollama", "ollama"]
    (skipped,) = results[1]["skipped"]
    assert skipped["code"] == "limit"
    assert skipped["reason"].startswith("1 of 1 requests in the last minute, free in ")


async def test_where_all_is_full_and_nothing_waits_an_error_says_so(
    server: LoopbackServer, db: Path
) -> None:
    chain = [cloud(server, tokens_per_minute=2000, max_output_tokens=1500)]
    router = open_router(make_config(server, db, providers=chain), clock=lambda: NOON)
    server.always("openai", Reply("Paris", input_tokens=100, output_tokens=900))
    await router.ainvoke(ask())
    with pytest.raises(LimitExceededError, match="1,000 of 2,000 tokens in the last min") as full:
        await router.ainvoke(ask())
    assert (full.value.retry_after_s, full.value.attempts) == (61, [])
    (unanswered,) = read(db, "SELECT error_type FROM unanswered")
    assert unanswered == {"error_type": "LimitExceededError"}
    assert len(server.calls()) == 1


async def test_a_request_waits_no_longer_than_its_own_time(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    router = open_router(make_config(server, db, providers=[local(server), cloud(server)]))
    first = await occupied(server, router)
    task = await queued(router, 1, timeout_s=5)
    clock.advance(6)
    with pytest.raises(LimitExceededError, match=r"1 of 1 slots busy for 6 s") as late:
        await task
    assert [row["code"] for row in late.value.skipped] == ["timeout", "limit"]
    await ended(first)
    assert len(server.calls()) == 1


async def test_the_time_in_the_queue_is_no_part_of_the_attempt(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    row = local(server, timeout_s=20, first_token_timeout_s=20, queue_s=600)
    router = open_router(make_config(server, db, providers=[row | {"timeout_s": 3600}]))
    first = await occupied(server, router)
    server.always("ollama", PARIS)
    task = await queued(router, 1)
    clock.advance(15)
    await ended(first)
    (attempt,) = (await task)["attempts"]
    row = rows(db)[-1]
    assert attempt["queued_ms"] == row["queued_ms"]
    assert row["status"] == "answered"
    assert row["queued_ms"] >= 15_000
    assert row["latency_ms"] < 15_000


async def test_cancelled_in_the_queue_leaves_nothing_behind(
    server: LoopbackServer, db: Path
) -> None:
    router = open_router(make_config(server, db, providers=[local(server)]))
    first = await occupied(server, router)
    server.always("ollama", PARIS)
    waiting = [await queued(router, number) for number in range(1, 6)]
    for task in (waiting[0], waiting[2]):
        await ended(task)
    assert queue_of(router).waiting() == 3
    await ended(first)
    await asyncio.gather(*(task for task in waiting if not task.done()))
    assert queue_of(router).waiting() == 0
    assert len(server.calls()) == 4
    assert_sound(db)


async def test_the_next_one_asks_when_another_program_frees_the_slot(
    server: LoopbackServer, db: Path
) -> None:
    config = make_config(server, db, providers=[local(server)])
    router, others = open_router(config), create_ledger(config)
    slot = UnitLimit("provider:ollama", "max_concurrency", 1)
    made = await others.admit([hold(0, provider="ollama", limits=(slot,))])
    server.always("ollama", PARIS)
    task = await queued(router, 1)
    assert made.hold_id is not None
    others.settle_soon(unused_hold(made.hold_id))
    await task
    others.close()
    assert_sound(db)


async def test_a_failed_attempt_frees_its_slot_for_the_next_request(
    server: LoopbackServer, db: Path
) -> None:
    row = local(server, max_retries=0)
    router = open_router(make_config(server, db, providers=[row]))
    server.script("ollama", Fault.status(500), PARIS)
    with pytest.raises(AllProvidersFailedError):
        await router.ainvoke(ask())
    assert (await router.ainvoke(ask()))["messages"][-1].text == PARIS.text


def test_callers_on_threads_and_loops_share_one_line(server: LoopbackServer, db: Path) -> None:
    router = open_router(make_config(server, db, providers=[local(server, max_concurrency=2)]))
    server.always("ollama", Reply("Paris", latency_s=0.002))

    def sync(number: int) -> Any:
        return router.invoke(ask(f"city {number}?"))

    def own_loop(number: int) -> Any:
        async def several() -> list[Any]:
            return await asyncio.gather(*(router.ainvoke(ask()) for _ in range(5)))

        return asyncio.run(several())

    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(body, n) for n in range(12) for body in (sync, own_loop)]
        for one in asked:
            one.result(processes.WAIT_S)
    assert len(server.calls()) == 12 * 6
    assert server.peak_in_flight <= 2
    assert_sound(db)


def saying(left: int, reset: str) -> RawReply:
    """An answer of which the headers say what is left."""
    message = {"role": "assistant", "content": "Paris"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
    said = {"x-ratelimit-remaining-requests": str(left), "x-ratelimit-reset-requests": reset}
    return RawReply(
        body=json.dumps({**body, "choices": [choice], "usage": usage}).encode(),
        headers={"Content-Type": "application/json", **said},
    )


async def test_what_a_provider_says_is_left_lowers_its_limits_until_it_is_over(
    server: LoopbackServer, db: Path
) -> None:
    now = NOON
    chain = [cloud(server, requests_per_minute=100), provider(server, "ollama")]
    router = open_router(make_config(server, db, providers=chain), clock=lambda: now)
    server.script("openai", saying(1, "30s"), PARIS)
    server.always("ollama", PARIS)
    asked = [await router.ainvoke(ask()) for _ in range(3)]
    assert [one["attempts"][-1]["provider"] for one in asked] == ["openai", "openai", "ollama"]
    (skipped,) = asked[2]["skipped"]
    says = ("limit", "the provider has 0 requests left, free in 30 s")
    assert (skipped["code"], skipped["reason"]) == says
    now += timedelta(seconds=31)
    server.script("openai", PARIS)
    assert (await router.ainvoke(ask()))["attempts"][-1]["provider"] == "openai"


async def test_without_limits_of_its_own_a_row_is_asked_whatever_its_headers_say(
    server: LoopbackServer, db: Path
) -> None:
    router = open_router(make_config(server, db, providers=[cloud(server)]))
    server.script("openai", saying(0, "30s"), saying(0, "30s"))
    for _ in range(2):
        await router.ainvoke(ask())
    assert len(server.calls()) == 2


async def test_embeddings_keep_to_the_same_limits(server: LoopbackServer, db: Path) -> None:
    row: Row = {"name": "ollama", "kind": "ollama", "model": "e", "location": "local"}
    row["price"] = "free"
    row |= {"base_url": server.ollama_url, "dimensions": 8, "batch_size": 1, "max_concurrency": 1}
    config = make_config(server, db, providers=[cloud(server)], embeddings=[row])
    embeddings = create_embeddings(config)
    await embeddings.aembed_documents([f"text {number}" for number in range(12)])
    found = rows(db)
    assert [row["status"] for row in found] == ["answered"] * 12
    assert server.peak_in_flight == 1
    assert_sound(db)


def storm(url: str, ledger: str, pipe: Connection) -> None:
    """Ask often at once, from a process of its own."""

    async def ask_all() -> int:
        row: Row = {"name": "here", "kind": "ollama", "model": "m", "location": "local"}
        row |= {"price": "free", "base_url": url, "max_concurrency": SLOTS, "queue_s": 3600}
        document = {"ledger": {"url": ledger}, "providers": [row], "budgets": []}
        router = open_router(RouterConfig.model_validate(document))
        pipe.send("ready")
        pipe.recv()
        results = await asyncio.gather(*(router.ainvoke(ask()) for _ in range(CALLERS)))
        return len(results)

    pipe.send(asyncio.run(ask_all()))


def test_never_more_calls_in_flight_than_slots_of_eight_processes(
    server: LoopbackServer, store: Store
) -> None:
    server.always("ollama", Reply("Paris", latency_s=0.001))
    started = [processes.start(storm, server.ollama_url, store.url) for _ in range(PROCESSES)]
    for _, pipe in started:
        assert processes.heard(pipe) == "ready"
    for _, pipe in started:
        pipe.send("go")
    for process, pipe in started:
        assert pipe.poll(600)
        assert pipe.recv() == CALLERS
        assert processes.ended(process) == 0
    assert len(server.calls()) == PROCESSES * CALLERS
    assert server.peak_in_flight == SLOTS
    assert asyncio.run(verify(store.open())) == []
