"""Reserve and settle by hand: the ledger's tables, and the fewest statements that are right."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiosqlite

from aegis_graph.ledger.scopes import scopes_of

HOLD, COST = 1000, 600
"""What each attempt reserves and then costs, in nano-USD."""

LOCK_WAIT_S = 300.0
"""Generous: how long another program's lock is waited for, in seconds."""

Step = tuple[str, Sequence[Any]]
_numbers = itertools.count(1)


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


class ByHand:
    """Reserve and settle in two bare transactions of the driver, in the calling thread.

    Args:
        url: The ledger's address; its tables are there.
    """

    def __init__(self, url: str) -> None:
        self.connection: Any
        if url.startswith("sqlite:"):
            path = url.removeprefix("sqlite:///")
            self.connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)
            self.connection.execute("PRAGMA synchronous = FULL")
            self._begin, self._mark = "BEGIN IMMEDIATE", "?"
        else:
            import psycopg  # noqa: PLC0415

            from aegis_graph.ledger.postgres import WRITER_LOCK  # noqa: PLC0415

            options = "-c search_path=aegis_graph -c synchronous_commit=on"
            self.connection = psycopg.connect(url, autocommit=True, options=options)
            self._begin = f"BEGIN; SELECT pg_advisory_xact_lock({WRITER_LOCK})"
            self._mark = "%s"

    def reserve(self) -> int:
        """Reserve once, and say in which row."""
        return int(self._transact(_reserve(datetime.now(UTC)))[0])

    def settle(self, hold_id: int) -> None:
        """Settle a row."""
        self._transact(_settle(datetime.now(UTC), hold_id))

    def pair(self) -> None:
        """Reserve, then settle."""
        self.settle(self.reserve())

    def _transact(self, steps: list[Step]) -> Any:
        self.connection.execute(self._begin)
        for sql, parameters in steps:
            rows = self.connection.execute(sql.replace("?", self._mark), parameters)
        found = rows.fetchone() if "RETURNING" in sql else None
        self.connection.execute("COMMIT")
        return found


@contextmanager
def by_hand(url: str) -> Iterator[Callable[[], None]]:
    """Reserve and settle in the calling thread; the connection is closed at the end."""
    hand = ByHand(url)
    with closing(hand.connection):
        yield hand.pair
