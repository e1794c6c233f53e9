"""Tables as text: in Markdown where one has few rows, or each row with the names of its columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_ROW_CHARS = 800
"""A longer row is cut between cells; each part begins with the row's first cell."""
MAX_CELL_CHARS = 32_767
"""What a cell of a spreadsheet can hold."""
_NUMBER = re.compile(r"[-+]?\d[\d.,' ]*(?:%|[€$£]|[A-Za-z]{1,3})?")
_YEAR = re.compile(r"(?:19|20)\d\d")


Spans = Mapping[tuple[int, int], int]
"""How many rows a cell takes, by its row and column, counted from 0."""


def with_spans(rows: Sequence[Sequence[str]], spans: Spans) -> list[list[str]]:
    """A table in which a cell over several rows stands in each of them.

    Example:
        >>> with_spans([["South", "Ulm"], ["", "Bonn"]], {(0, 0): 2})
        [['South', 'Ulm'], ['South', 'Bonn']]
    """
    begun: dict[int, list[tuple[int, int]]] = {}
    for (top, column), size in spans.items():
        begun.setdefault(top, []).append((column, top + size))
    filled: list[list[str]] = []
    reaching: dict[int, tuple[int, str]] = {}
    """The row behind a cell that reaches down, and its text, by column."""
    for number, row in enumerate(rows):
        cells = list(row)
        reaching = {column: one for column, one in reaching.items() if one[0] > number}
        # A row of nothing else stays empty.
        for column, (_, text) in reaching.items() if any(cells) else ():
            cells += [""] * (column + 1 - len(cells))
            cells[column] = cells[column] or text
        for column, end in begun.get(number, ()):
            if column < len(cells):
                reaching[column] = end, cells[column]
        filled.append(cells)
    return filled


def markdown_table(rows: Iterable[Sequence[str]]) -> str:
    """A table whose first row names its columns.

    Example:
        >>> print(markdown_table([["a", "b"], ["1", "2"]]))
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    lines = [[cell_text(cell) for cell in row] for row in rows]
    lines = [row for row in lines if any(row)]
    if not lines:
        return ""
    width = max(len(row) for row in lines)
    # One column is a frame around text and no table.
    if width == 1:
        return "\n\n".join(row[0] for row in lines)
    text = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in lines]
    return "\n".join([text[0], f"|{'---|' * width}", *text[1:]])


def labelled_rows(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    r"""Rows that are understood alone: each cell with the name of its column.

    The first row with two texts or more names the columns, where none of them is a number; rows
    before it are said as they are.

    Example:
        >>> list(labelled_rows([["Name", "Born"], ["Ada", "1815"]]))
        ['Columns: Name, Born\n', '| Name: Ada | Born: 1815 |']
    """
    names: Sequence[str] | None = None
    for cells in ([cell_text(cell) for cell in row] for row in rows):
        filled = [cell for cell in cells if cell]
        if not filled:
            continue
        if names is None and len(filled) == 1:
            yield f"{filled[0]}\n"
        elif names is None and not any(is_number(cell) for cell in filled):
            names = cells
            yield f"Columns: {', '.join(filled)}\n"
        else:
            names = names if names is not None else []
            yield from _labelled(names, cells)


def _labelled(names: Sequence[str], cells: Sequence[str]) -> Iterator[str]:
    parts = []
    for place, cell in enumerate(cells):
        name = names[place] if place < len(names) else ""
        if cell:
            parts.append(f"{name}: {cell}" if name else cell)
    line = parts[:1]
    for part in parts[1:]:
        if len(line) > 1 and sum(map(len, line)) + 3 * len(line) + len(part) > MAX_ROW_CHARS:
            yield f"| {' | '.join(line)} |"
            line = parts[:1]
        line.append(part)
    yield f"| {' | '.join(line)} |"


def cell_text(cell: str) -> str:
    """A cell in one line; a bar in it would end it."""
    return " ".join(cell[:MAX_CELL_CHARS].split()).replace("|", "¦")


def is_number(text: str) -> bool:
    """Whether a cell has a number, perhaps with a unit; a year may as well name a column.

    Example:
        >>> [is_number(text) for text in ("12.50 EUR", "2024", "Q1 2024")]
        [True, False, False]
    """
    return _NUMBER.fullmatch(text) is not None and _YEAR.fullmatch(text) is None
