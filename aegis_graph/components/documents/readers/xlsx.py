"""Workbooks: each sheet a section, each row with the names of its columns."""

from __future__ import annotations

import datetime
import io
import warnings
from collections.abc import Iterator
from typing import Any

import openpyxl  # type: ignore[import-untyped]

from aegis_graph.components.documents.readers.archive import open_archive
from aegis_graph.components.documents.readers.content import Content, RawDocument, Section
from aegis_graph.components.documents.readers.rows import labelled_rows

MAX_CELLS = 3_000_000
"""Of a workbook, empty ones included: a sheet may claim a million rows of nothing."""
MAX_EMPTY_ROWS = 1_000
"""After so many empty rows a sheet is over."""


def read(raw: RawDocument) -> Content:
    """The sheets in their order, with the values that formulas had when it was saved."""
    open_archive(raw.data).close()
    notes: list[str] = []
    with warnings.catch_warnings():
        # It warns of what it does not keep when a workbook is written: this one is only read.
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(io.BytesIO(raw.data), read_only=True, data_only=True)
        try:
            sections = list(_sections(book, notes))
        finally:
            book.close()
    return Content(sections, notes=notes)


def _sections(book: Any, notes: list[str]) -> Iterator[Section]:
    left = MAX_CELLS
    for sheet in book.worksheets:
        rows, used = _rows(sheet, left)
        left -= used
        yield Section(
            text="\n".join(labelled_rows(rows)), heading=str(sheet.title), sheet=str(sheet.title)
        )
        if left <= 0:
            notes.append(f"only its first {MAX_CELLS:,} cells were read")
            return


def _rows(sheet: Any, left: int) -> tuple[list[list[str]], int]:
    # What a file says of its size is often wrong.
    sheet.reset_dimensions()
    rows: list[list[str]] = []
    used = empty = 0
    for row in sheet.iter_rows():
        used += len(row) + 1
        cells = [_shown(cell) for cell in row]
        empty = 0 if any(cells) else empty + 1
        if any(cells):
            rows.append(cells)
        if empty > MAX_EMPTY_ROWS or used >= left:
            break
    return rows, used


def _shown(cell: Any) -> str:
    """A cell as a reader sees it, as far as its format is known here."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        if "%" in str(cell.number_format):
            return f"{value * 100:.10g}%"
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "minutes")
    return str(value)
