"""Budget windows: which days of the ledger's time zone a limit covers. Pure functions, no reset."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

Window = Literal["day", "week", "month", "total"]


class Days(NamedTuple):
    """A half-open range of local days, as ISO dates: ``first <= day < end``."""

    first: str
    end: str


EVER = Days("0000-00-00", "9999-99-99")


def local_day(now: datetime, zone: ZoneInfo) -> date:
    """The day that an instant falls on in the ledger's time zone."""
    return now.astimezone(zone).date()


def days_of(window: Window, today: date) -> Days:
    """The days that a window covers when today is one of them. Weeks begin on Monday.

    >>> days_of("month", date(2026, 12, 31))
    Days(first='2026-12-01', end='2027-01-01')
    """
    if window == "day":
        return _between(today, today + timedelta(days=1))
    if window == "week":
        monday = today - timedelta(days=today.weekday())
        return _between(monday, monday + timedelta(days=7))
    if window == "month":
        first = today.replace(day=1)
        return _between(first, (first + timedelta(days=31)).replace(day=1))
    return EVER


def _between(first: date, end: date) -> Days:
    return Days(first.isoformat(), end.isoformat())
