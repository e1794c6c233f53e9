"""How much of each limit is in use now, for people to look at."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from aegis_graph.ledger.limit_counts import day_part, days_under_way, minute_since
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.scopes import each_prefix
from aegis_graph.ledger.totals import scopes_of_limit, totals_of
from aegis_graph.ledger.windows import Calendar
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
    recent = days_under_way(calendar, calendar.day(now))
    found = []
    for limit in limits:
        if each_prefix(limit.scope) is not None:
            found.append(LimitStatus(limit.scope, limit.unit, limit.most, None))
        for scope in (yield from scopes_of_limit(limit.scope, recent)):
            used = yield from _used(limit, scope, now, calendar)
            found.append(LimitStatus(scope, limit.unit, limit.most, used))
    return found


def _used(limit: UnitLimit, scope: str, now: datetime, calendar: Calendar) -> Query[int]:
    today = calendar.day(now)
    if limit.unit == "max_concurrency":
        return (yield from totals_of(scope, days_under_way(calendar, today))).open_holds
    which = "tokens" if limit.unit.startswith("tokens") else "requests"
    minute = limit.unit.endswith("minute")
    ((counted,),) = yield Statement(
        f"SELECT coalesce(sum({which}), 0) FROM limit_counts WHERE scope = ?"
        f" AND part {'>' if minute else '='} ?",
        (scope, minute_since(now) if minute else day_part(today)),
    )
    if minute:
        return int(counted)
    # A day's total lacks what ``limit_counts`` has of the day.
    sums = yield from totals_of(scope, calendar.days_now("day", now))
    return int(counted) + (sums.tokens if which == "tokens" else sums.calls)
