"""Care of the ledger: drop old rows, recompute the totals, settle what a killed process left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Literal, NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.rows import timestamp
from aegis_graph.ledger.scopes import SCOPE_COLUMNS
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.ledger.store import Connection, Store
from aegis_graph.ledger.totals import COUNTED, TOTAL_COLUMNS
from aegis_graph.types import SettlementRecord

T = TypeVar("T")

PRUNED_BEFORE = "pruned_before"
"""The fact that names the first day of which all rows are there."""

BATCH = 2000
"""Rows that one transaction looks at; bounds how long admissions wait for it."""

UNSETTLED = "('reserved', 'expired')"
"""What the row of an attempt that never reported is."""

RECONCILED = "Reconciled"
"""The error type of a row that was settled by hand."""


@dataclass(frozen=True, slots=True)
class UnsettledHold:
    """The row of an attempt that never reported its cost."""

    id: int
    status: Literal["reserved", "expired"]
    """``expired`` counts as spent in full, ``reserved`` is still held."""
    age: timedelta
    overdue: bool
    """Whether its lease is over; before that, the attempt may still be running."""
    nano_usd: int
    provider: str
    model: str
    route_id: str


class Difference(NamedTuple):
    """A total that is not the sum of its rows."""

    scope: str
    day: str
    column: str
    total: int
    rows: int
    """What the rows add up to."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, and what had to stay."""

    rows: int
    unanswered: int
    open_holds: int
    """Rows of attempts that never reported; they stay until they are settled."""


class Database(Protocol):
    """What the care of a ledger needs of it."""

    store: Store

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run work in a transaction that no other writer overlaps."""

    async def read(self, query: Query[T]) -> T:
        """Run a query that delays no writer."""


async def prune(ledger: Database, before: date, *, zone: ZoneInfo) -> Pruned:
    """Delete the settled rows of the local days before this one; every total stays exact.

    In many short transactions, so that requests go on meanwhile.

    Args:
        ledger: Where they are.
        before: The first day of which all rows stay; not in the future.
        zone: The time zone by whose midnight that day began.
    """
    day = before.isoformat()
    last, waiting = await ledger.read(_rows_before(day))
    await ledger.transact(partial(_note_pruned, day=day))
    rows = unanswered = 0
    # By ranges of ids, so that each transaction looks at few rows, and their tags go with them.
    for first in range(0, last, BATCH):
        rows += await ledger.transact(partial(_prune, after=first, last=first + BATCH, day=day))
    # ``unanswered`` has no local day, only instants in UTC.
    midnight = datetime.combine(before, time(), zone).astimezone(UTC)
    while gone := await ledger.transact(partial(_prune_unanswered, moment=timestamp(midnight))):
        unanswered += gone
    return Pruned(rows, unanswered, waiting)


def _rows_before(day: str) -> Query[tuple[int, int]]:
    """The last row of the days before this one, and how many of them have no outcome yet."""
    ((last, waiting),) = yield Statement(
        f"SELECT max(id), sum(CASE WHEN status IN {UNSETTLED} THEN 1 ELSE 0 END)"
        " FROM requests WHERE day < ?",
        (day,),
    )
    return int(last or 0), int(waiting or 0)


def _note_pruned(connection: Connection, day: str) -> None:
    """Remember, before the first row goes, from which day on rows and totals can be compared."""
    connection.execute(
        "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE"
        " SET value = CASE WHEN excluded.value > facts.value THEN excluded.value"
        " ELSE facts.value END",
        (PRUNED_BEFORE, day),
    )


def _prune(connection: Connection, after: int, last: int, day: str) -> int:
    gone = connection.execute(
        f"DELETE FROM requests WHERE id > ? AND id <= ? AND day < ? AND status NOT IN {UNSETTLED}"
        " RETURNING provider, status, error_type",
        (after, last, day),
    ).fetchall()
    reasons = Counter(
        (provider, error_type or status)
        for provider, status, error_type in gone
        if status != "answered"
    )
    if reasons:
        connection.executemany(_KEEP_REASON, [(*key, number) for key, number in reasons.items()])
    connection.execute(
        "DELETE FROM request_tags WHERE request_id > ? AND request_id <= ?"
        " AND request_id NOT IN (SELECT id FROM requests WHERE id > ? AND id <= ?)",
        (after, last, after, last),
    )
    return len(gone)


_KEEP_REASON = (
    "INSERT INTO pruned_failures (provider, reason, failures) VALUES (?, ?, ?)"
    " ON CONFLICT (provider, reason)"
    " DO UPDATE SET failures = pruned_failures.failures + excluded.failures"
)


def _prune_unanswered(connection: Connection, moment: str) -> int:
    gone = connection.execute(
        "DELETE FROM unanswered WHERE route_id IN"
        " (SELECT route_id FROM unanswered WHERE timestamp < ? LIMIT ?) RETURNING route_id",
        (moment, BATCH),
    )
    return len(gone.fetchall())


_SCOPES = {"'total'": "", **{f"'{kind}:' || {name}": name for kind, name in SCOPE_COLUMNS.items()}}
"""Each scope in SQL, and the column that must have a value for a row to count in it."""

_TOTALS = ", ".join(f"{name} AS in_totals_{name}, 0 AS in_rows_{name}" for name in TOTAL_COLUMNS)

_IN_ROWS = ", ".join(f"0, {name}" for name in TOTAL_COLUMNS)

_ROWS = " ".join(
    f"UNION ALL SELECT {scope}, day, {_IN_ROWS} FROM named"
    f"{f' WHERE {column} IS NOT NULL' if column else ''}"
    for scope, column in _SCOPES.items()
)

_SUMS = ", ".join(f"{sql} AS {name}" for name, sql in COUNTED.items())

_COMPARE = f"""
    WITH since AS (SELECT coalesce(max(value), '') AS day FROM facts WHERE name = ?),
    named AS (
        SELECT day, {", ".join(SCOPE_COLUMNS.values())}, {_SUMS}
        FROM requests WHERE day >= (SELECT day FROM since)
        GROUP BY day, {", ".join(SCOPE_COLUMNS.values())}
    ),
    tagged AS (
        SELECT 'tag:' || key || '=' || value AS scope, day, {_SUMS}
        FROM requests JOIN request_tags ON request_id = id
        WHERE day >= (SELECT day FROM since) GROUP BY key, value, day
    ),
    both_sides AS (
        SELECT scope, day, {_TOTALS} FROM totals WHERE day >= (SELECT day FROM since) {_ROWS}
        UNION ALL SELECT scope, day, {_IN_ROWS} FROM tagged
    )
    SELECT scope, day,
        {", ".join(f"sum(in_totals_{name}), sum(in_rows_{name})" for name in TOTAL_COLUMNS)}
    FROM both_sides GROUP BY scope, day
    HAVING {" OR ".join(f"sum(in_totals_{name}) <> sum(in_rows_{name})" for name in TOTAL_COLUMNS)}
    ORDER BY day, scope
"""


async def verify(ledger: Database) -> list[Difference]:
    """Recompute the totals of all days that were not pruned, and say what differs.

    Raises:
        LedgerError: The database is damaged; rows and totals may be lost on both sides.
    """
    if damaged := await ledger.read(ledger.store.damage()):
        raise damaged
    return await ledger.read(differences())


def differences() -> Query[list[Difference]]:
    """What the totals say that the rows do not; one statement, so of one instant."""
    found = []
    for scope, day, *sums in (yield Statement(_COMPARE, (PRUNED_BEFORE,))):
        pairs = zip(TOTAL_COLUMNS, sums[::2], sums[1::2], strict=True)
        found += [
            Difference(scope, day, column, int(total), int(rows))
            for column, total, rows in pairs
            if total != rows
        ]
    return found


def open_holds(now: datetime) -> Query[list[UnsettledHold]]:
    """The rows of attempts that never reported, oldest first."""
    rows = yield Statement(
        "SELECT id, status, timestamp, expires_at, hold_nano_usd, provider, model, route_id"
        f" FROM requests WHERE status IN {UNSETTLED} ORDER BY id"
    )
    # Instants are compared as text, in the one form in which all are written.
    present = timestamp(now)
    return [
        UnsettledHold(number, status, _age(now, made), expires_at < present, *rest)
        for number, status, made, expires_at, *rest in rows
    ]


def _age(now: datetime, made: str) -> timedelta:
    return now - datetime.fromisoformat(made)


def reconciled(connection: Connection, hold_id: int, cost_nano_usd: int) -> SettlementRecord:
    """The settlement that gives a lost attempt its real cost.

    Raises:
        LedgerError: The row is not there, or is settled already.
    """
    row = connection.execute(
        "SELECT status, hold_nano_usd FROM requests WHERE id = ?", (hold_id,)
    ).fetchone()
    if row is None:
        raise LedgerError(f"the ledger has no row {hold_id}")
    if row[0] not in {"reserved", "expired"}:
        raise LedgerError(f"row {hold_id} is settled already: its attempt was {row[0]}")
    return {
        **unused_hold(hold_id),
        "status": "failed",
        "error_type": RECONCILED,
        "cost_nano_usd": cost_nano_usd,
        "cost_basis": "reported",
        "overrun": max(0, cost_nano_usd - row[1]),
    }
