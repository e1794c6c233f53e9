"""Questions about spending, answered from the daily totals: as fast at a million rows as at ten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from aegis_graph.ledger.base import Budget, BudgetStatus, CostRow, GroupBy
from aegis_graph.ledger.entries import used
from aegis_graph.ledger.windows import days_of, local_day


def budgets(
    connection: sqlite3.Connection, limits: Sequence[Budget], *, now: datetime, zone: ZoneInfo
) -> list[BudgetStatus]:
    """Every budget in its present window; ``user:*`` once for each user who spent in it."""
    return [
        _status(connection, scope, budget, now, zone)
        for budget in limits
        for scope in _scopes(connection, budget, now, zone)
    ]


def _scopes(
    connection: sqlite3.Connection, budget: Budget, now: datetime, zone: ZoneInfo
) -> Iterator[str]:
    if budget.scope != "user:*":
        yield budget.scope
        return
    days = days_of(budget.window, local_day(now, zone))
    rows = connection.execute(
        "SELECT DISTINCT scope FROM totals WHERE scope >= 'user:' AND scope < 'user;'"
        " AND day >= ? AND day < ? ORDER BY scope",
        days,
    )
    yield from (str(row[0]) for row in rows)


def _status(
    connection: sqlite3.Connection, scope: str, budget: Budget, now: datetime, zone: ZoneInfo
) -> BudgetStatus:
    spent, held = used(connection, scope, budget, now, zone)
    days = days_of(budget.window, local_day(now, zone))
    return BudgetStatus(scope, budget.window, budget.limit_nano_usd, spent, held, *days)


def costs(
    connection: sqlite3.Connection, by: GroupBy, *, first_day: str, end_day: str
) -> list[CostRow]:
    """Spend between two local days, dearest first; by day, in their order."""
    prefix = "total" if by == "day" else f"{by}:"
    # The character after ":" is ";": the range covers exactly the scopes of this kind.
    last = "total" if by == "day" else f"{by};"
    name, order = ("day", "name") if by == "day" else ("scope", "spent DESC, calls DESC, name")
    rows = connection.execute(
        f"SELECT {name} AS name, sum(calls) AS calls, sum(failures), sum(input_tokens),"
        " sum(output_tokens), sum(spent_nano_usd) AS spent, sum(held_nano_usd)"
        " FROM totals WHERE scope BETWEEN ? AND ? AND day >= ? AND day < ?"
        f" GROUP BY name ORDER BY {order}",
        (prefix, last, first_day, end_day),
    )
    return [CostRow(str(row[0]).removeprefix(prefix), *map(int, row[1:])) for row in rows]
