"""What a month will have cost in the end, if it goes on as in the last days; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from aegis_graph.ledger.windows import Calendar, Days

PAST_DAYS = 7
"""Full days whose mean is taken for the days to come: every weekday once."""

_DAY_S = 24 * 60 * 60


def month_forecast(
    spent: Mapping[str, int], month: Days, calendar: Calendar, now: datetime
) -> int | None:
    """Nano-USD that a month will have cost; ``None`` before there is a full day to go by.

    Args:
        spent: Nano-USD of each day, of the month and of the ``PAST_DAYS`` before today.
        month: Its days.
        calendar: When days begin.
        now: The present, in that month.

    Example:
        >>> from datetime import UTC
        >>> from zoneinfo import ZoneInfo
        >>> spent = {"2026-11-28": 4, "2026-11-29": 6}
        >>> month, noon = Days("2026-11-01", "2026-12-01"), datetime(2026, 11, 29, 12, tzinfo=UTC)
        >>> month_forecast(spent, month, Calendar(ZoneInfo("UTC")), noon)
        16
    """
    today = calendar.day(now)
    since = (today - timedelta(days=PAST_DAYS)).isoformat()
    past = [day for day in spent if since <= day < today.isoformat()]
    if not past:
        return None
    # Days before the first call are not days without cost.
    full_days = (today - date.fromisoformat(min(past))).days
    until_now = sum(cost for day, cost in spent.items() if month.first <= day < month.end)
    left_s = int((calendar.begin(date.fromisoformat(month.end)) - now).total_seconds())
    return until_now + sum(spent[day] for day in past) * left_s // (full_days * _DAY_S)
