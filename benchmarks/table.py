"""The table of measurements: what a row is, how its figures are taken, and how it is shown."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One measurement: ours and what stands beside it, once per round."""

    name: str
    unit: str
    ours: Sequence[float] = ()
    beside: Sequence[float] = ()
    beside_name: str = "by hand"
    target: str = ""
    met: Callable[[float, float], bool] | None = None
    """Whether the medians of ours and of the ratio are good enough."""
    skipped: str = ""
    """Why there is no figure."""
    ratios: list[float] = field(init=False)

    def __post_init__(self) -> None:
        pairs_of = zip(self.ours, self.beside, strict=True)
        object.__setattr__(self, "ratios", [ours / beside for ours, beside in pairs_of])

    def as_json(self) -> dict[str, Any]:
        """The row for other programs."""
        if self.skipped:
            return {"name": self.name, "target": self.target, "skipped": self.skipped}
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": _spread(self.ours),
            "beside": {"name": self.beside_name, **_spread(self.beside)},
            "ratio": _spread(self.ratios),
            "target": self.target,
            "met": self.is_met(),
        }

    def is_met(self) -> bool | None:
        """Whether the target is reached; ``None`` where there is none."""
        if self.met is None or self.skipped:
            return None
        return self.met(median(self.ours), median(self.ratios))


def at_most(limit: float) -> Callable[[float, float], bool]:
    """The ratio may not be above the limit."""
    return lambda _, ratio: ratio <= limit


def at_least(limit: float) -> Callable[[float, float], bool]:
    """The ratio may not be below the limit."""
    return lambda _, ratio: ratio >= limit


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "min": min(values), "max": max(values)}


def interleaved(rounds: int, *measures: Callable[[], T]) -> list[list[T]]:
    """Each measure once per round, in an order that turns, so that a busy spell hits all."""
    found: list[list[T]] = [[] for _ in measures]
    for number in range(rounds):
        for step in range(len(measures)):
            index = (number + step) % len(measures)
            found[index].append(measures[index]())
    return found


class Report:
    """Shows and writes rows, with what they were measured on."""

    def __init__(self) -> None:
        self._began, self._load_before = time.monotonic(), os.getloadavg()[0]

    def finish(self, rows: Sequence[Row], written: Path | None) -> None:
        """Print the table, and write it as JSON where a file is given."""
        machine = {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "load_before": self._load_before,
            "load_after": os.getloadavg()[0],
            "seconds": round(time.monotonic() - self._began),
        }
        title = ", ".join(f"{name} {value}" for name, value in machine.items())
        Console(width=None if sys.stdout.isatty() else 140).print(show(rows, title))
        if written:
            body = {"machine": machine, "rows": [row.as_json() for row in rows]}
            written.write_text(json.dumps(body, indent=2) + "\n")


def show(rows: Sequence[Row], title: str) -> Table:
    """The rows as a table; each figure is a median, with its spread over the rounds."""
    table = Table(title=title, title_justify="left", show_lines=True)
    for heading in ("measured", "ours", "beside it", "ratio", "target", "met"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        if row.skipped:
            table.add_row(row.name, row.skipped, "", "", row.target, "-")
            continue
        met = {None: "", True: "yes", False: "NO"}[row.is_met()]
        beside = f"{_text(row.beside)} {row.unit}\n{row.beside_name}"
        ours = f"{_text(row.ours)} {row.unit}"
        table.add_row(row.name, ours, beside, _text(row.ratios), row.target, met)
    return table


def _text(values: Sequence[float]) -> str:
    shown = [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values]
    low, middle, high = (
        shown[values.index(value)] if value in values else f"{value:.3g}"
        for value in (min(values), median(values), max(values))
    )
    return middle if len(values) == 1 else f"{middle} ({low}-{high})"
