"""The running totals as one transaction sees them: read once, added to in memory, written once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import add
from typing import NamedTuple, TypeVar

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.scopes import after_prefix, each_prefix
from aegis_graph.ledger.store import LIST_LIMIT, Connection, padded_count
from aegis_graph.ledger.windows import Days

COUNTED: Mapping[str, str] = {
    "spent_nano_usd": "sum(cost_nano_usd)",
    "held_nano_usd": "sum(CASE status WHEN 'reserved' THEN hold_nano_usd ELSE 0 END)",
    "calls": "count(*)",
    "failures": "sum(CASE WHEN status IN ('failed', 'cancelled', 'expired') THEN 1 ELSE 0 END)",
    "input_tokens": "sum(coalesce(input_tokens, 0))",
    "output_tokens": "sum(coalesce(output_tokens, 0))",
    "open_holds": "sum(CASE status WHEN 'reserved' THEN 1 ELSE 0 END)",
    "cached_input_tokens": "sum(coalesce(cached_input_tokens, 0))",
    "cache_write_tokens": "sum(coalesce(cache_write_tokens, 0))",
}
"""The columns of ``totals`` that rows are counted into, and what each is in SQL of the rows."""

TOTAL_COLUMNS = tuple(COUNTED)


class Sums(NamedTuple):
    """Those columns, added up over some days."""

    spent_nano_usd: int = 0
    held_nano_usd: int = 0
    calls: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    open_holds: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Of both directions."""
        return self.input_tokens + self.output_tokens


_Place = TypeVar("_Place")
_Key = tuple[str, Days]

_ADD = (
    f"INSERT INTO totals (scope, day, {', '.join(TOTAL_COLUMNS)})"
    f" VALUES (?, ?{', ?' * len(TOTAL_COLUMNS)})"
    " ON CONFLICT (scope, day) DO UPDATE SET"
    f" {', '.join(f'{name} = totals.{name} + excluded.{name}' for name in TOTAL_COLUMNS)}"
)

_SUMS = ", ".join(f"sum({name})" for name in TOTAL_COLUMNS)

_CHANGE = (
    f"UPDATE totals SET {', '.join(f'{name} = {name} + ?' for name in TOTAL_COLUMNS)}"
    " WHERE scope = ? AND day = ?"
)


def totals_of(scope: str, days: Days) -> Query[Sums]:
    """What is counted of a scope on some days."""
    (sums,) = yield Statement(
        f"SELECT {_SUMS} FROM totals WHERE scope = ? AND day >= ? AND day < ?", (scope, *days)
    )
    # Without a row each sum is none.
    return Sums(*(int(value or 0) for value in sums))


def scopes_of_limit(name: str, days: Days) -> Query[list[str]]:
    """The scopes that a limit of this name is about.

    For ``user:*`` and ``tag:KEY=*`` those of each user or value that has totals on some days.
    """
    prefix = each_prefix(name)
    if prefix is None:
        return [name]
    rows = yield Statement(
        "SELECT DISTINCT scope FROM totals WHERE scope >= ? AND scope < ?"
        " AND day >= ? AND day < ? ORDER BY scope",
        (prefix, after_prefix(prefix), *days),
    )
    return [str(row[0]) for row in rows]


class Totals:
    """Sums over scopes and windows, kept while operations of one transaction change them.

    Args:
        connection: In the transaction, which no other writer's overlaps.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._windows: dict[str, dict[Days, list[int]]] = {}
        """The sums of each scope and window that was asked for."""
        self._changes: dict[tuple[str, tuple[str, ...]], Sequence[int]] = {}
        """What is to be added, by day and scopes: many attempts have the same."""

    def read(self, asked: Iterable[_Key]) -> None:
        """Look up the windows that are not known yet, in one statement."""
        new = [key for key in dict.fromkeys(asked) if key[1] not in self._windows.get(key[0], ())]
        for at in range(0, len(new), LIST_LIMIT):
            self._read(new[at : at + LIST_LIMIT])

    def _read(self, new: Sequence[_Key]) -> None:
        number = padded_count(len(new))
        values: list[str] = [text for scope, days in new for text in (scope, *days)]
        # Windows without a day, which join nothing.
        values += ["", "", ""] * (number - len(new))
        rows = self._connection.execute(
            "WITH asked (scope, since, until) AS (VALUES "
            f"{', '.join(['(?, ?, ?)'] * number)})"
            f" SELECT asked.scope, since, until, {_SUMS}"
            " FROM asked JOIN totals ON totals.scope = asked.scope AND day >= since AND day < until"
            " GROUP BY asked.scope, since, until",
            values,
        ).fetchall()
        # PostgreSQL gives sums of BIGINT as NUMERIC, which is a Decimal here.
        found = {(row[0], Days(*row[1:3])): [*map(int, row[3:])] for row in rows}
        for scope, days in new:
            self._windows.setdefault(scope, {})[days] = found.get((scope, days)) or [0] * len(
                TOTAL_COLUMNS
            )
            self._add_unwritten(scope, days)

    def used(self, scope: str, days: Days) -> tuple[int, int]:
        """Spent and held nano-USD of a scope in a window."""
        self.read([(scope, days)])
        spent, held, *_ = self._windows[scope][days]
        return spent, held

    def sums(self, scope: str, days: Days) -> Sums:
        """All that is counted of a scope in a window."""
        self.read([(scope, days)])
        return Sums(*self._windows[scope][days])

    def add(self, day: str, scopes: tuple[str, ...], changes: Sequence[int]) -> None:
        """Add to a day's totals of some scopes, in the order of ``TOTAL_COLUMNS``."""
        _add(self._changes, (day, scopes), changes)
        for scope in scopes:
            for days, sums in self._windows.get(scope, {}).items():
                if days.first <= day < days.end:
                    sums[:] = map(add, sums, changes)

    def write(self) -> None:
        """Bring the table up to date."""
        by_scope: dict[tuple[str, str], Sequence[int]] = {}
        for (day, scopes), changes in self._changes.items():
            for scope in scopes:
                _add(by_scope, (scope, day), changes)
        # What is held goes down only where it was counted before, so that the row is there; and a
        # new row may not hold less than nothing.
        added = [(*key, *changes) for key, changes in by_scope.items() if changes[1] >= 0]
        changed = [(*changes, *key) for key, changes in by_scope.items() if changes[1] < 0]
        if added:
            self._connection.executemany(_ADD, added)
        if changed:
            self._connection.executemany(_CHANGE, changed)
        self._changes.clear()

    def _add_unwritten(self, scope: str, days: Days) -> None:
        """What was read does not have yet what is still to be written."""
        sums = self._windows[scope][days]
        for (day, scopes), changes in self._changes.items():
            if scope in scopes and days.first <= day < days.end:
                sums[:] = map(add, sums, changes)


def _add(sums: dict[_Place, Sequence[int]], place: _Place, changes: Sequence[int]) -> None:
    known = sums.get(place)
    sums[place] = changes if known is None else [a + b for a, b in zip(known, changes, strict=True)]
