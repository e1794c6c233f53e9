"""How results look: tables, and sources, routes and budgets as lines of text."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.pricing.money import usd_text
from aegis_graph.types import asked_as

WIDE = 240
"""Columns where no terminal says how many there are: in a file or a pipe nothing is cut."""


def new_console() -> Console:
    """Standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table. No cell of it is cut or broken, unless it is text that wraps."""

    heading: str
    cells: Sequence[str]
    footer: str = ""
    number: bool = False
    """Stands at the right."""
    wraps: bool = False
    """At the ends of words, where the terminal is narrow: what is neither money nor a name."""
    rank: int = 0
    """The column with the highest is the first that a narrow terminal does without; 0 stays."""

    def least_cells(self) -> Iterator[str]:
        """What stands in a line whatever the terminal's width is."""
        cells = (self.heading, self.footer, *self.cells)
        yield from (word for cell in cells for word in (cell.split() if self.wraps else [cell]))


def print_table(
    console: Console, title: str, columns: Sequence[TableColumn], *, elsewhere: str = "--json"
) -> None:
    """Print what fits of a table, and say what was left out.

    Args:
        console: Where to.
        title: Stands above it.
        columns: From left to right.
        elsewhere: The option that shows all of it on any terminal.
    """
    kept = list(columns)
    while (width := _least_width(kept)) > console.width and any(one.rank for one in kept):
        kept.remove(max(kept, key=lambda one: one.rank))
    print_lines(console, [title])
    # What cannot be narrower is wider than the terminal, which breaks it and cuts nothing.
    wide = Console(highlight=False, width=max(width, console.width))
    wide.print(_table(kept))
    missing = ", ".join(one.heading for one in columns if one not in kept)
    if missing:
        hint = f"Columns left out: {missing}; widen the terminal, or use {elsewhere}"
        print_lines(console, [hint])


def _least_width(columns: Sequence[TableColumn]) -> int:
    """Columns of the terminal that a table needs, with two between any of its own."""
    return 2 + sum(2 + max(map(cell_len, one.least_cells())) for one in columns)


def _table(columns: Sequence[TableColumn]) -> Table:
    footer = any(one.footer for one in columns)
    table = Table(box=SIMPLE, pad_edge=False, collapse_padding=True, show_footer=footer)
    for one in columns:
        table.add_column(
            one.heading,
            footer=one.footer,
            justify="right" if one.number else "left",
            no_wrap=not one.wraps,
            min_width=max(map(cell_len, one.least_cells())),
            # Of a word that is longer than a line nothing is lost.
            overflow="fold",
        )
    # A name may be a user's: what looks like markup in it is text.
    for cells in zip(*(one.cells for one in columns), strict=True):
        table.add_row(*map(Text, cells))
    return table


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print text, wrapped at the ends of words on a terminal, and not at all elsewhere."""
    for line in lines:
        print(_wrapped(line, console.width) if sys.stdout.isatty() else line)


def _wrapped(text: str, width: int) -> str:
    """Text in lines that begin below what follows its label, with no word broken."""
    label = re.match(r"\s*(\S+\s{2,})?", text)
    indent = " " * (label.end() if label else 0)
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )


def source_lines(citations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each cited passage with what it says, in the order of the answer."""
    if citations:
        yield from ("", "Sources")
    # A passage that is cited twice is listed once, where it was cited first.
    for n in dict.fromkeys(citation["n"] for citation in citations):
        quoted = [citation for citation in citations if citation["n"] == n]
        yield f"  [{n}] {place_text(quoted)}"
        for citation in quoted:
            yield f"      \u201c{' '.join(citation['quote'].split())}\u201d"


def place_text(citations: Sequence[Mapping[str, Any]]) -> str:
    """The place of the citations of one passage: its source, and the lines of the quotes."""
    places = [citation["lines"] for citation in citations if citation["lines"]]
    source = str(citations[0]["source"])
    if not places:
        return source
    first, last = min(one[0] for one in places), max(one[1] for one in places)
    return f"{source}, line {first}" if first == last else f"{source}, lines {first}-{last}"


def unsupported_lines(sentences: Sequence[Mapping[str, Any]], *, removed: int) -> Iterator[str]:
    """What the answer says without support, and how many of its numbers pointed nowhere."""
    doubtful = [one for one in sentences if not one["supported"]]
    if doubtful:
        yield from ("", "Not confirmed by the sources")
    for one in doubtful:
        yield f"  \u201c{' '.join(one['text'].split())}\u201d ({_REASONS[one['reason']]})"
    if removed:
        numbers = "number" if removed == 1 else "numbers"
        yield from ("", f"{removed} {numbers} in the answer pointed at no source")


_REASONS = {
    "uncited": "cites nothing",
    "words": "in other words than the sources",
    "numbers": "has a number that the sources lack",
    "subject": "says of one name what the sources say of another",
    "negation": "says yes where the sources say no, or no where they say yes",
    "model": "so a model judged",
}


def plan_lines(plan: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The sub-questions, where there are several."""
    if len(steps) < 2:
        return
    yield from ("", f"Plan ({plan['kind']})")
    for step in steps:
        answer = f" -> {step['answer']}" if step["answer"] else ""
        yield f"  {step['id']}. {step['question']}{answer}"


def cost_lines(costs: Sequence[Mapping[str, Any]], total_usd: str) -> Iterator[str]:
    """What the run cost, and each kind of work in it where there were several."""
    parts = ", ".join(f"{one['task']} ${one['cost_usd']}" for one in costs)
    yield f"Cost    ${total_usd}" + (f" ({parts})" if len(costs) > 1 else "")


def route_lines(
    attempts: Sequence[Mapping[str, Any]], skipped: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """The providers asked and what came of it; then those not asked, and why."""
    several = len({row["task"] for row in attempts}) > 1
    rows = [
        (
            *((row["task"],) if several else ()),
            asked_as(row["provider"], row.get("tier")),
            row["model"],
            row["status"],
            _cost(row)
            if row["status"] == "answered"
            else f"{row['reason']}{_cost_of_failure(row)}",
        )
        for row in attempts
    ]
    # The providers that were not asked are those of the last task.
    last = (attempts[-1]["task"],) if several else ()
    rows += [
        (
            *last,
            asked_as(row["provider"], row.get("tier")),
            row["model"],
            "not asked",
            row["reason"],
        )
        for row in skipped
    ]
    if not rows:
        yield "  nobody was asked: the documents do not speak of it"
    columns = len(rows[0]) - 1 if rows else 0
    widths = [max(len(row[column]) for row in rows) for column in range(columns)]
    for row in rows:
        # The last cell is left out: nothing follows it that would have to stand in line.
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        yield "  " + "  ".join([*cells, row[-1]]).rstrip()


def _cost(row: Mapping[str, Any]) -> str:
    # An estimate and a hold are the most that the call can have cost, not what it did cost.
    bound = "at most " if row["cost_basis"] in {"estimated", "held"} else ""
    return f"{row['latency_ms']} ms, {bound}${row['cost_usd']}"


def _cost_of_failure(row: Mapping[str, Any]) -> str:
    """What an attempt without an answer cost, where it may have cost something."""
    return "" if row["cost_usd"] == "0" else f"; {_cost(row)}"


def budget_lines(budgets: Sequence[BudgetStatus]) -> Iterator[str]:
    """What is left of each budget."""
    for number, budget in enumerate(budgets):
        label = "Budget" if number == 0 else ""
        yield (
            f"{label:<8}{budget.scope} per {budget.window}: ${usd_text(budget.left_nano_usd)} left"
            f" of ${usd_text(budget.limit_nano_usd)}"
        )
