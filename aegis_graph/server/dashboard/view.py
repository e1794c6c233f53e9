"""What a page shows, read from its address: the days, the filters, what it is split by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args
from urllib.parse import urlencode

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.row_selection import TOTAL, RowSelection, TagValue, grouping
from aegis_graph.ledger.rows import timestamp
from aegis_graph.ledger.windows import ALL_DAYS, Calendar, Days
from aegis_graph.types import TAG_KEY_PATTERN

Period = Literal["today", "yesterday", "week", "month", "last-month", "30-days", "90-days", "all"]
ViewStep = Literal["hour", "day", "week", "month"]

PERIODS: tuple[Period, ...] = get_args(Period)
STEPS: tuple[ViewStep, ...] = get_args(ViewStep)
SPLITS = ("provider", "model", "task", "user", TOTAL)
"""What pictures can be split by, beside ``tag:KEY``."""

MAX_HOURS = 7 * 24
"""Hours that one picture shows."""
MAX_DAYS = 100
"""Days that one picture shows; of more, its steps are weeks or months."""
MAX_WEEKS = 3 * 53

MAX_TEXT = 300
"""Characters of a filter."""

_TAG = re.compile(rf"({TAG_KEY_PATTERN})=(.*)", re.DOTALL)
_NAMES = tuple(field.name for field in fields(RowSelection) if field.name not in ("days", "tag"))


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is shown: which rows of the ledger, split by what, in which steps of time."""

    selection: RowSelection
    by: str = "provider"
    step: ViewStep = "day"
    period: Period | None = "month"
    """``None`` where the address names the first and the last day."""

    @classmethod
    def of(cls, query: Mapping[str, str], calendar: Calendar, now: datetime) -> View:
        """Read it from the query of an address; what is not known there is left alone.

        Raises:
            ConfigError: A value is not one.
        """
        given = {name: value for name, value in query.items() if value}
        if any(len(value) > MAX_TEXT or "\0" in value for value in given.values()):
            raise ConfigError(f"a filter has at most {MAX_TEXT} characters")
        today = calendar.day(now)
        period, days = _days(given, calendar, today)
        names: dict[str, Any] = {name: given[name] for name in _NAMES if name in given}
        if "tag" in given:
            names["tag"] = _tag(given["tag"])
        by = given.get("by", "provider")
        grouping(by)
        return cls(
            selection=RowSelection(days=days, **names),
            by=by,
            step=_step(given.get("step"), days, calendar.days("day", today)),
            period=period,
        )

    def query(self, **changes: str | None) -> str:
        """The query of the address of this view, or of one that differs from it.

        Args:
            changes: What else the address says; ``None`` leaves a name out.
        """
        days = {"period": self.period} if self.period else self._first_and_last()
        known = {**days, "by": self.by, "step": self.step, **self.selection.names(), **changes}
        return urlencode({name: value for name, value in known.items() if value})

    def last_day(self) -> str:
        """The last of its days."""
        return (date.fromisoformat(self.selection.days.end) - timedelta(days=1)).isoformat()

    def instants(self, calendar: Calendar) -> tuple[str, str]:
        """The beginning and the end of its days, as rows have instants."""
        first, end = (_instant(calendar, day) for day in self.selection.days)
        return first, end

    def link(self, root: str) -> Callable[[str], str] | None:
        """What a name in this view's table leads to: the same view of that name alone."""
        kind, _, key = self.by.partition(":")
        if kind not in ("provider", "model", "task", "user", "run", "tag"):
            return None
        value = f"{key}={{}}" if kind == "tag" else "{}"
        return lambda name: f"{root}/?{self.query(**{kind: value.format(name)})}"

    def _first_and_last(self) -> dict[str, str]:
        return {"from": self.selection.days.first, "to": self.last_day()}

    def of_days(self, days: Days) -> RowSelection:
        """The same filters on other days."""
        return replace(self.selection, days=days)


def _instant(calendar: Calendar, day: str) -> str:
    # The days of all time have no instant, and compare as they are.
    if day in ALL_DAYS:
        return day
    return timestamp(calendar.begin(date.fromisoformat(day)).astimezone(UTC))


def _tag(text: str) -> TagValue:
    found = _TAG.fullmatch(text)
    if found is None:
        raise ConfigError("tag: write KEY=VALUE, such as team=search")
    return TagValue(found[1], found[2])


def _days(given: Mapping[str, str], calendar: Calendar, today: date) -> tuple[Period | None, Days]:
    if "from" in given or "to" in given:
        first = _day("from", given["from"]) if "from" in given else None
        last = _day("to", given["to"]) if "to" in given else today
        first = first or last
        if first > last:
            raise ConfigError("from: this day is after the last one")
        return None, Days(first.isoformat(), (last + timedelta(days=1)).isoformat())
    name = given.get("period", "month")
    for period in PERIODS:
        if name == period:
            return period, _days_of(period, calendar, today)
    raise ConfigError(f"period: {name!r} is none of {', '.join(PERIODS)}")


def _days_of(period: Period, calendar: Calendar, today: date) -> Days:
    tomorrow = calendar.days("day", today).end
    match period:
        case "today":
            return calendar.days("day", today)
        case "yesterday":
            return calendar.days("day", today - timedelta(days=1))
        case "week" | "month":
            return calendar.days(period, today)
        case "last-month":
            first = date.fromisoformat(calendar.days("month", today).first)
            return calendar.days("month", first - timedelta(days=1))
        case "30-days" | "90-days":
            back = timedelta(days=int(period[:2]) - 1)
            return Days((today - back).isoformat(), tomorrow)
        case "all":
            return ALL_DAYS


def _day(name: str, text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {text!r} is not a day like 2026-11-23") from error
    # What lies beyond has no day before or after it that a calendar knows.
    if not date(1970, 1, 2) <= found <= date(9000, 1, 1):
        raise ConfigError(f"{name}: no ledger has the day {text}")
    return found


def _step(asked: str | None, days: Days, today: Days) -> ViewStep:
    """The step that was asked for, or the finest that fits into one picture."""
    if asked is not None and asked not in STEPS:
        raise ConfigError(f"step: {asked!r} is none of {', '.join(STEPS)}")
    if days == ALL_DAYS:
        return "week" if asked == "week" else "month"
    first, end = date.fromisoformat(days.first), date.fromisoformat(min(days.end, today.end))
    number = (end - first).days
    most: dict[ViewStep, int] = {"hour": MAX_HOURS // 24, "day": MAX_DAYS, "week": MAX_WEEKS * 7}
    wanted = STEPS.index(asked) if asked is not None else (0 if number <= 1 else 1)
    for step in STEPS[wanted:]:
        if number <= most.get(step, number):
            return step
    return "month"
