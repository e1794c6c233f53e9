"""What the first page shows, read from the ledger in one go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from aegis_graph.ledger import budgets
from aegis_graph.ledger.activity import (
    ActivityPoint,
    Step,
    activity,
    tag_keys,
)
from aegis_graph.ledger.attempts import RecordedAttempt, held_now, open_attempts
from aegis_graph.ledger.limit_status import LimitStatus, limit_statuses
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.ledger.row_selection import TOTAL
from aegis_graph.ledger.totals import Sums
from aegis_graph.ledger.windows import Calendar, Days
from aegis_graph.server.dashboard.forecast import PAST_DAYS, month_forecast
from aegis_graph.server.dashboard.pictures import (
    PlainTable,
    StackedPicture,
    name_table,
    spending_picture,
    sum_of,
    token_picture,
)
from aegis_graph.server.dashboard.timeline import Timeline
from aegis_graph.server.dashboard.view import View

MOST_HOLDS = 20
"""Open holds that the page lists."""


@dataclass(frozen=True, slots=True)
class MonthSoFar:
    """Today and this month, of what the filters choose."""

    today: Sums
    month: Sums
    days: Days
    forecast_nano_usd: int | None
    budget: BudgetStatus | None
    """The month's budget of exactly what is chosen, where there is one."""


@dataclass(frozen=True, slots=True)
class OpenHolds:
    """The attempts that are under way, or that never reported."""

    number: int
    nano_usd: int
    oldest: list[RecordedAttempt]


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page."""

    month: MonthSoFar
    shown: Sums
    """Everything in the pictures."""
    spending: StackedPicture
    tokens: StackedPicture
    names: PlainTable
    budgets: list[BudgetStatus]
    limits: list[LimitStatus]
    holds: OpenHolds
    tag_keys: list[str]


def read_overview(
    view: View, limits: list[UnitLimit], calendar: Calendar, now: datetime
) -> Query[Overview]:
    """All that the first page shows.

    Args:
        view: What it is asked to show.
        limits: The configuration's, in other units than money.
        calendar: When days begin.
        now: The present.
    """
    step: Step = "hour" if view.step == "hour" else "day"
    points = yield from activity(view.by, step, view.selection)
    whole = points
    # Names that not every attempt has, or of which it has several, do not add up to all attempts.
    if view.by == "run" or view.by.startswith("tag:"):
        whole = yield from activity(TOTAL, step, view.selection)
    statuses = yield from budgets.statuses(now, calendar)
    timeline = Timeline(view.step, view.selection.days, calendar, now, whole)
    return Overview(
        month=(yield from read_month(view, statuses, calendar, now)),
        shown=sum_of(whole),
        spending=spending_picture(points, timeline),
        tokens=token_picture(whole, timeline),
        names=name_table(points, view.by),
        budgets=statuses,
        limits=(yield from limit_statuses(limits, now, calendar)),
        holds=OpenHolds(*(yield from held_now()), (yield from open_attempts(MOST_HOLDS))),
        tag_keys=(yield from tag_keys()),
    )


def read_month(
    view: View, statuses: list[BudgetStatus], calendar: Calendar, now: datetime
) -> Query[MonthSoFar]:
    """Today and this month; the days before today that a forecast goes by are read with it."""
    month, today = calendar.days_now("month", now), calendar.day(now)
    since = min(month.first, (today - timedelta(days=PAST_DAYS)).isoformat())
    points: list[ActivityPoint] = yield from activity(
        TOTAL, "day", view.of_days(Days(since, month.end))
    )
    spent = {point.time: point.sums.spent_nano_usd for point in points}
    scope = view.selection.scope()
    return MonthSoFar(
        today=sum_of([point for point in points if point.time == today.isoformat()]),
        month=sum_of([point for point in points if month.first <= point.time]),
        days=month,
        forecast_nano_usd=month_forecast(spent, month, calendar, now),
        budget=next(
            (one for one in statuses if one.scope == scope and one.window == "month"), None
        ),
    )
