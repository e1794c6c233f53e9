"""A budget that admits ten of two hundred concurrent calls admits exactly ten, at every moment."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig
from aegis_graph.errors import BudgetExceededError
from aegis_graph.testing import LoopbackServer, Reply
from tests.contract import processes
from tests.flow.support import (
    Row,
    ask,
    assert_one_row_per_call,
    assert_sound,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    read,
    spent,
)

DOLLAR = 1_000_000_000
LIMIT = 10 * DOLLAR
REQUESTS = 200
ANSWER = Reply("Paris", input_tokens=10, output_tokens=1, latency_s=0.02)


class Watcher:
    """Reads spent and held money all along, on a connection of its own."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._over = threading.Event()
        self._started = threading.Event()
        self.samples: list[int] = []

    def watch(self) -> None:
        """Sample until told to stop. The file may not be there yet."""
        while not self._over.is_set():
            try:
                with closing(sqlite3.connect(f"file:{self._db}?mode=ro", uri=True)) as connection:
                    while not self._over.is_set():
                        self._sample(connection)
            except sqlite3.OperationalError:
                self._over.wait(0.001)

    def stop(self) -> None:
        """End the sampling."""
        self._over.set()

    def _sample(self, connection: sqlite3.Connection) -> None:
        used = connection.execute(
            "SELECT max(used) FROM (SELECT scope, sum(spent_nano_usd + held_nano_usd) AS used"
            " FROM totals WHERE scope IN ('total', 'provider:openai') GROUP BY scope)"
        ).fetchone()[0]
        self.samples.append(used or 0)
        self._over.wait(0.0005)


@contextmanager
def watched(db: Path) -> Iterator[None]:
    """Nobody sees more than the limit spent and held while the block runs."""
    watcher = Watcher(db)
    thread = threading.Thread(target=watcher.watch)
    thread.start()
    try:
        yield
    finally:
        watcher.stop()
        thread.join()
    assert len(watcher.samples) > 10
    assert max(watcher.samples) <= LIMIT
    assert any(used > 0 for used in watcher.samples)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: bound, so that nobody takes it, and not listening."""
    with closing(socket.socket()) as owner:
        owner.bind(("127.0.0.1", 0))
        yield owner.getsockname()[1]


def paid_only(server: LoopbackServer, port: int) -> list[Row]:
    return [provider(server, "openai", **flat_price("1"))]


def paid_then_free(server: LoopbackServer, port: int) -> list[Row]:
    return [*paid_only(server, port), provider(server, "ollama")]


def down_then_paid(server: LoopbackServer, port: int) -> list[Row]:
    down = provider(server, "ollama", base_url=f"http://127.0.0.1:{port}")
    return [down, *paid_only(server, port)]


Chain = Callable[[LoopbackServer, int], list[Row]]
each_chain = pytest.mark.parametrize("chain", [paid_only, paid_then_free, down_then_paid])


async def storm(router: Any, requests: int) -> Counter[str]:
    """Ask so often at once, and count who answered."""
    counts: Counter[str] = Counter()
    for result in await asyncio.gather(
        *(router.ainvoke(ask()) for _ in range(requests)), return_exceptions=True
    ):
        if isinstance(result, BudgetExceededError):
            counts["refused"] += 1
        elif isinstance(result, BaseException):
            raise result
        else:
            counts[result["attempts"][-1]["provider"]] += 1
    return counts


def check(server: LoopbackServer, db: Path, chain: Chain, counts: Counter[str]) -> None:
    free = "ollama" if chain is paid_then_free else "refused"
    assert counts == {"openai": 10, free: REQUESTS - 10}
    assert len(server.calls("openai")) == 10
    assert len(server.calls()) == (REQUESTS if chain is paid_then_free else 10)
    assert spent(db) == spent(db, "provider:openai") == LIMIT
    assert_sound(db)
    unanswered = read(db, "SELECT error_type FROM unanswered")
    assert unanswered == [{"error_type": "BudgetExceededError"}] * counts["refused"]
    if chain is not down_then_paid:
        assert_one_row_per_call(db, server.calls())
    assert len([row for row in made(db) if row["provider"] == "openai"]) == 10


def configure(server: LoopbackServer, db: Path, chain: Chain, port: int) -> RouterConfig:
    server.always("openai", ANSWER)
    server.always("ollama", ANSWER)
    rows = chain(server, port)
    budgets = {"total": "10", "provider:openai": "10"}
    # Patient: many writers share a disk and two processors with other tests.
    patient = {"busy_timeout_s": 60}
    return make_config(server, db, providers=rows, budgets=budgets, ledger=patient)


@each_chain
def test_one_router_admits_exactly_ten(
    server: LoopbackServer, db: Path, closed_port: int, chain: Chain
) -> None:
    router = open_router(configure(server, db, chain, closed_port))

    with watched(db):
        counts = asyncio.run(storm(router, REQUESTS))

    check(server, db, chain, counts)


@each_chain
def test_two_routers_on_two_event_loops_admit_exactly_ten(
    server: LoopbackServer, db: Path, closed_port: int, chain: Chain
) -> None:
    config = configure(server, db, chain, closed_port)
    routers = [open_router(config) for _ in range(2)]

    with watched(db), ThreadPoolExecutor(2) as threads:
        halves = list(
            threads.map(lambda router: asyncio.run(storm(router, REQUESTS // 2)), routers)
        )

    check(server, db, chain, sum(halves, Counter()))


def work(config: str, requests: int, pipe: Connection) -> None:
    """In a process of its own: open a router, say so, and ask when the test says so."""
    router = open_router(RouterConfig.model_validate_json(config))
    pipe.send("ready")
    pipe.recv()
    pipe.send(asyncio.run(storm(router, requests)))


@each_chain
def test_four_processes_admit_exactly_ten(
    server: LoopbackServer, db: Path, closed_port: int, chain: Chain
) -> None:
    # Nobody has made the file yet: the four also race for that.
    config = configure(server, db, chain, closed_port)
    with watched(db):
        workers = [processes.start(work, config.model_dump_json(), REQUESTS // 4) for _ in range(4)]
        for _, pipe in workers:
            assert processes.heard(pipe) == "ready"
        for _, pipe in workers:
            pipe.send("go")
        answers = [processes.heard(pipe) for _, pipe in workers]
        statuses = [processes.ended(process) for process, _ in workers]

    assert statuses == [0, 0, 0, 0]
    counts = sum(answers, Counter[str]())
    check(server, db, chain, counts)


def test_calls_that_cost_less_than_their_hold_never_take_spent_and_held_above_the_limit(
    server: LoopbackServer, db: Path
) -> None:
    # Each holds a dollar and costs a dime: more than ten can be bought, one after the other.
    server.always("openai", ANSWER)
    row = provider(server, "openai", **flat_price("1", tokens=10))
    config = make_config(server, db, providers=[row], budgets={"total": "10"})
    router = open_router(config)

    with watched(db):
        counts = asyncio.run(storm(router, REQUESTS))
        last = asyncio.run(storm(router, 1))

    assert counts["openai"] >= 10
    assert server.peak_in_flight <= 10
    assert spent(db) == (counts["openai"] + last["openai"]) * DOLLAR // 10 <= LIMIT
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)
