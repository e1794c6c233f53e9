"""How much of each limit is in use now, for people to look at."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from aegis_graph.ledger.limit_counts import day_part, minute_since
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.scopes import after_prefix, each_prefix
from aegis_graph.ledger.windows import Calendar, Days
from aegis_graph.types import LimitUnit


class LimitStatus(NamedTuple):
    """A limit now.

    Below ``user:*`` and ``tag:KEY=*`` stands one for each user or value of today and yesterday.
    """

    scope: str
    unit: LimitUnit
    most: int
    used: int | None
    """``None`` for a rule about each user or value, of which each has its own."""


def limit_statuses(
    limits: Iterable[UnitLimit], now: datetime, calendar: Calendar
) -> Query[list[LimitStatus]]:
    """Every limit with what is in use of it."""
    today = calendar.day(now)
    recent = Days((today - timedelta(days=1)).isoformat(), calendar.days("day", today).end)
    found = []
    for limit in limits:
        if each_prefix(limit.scope) is not None:
            found.append(LimitStatus(limit.scope, limit.unit, limit.most, None))
        for scope in (yield from _scopes(limit, recent)):
            used = yield from _used(limit, scope, now, calendar, recent)
            found.append(LimitStatus(scope, limit.unit, limit.most, used))
    return found


def _scopes(limit: UnitLimit, days: Days) -> Query[list[str]]:
    prefix = each_prefix(limit.scope)
    if prefix is None:
        return [limit.scope]
    rows = yield Statement(
        "SELECT DISTINCT scope FROM totals WHERE scope >= ? AND scope < ?"
        " AND day >= ? AND day < ? ORDER BY scope",
        (prefix, after_prefix(prefix), *days),
    )
    return [str(row[0]) for row in rows]


def _used(
    limit: UnitLimit, scope: str, now: datetime, calendar: Calendar, recent: Days
) -> Query[int]:
    which = "tokens" if limit.unit.startswith("tokens") else "requests"
    if limit.unit == "max_concurrency":
        return (yield from _sum("sum(open_holds)", scope, recent))
    today = calendar.day(now)
    minute = limit.unit.endswith("minute")
    ((counted,),) = yield Statement(
        f"SELECT coalesce(sum({which}), 0) FROM limit_counts WHERE scope = ?"
        f" AND part {'>' if minute else '='} ?",
        (scope, minute_since(now) if minute else day_part(today)),
    )
    if minute:
        return int(counted)
    # A day's total lacks what ``limit_counts`` has of the day.
    column = "sum(input_tokens + output_tokens)" if which == "tokens" else "sum(calls)"
    return int(counted) + (yield from _sum(column, scope, calendar.days("day", today)))


def _sum(column: str, scope: str, days: Days) -> Query[int]:
    ((used,),) = yield Statement(
        f"SELECT coalesce({column}, 0) FROM totals WHERE scope = ? AND day >= ? AND day < ?",
        (scope, *days),
    )
    return int(used)
