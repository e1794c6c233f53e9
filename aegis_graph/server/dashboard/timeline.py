"""The steps of time that a picture shows, each with its label; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from aegis_graph.ledger.activity import ActivityPoint
from aegis_graph.ledger.windows import ALL_DAYS, Calendar, Days
from aegis_graph.server.dashboard.view import ViewStep


class TimeStep(NamedTuple):
    """One step of a picture."""

    key: str
    """The hour in UTC, or the first day."""
    label: str


class Timeline:
    """All steps between the first and the last, those without a call too.

    Args:
        step: How long each is.
        days: The days that are shown; days to come are left out.
        calendar: When days, weeks and months begin.
        now: The present.
        points: What there is; without a first day, the steps begin with it.
    """

    def __init__(
        self,
        step: ViewStep,
        days: Days,
        calendar: Calendar,
        now: datetime,
        points: Sequence[ActivityPoint] = (),
    ) -> None:
        self._step = step
        self._calendar = calendar
        today = calendar.day(now)
        first = date.fromisoformat(days.first) if days.first != ALL_DAYS.first else None
        known = [date.fromisoformat(point.time[:10]) for point in points]
        begin = first or min([*known, today])
        tomorrow = today + timedelta(days=1)
        end = tomorrow if days.end == ALL_DAYS.end else date.fromisoformat(days.end)
        # A clock that was ahead has written rows of days to come: they are shown.
        last = min(end, max([tomorrow, *(day + timedelta(days=1) for day in known)]))
        self.steps = self._hours(begin, last, now) if step == "hour" else self._days(begin, last)

    def key(self, time: str) -> str:
        """The step that a point's time falls into."""
        if self._step == "hour" or self._step == "day":
            return time
        return self._calendar.days(self._step, date.fromisoformat(time)).first

    def _days(self, begin: date, end: date) -> list[TimeStep]:
        steps: dict[str, None] = {}
        day = begin
        while day < end:
            steps[self.key(day.isoformat())] = None
            day += timedelta(days=1)
        return [TimeStep(key, self._day_label(key)) for key in steps]

    def _day_label(self, key: str) -> str:
        return key[:7] if self._step == "month" and key.endswith("-01") else key

    def _hours(self, begin: date, end: date, now: datetime) -> list[TimeStep]:
        # By hours of UTC: a zone may be half an hour away, and a day of it 23 or 25 hours long.
        hour = self._calendar.begin(begin).astimezone(UTC).replace(minute=0)
        last = max(self._calendar.begin(end).astimezone(UTC), hour)
        steps: list[TimeStep] = []
        while hour < last and (hour <= now or steps == []):
            local = hour.astimezone(self._calendar.zone)
            steps.append(TimeStep(f"{hour:%Y-%m-%dT%H}", f"{local:%Y-%m-%d %H:%M}"))
            hour += timedelta(hours=1)
        return steps
