"""The figures of a run as a table, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from scoring.comparison import Side, differences
from scoring.figures import Difference
from scoring.runs import Column

COLUMN = 24
"""Characters of a column."""


def show_columns(title: str, columns: Mapping[str, Column], note: str = "") -> None:
    """One column per provider."""
    table = _table(title, list(columns))
    for name in next(iter(columns.values())).figures:
        table.add_row(name, *(_percent(one.figures[name]) for one in columns.values()))
    rows: dict[str, list[Any]] = {
        "model": [one.model for one in columns.values()],
        "examples": [one.examples for one in columns.values()],
        "not complete": [one.incomplete for one in columns.values()],
        "calls": [one.calls for one in columns.values()],
        "cost in USD": [one.cost_usd for one in columns.values()],
        "seconds": [f"{one.seconds:.1f}" for one in columns.values()],
    }
    for name, values in rows.items():
        table.add_row(name, *map(str, values))
    _print(table, note)


def show_sides(title: str, sides: Sequence[Side]) -> None:
    """One column per system, then how much more each has than the first."""
    apart = differences(sides)
    names = [f"{name} - {sides[0].name}" for name in apart]
    table = _table(title, [*(side.name for side in sides), *names])
    for name in sides[0].figures:
        shares = [_percent(side.figures[name]) for side in sides]
        table.add_row(name, *shares, *(_points(one[name]) for one in apart.values()))
    table.add_section()
    for name in sides[0].totals:
        table.add_row(name, *(side.totals[name] for side in sides))
    note = "Differences in points, with 95 % intervals over 2,000 paired resamples." * bool(apart)
    _print(table, note)


def sides_json(sides: Sequence[Side]) -> dict[str, Any]:
    """The same, for a file."""
    return {
        "systems": {side.name: {"figures": side.figures, **side.totals} for side in sides},
        "differences": {
            system: {name: one and asdict(one) for name, one in figures.items()}
            for system, figures in differences(sides).items()
        },
    }


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title)
    table.add_column("")
    for label in columns:
        table.add_column(label, justify="right")
    return table


def _print(table: Table, note: str) -> None:
    console = Console(width=max(100, COLUMN * len(table.columns)))
    console.print(table)
    if note:
        console.print(note)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _points(one: Difference | None) -> str:
    if one is None:
        return "-"
    return f"{100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"
