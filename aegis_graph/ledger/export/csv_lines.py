"""CSV that no spreadsheet takes for formulas, written by the database wherever nothing needs care.

Most rows hold neither a comma nor a quotation mark, and no cell that looks like a formula: their
lines are the values with commas between them, which the database can join faster than Python.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from aegis_graph.text.spreadsheet import FORMULA_STARTS


def escape_formula_sql(column: str) -> str:
    """``escape_formula`` in SQL: a row from the database needs no more work in Python."""
    is_safe = f"ltrim({column}, '{FORMULA_STARTS}') = {column}"
    return f"CASE WHEN {is_safe} THEN {column} ELSE '''' || {column} END"


def csv_lines(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as lines of CSV, in UTF-8; cells are quoted where they must be."""
    buffer = StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


def line_sql(columns: Mapping[str, str]) -> str:
    """SQL for a row's values with commas between them, nothing quoted; ``NULL`` is empty."""
    return f"format('{','.join(['%s'] * len(columns))}', {', '.join(columns.values())})"


def joined_lines(lines: Sequence[str], *, commas: int) -> bytes | None:
    r"""Lines from ``line_sql`` as CSV, or ``None`` when one of them is not CSV as it is.

    Args:
        lines: Values of one row each; the first value is a number.
        commas: How many commas stand between the values of a row.

    >>> joined_lines(["1,a,b", "2,c,"], commas=2)
    b'1,a,b\r\n2,c,\r\n'
    >>> joined_lines(["1,a,b", "2,=c,"], commas=2), joined_lines(["1,a,b", "2,c,d,e"], commas=2)
    (None, None)
    """
    text = "".join(lines).encode()
    if text.count(b",") != commas * len(lines) or any(
        mark in text for mark in (b'"', b"\r", b"\n")
    ):
        return None
    if _LOOKS_LIKE_A_FORMULA.search(text):
        return None
    return "\r\n".join([*lines, ""]).encode()


# Of ``FORMULA_STARTS``, what is not found as the end of a line.
_LOOKS_LIKE_A_FORMULA = re.compile(rb",[-=+@\t]")
