"""Budget windows: which days of the ledger's time zone a limit covers. Pure functions, no reset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

from aegis_graph.types import WINDOWS, Window


class Days(NamedTuple):
    """A half-open range of local days, as ISO dates: ``first <= day < end``."""

    first: str
    end: str


# Compared as text: before and after every ISO date.
ALL_DAYS = Days("0000-00-00", "9999-99-99")


@dataclass(frozen=True, slots=True)
class Calendar:
    """When days, weeks and months begin.

    Args:
        zone: The time zone by whose midnight a day begins.
        first_day_of_month: 1 to 28.
        first_weekday: 0 for Monday to 6 for Sunday.
    """

    zone: ZoneInfo
    first_day_of_month: int = 1
    first_weekday: int = 0

    def day(self, now: datetime) -> date:
        """The day that an instant falls on."""
        return now.astimezone(self.zone).date()

    def begin(self, day: date) -> datetime:
        """The instant at which a day begins."""
        return datetime.combine(day, time(), self.zone)

    def days(self, window: Window, today: date) -> Days:
        """The days that a window covers when today is one of them.

        >>> Calendar(ZoneInfo("UTC"), first_day_of_month=15).days("month", date(2027, 1, 14))
        Days(first='2026-12-15', end='2027-01-15')
        """
        if window == "day":
            return _between(today, today + timedelta(days=1))
        if window == "week":
            first = today - timedelta(days=(today.weekday() - self.first_weekday) % 7)
            return _between(first, first + timedelta(days=7))
        if window == "month":
            first = today.replace(day=self.first_day_of_month)
            if first > today:
                first = _month(first, -1)
            return _between(first, _month(first, 1))
        return ALL_DAYS

    def days_now(self, window: Window, now: datetime) -> Days:
        """The days that a window covers now."""
        return self.windows(self.day(now))[window]

    def windows(self, today: date) -> Mapping[Window, Days]:
        """The days that each window covers when today is one of them."""
        return _windows(self, today)


# Every admission asks for them, and they change once a day.
@lru_cache(maxsize=16)
def _windows(calendar: Calendar, today: date) -> Mapping[Window, Days]:
    # Read-only, because all callers share what is cached.
    return MappingProxyType({window: calendar.days(window, today) for window in WINDOWS})


def _month(first: date, step: int) -> date:
    """The same day of the month before or after; that day is at most the 28th."""
    months = first.year * 12 + first.month - 1 + step
    return first.replace(year=months // 12, month=months % 12 + 1)


def _between(first: date, end: date) -> Days:
    return Days(first.isoformat(), end.isoformat())
