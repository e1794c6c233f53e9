"""What a picture and the table below it show; plain, so that a page and a file come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aegis_graph.ledger.activity import ActivityPoint
from aegis_graph.ledger.totals import Sums
from aegis_graph.pricing.money import usd_text
from aegis_graph.server.dashboard.timeline import Timeline

MAX_SERIES = 8
"""Colours that are told apart; what is smaller is drawn together."""

Cell = str | int | None
"""An exact amount in USD is text; ``None`` is what the ledger does not know."""


@dataclass(frozen=True, slots=True)
class PlainTable:
    """A table: of a page, and of the file with what it shows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of a picture, with a value for each of its steps."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StackedPicture:
    """Values over time, one above the other."""

    key: str
    """Names the picture in its page and its file."""
    title: str
    unit: str
    """``USD``, where values are nano-USD, or ``tokens``."""
    labels: tuple[str, ...]
    series: tuple[Series, ...]

    def data(self) -> dict[str, Any]:
        """What is drawn, as JSON."""
        return {
            "labels": self.labels,
            "unit": self.unit,
            "series": [
                {"name": one.name, "values": [self._cell(value) for value in one.values]}
                for one in self.series
            ],
        }

    def table(self) -> PlainTable:
        """The same in figures, with a sum of each step."""
        rows = []
        for at, label in enumerate(self.labels):
            values = [one.values[at] for one in self.series]
            rows.append((label, *map(self._cell, values), self._cell(sum(values))))
        return PlainTable(("time", *(one.name for one in self.series), "all"), tuple(rows))

    def _cell(self, value: int) -> Cell:
        return usd_text(value) if self.unit == "USD" else value


def spending_picture(points: Sequence[ActivityPoint], timeline: Timeline) -> StackedPicture:
    """What was spent by name; the names that cost little are drawn together."""
    spent: dict[str, int] = {}
    for point in points:
        spent[point.name] = spent.get(point.name, 0) + point.sums.spent_nano_usd
    dearest = sorted(spent, key=lambda name: (-spent[name], name))
    shown = dearest if len(dearest) <= MAX_SERIES else dearest[: MAX_SERIES - 1]
    others = f"{len(dearest) - len(shown)} others"
    by_name = _by_step(points, timeline, lambda sums: sums.spent_nano_usd, shown)
    series = [Series(name, by_name[name]) for name in shown]
    if None in by_name:
        series.append(Series(others, by_name[None]))
    labels = tuple(step.label for step in timeline.steps)
    return StackedPicture("spending", "Spending", "USD", labels, tuple(series))


TOKEN_SERIES: Mapping[str, Callable[[Sums], int]] = {
    # What is read from a cache and written to it is a part of the input.
    "fresh input": lambda sums: max(
        0, sums.input_tokens - sums.cached_input_tokens - sums.cache_write_tokens
    ),
    "cache read": lambda sums: sums.cached_input_tokens,
    "cache write": lambda sums: sums.cache_write_tokens,
    "output": lambda sums: sums.output_tokens,
}


def token_picture(points: Sequence[ActivityPoint], timeline: Timeline) -> StackedPicture:
    """Tokens by what is paid for them."""
    series = []
    for name, value in TOKEN_SERIES.items():
        by_name = _by_step(points, timeline, value, ())
        series.append(Series(name, by_name.get(None) or (0,) * len(timeline.steps)))
    labels = tuple(step.label for step in timeline.steps)
    return StackedPicture("tokens", "Tokens", "tokens", labels, tuple(series))


def _by_step(
    points: Sequence[ActivityPoint],
    timeline: Timeline,
    value: Callable[[Sums], int],
    names: Sequence[str],
) -> dict[str | None, tuple[int, ...]]:
    """The values of each of these names, and under ``None`` those of all others."""
    place = {step.key: at for at, step in enumerate(timeline.steps)}
    found: dict[str | None, list[int]] = {name: [0] * len(place) for name in names}
    for point in points:
        name = point.name if point.name in found else None
        values = found.setdefault(name, [0] * len(place))
        values[place[timeline.key(point.time)]] += value(point.sums)
    return {name: tuple(values) for name, values in found.items()}


def sum_of(points: Sequence[ActivityPoint]) -> Sums:
    """Everything together."""
    return (
        Sums(*map(sum, zip(*(point.sums for point in points), strict=True))) if points else Sums()
    )


def name_table(points: Sequence[ActivityPoint], by: str) -> PlainTable:
    """One row for each name, dearest first, as ``aegis costs`` has them."""
    by_name: dict[str, list[ActivityPoint]] = {}
    for point in points:
        by_name.setdefault(point.name, []).append(point)
    sums = {name: sum_of(found) for name, found in by_name.items()}
    order = sorted(sums, key=lambda name: (-sums[name].spent_nano_usd, -sums[name].calls, name))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            name,
            one.calls,
            one.failures,
            *(value(one) for value in TOKEN_SERIES.values()),
            usd_text(one.spent_nano_usd),
            usd_text(one.held_nano_usd),
        )
        for name, one in ((name, sums[name]) for name in order)
    )
    columns = (by, "calls", "failures", *TOKEN_SERIES, "cost USD", "held USD")
    return PlainTable(columns, rows)
