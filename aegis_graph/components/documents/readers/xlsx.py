"""Workbooks: each sheet a section, each row with the names of its columns."""

from __future__ import annotations

import datetime
import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import openpyxl  # type: ignore[import-untyped]

from aegis_graph.components.documents.readers.archive import open_archive
from aegis_graph.components.documents.readers.content import Content, RawDocument, Section
from aegis_graph.components.documents.readers.rows import Spans, labelled_rows, with_spans

MAX_CELLS = 3_000_000
"""Of a workbook, empty ones included: a sheet may claim a million rows of nothing."""
MAX_EMPTY_ROWS = 1_000
"""After so many empty rows a sheet is over."""
_MERGED = re.compile(rb'<mergeCell [^>]*?ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"')
_UNCOUNTED = re.compile(rb"(?:</f>|<f\b[^<>]*/>)\s*(?:<v\s*/>|<v></v>)?\s*</c>")
"""A formula without a value."""
_ZEROS = re.compile(r"0{2,20}")
_CURRENCY = re.compile(r'\[\$([^\]-]{1,5})[^\]]*\]|"?([$\u20ac\u00a3\u00a5])"?')


def read(raw: RawDocument) -> Content:
    """The sheets in their order, with the values that formulas had when it was saved."""
    notes: list[str] = []
    with open_archive(raw.data) as archive, warnings.catch_warnings():
        # It warns of what it does not keep when a workbook is written: this one is only read.
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(io.BytesIO(raw.data), read_only=True, data_only=True)
        try:
            sections = list(_sections(book, archive, notes))
        finally:
            book.close()
    return Content(sections, notes=notes)


def _sections(book: Any, archive: zipfile.ZipFile, notes: list[str]) -> Iterator[Section]:
    left, uncounted = MAX_CELLS, 0
    hidden = [sheet for sheet in book.worksheets if sheet.sheet_state != "visible"]
    if hidden:
        notes.append(f"{len(hidden)} hidden {'sheets' if len(hidden) > 1 else 'sheet'}")
    for sheet in book.worksheets:
        if sheet in hidden:
            continue
        # What cells are merged, the library does not say of a sheet that it reads row by row.
        written = archive.read(sheet._worksheet_path)
        uncounted += len(_UNCOUNTED.findall(written))
        rows, used = _rows(sheet, left)
        left -= used
        text = "\n".join(labelled_rows(with_spans(rows, _spans(written))))
        yield Section(text=text, heading=str(sheet.title), sheet=str(sheet.title))
        if left <= 0:
            notes.append(f"only its first {MAX_CELLS:,} cells were read")
            break
    if uncounted:
        many = "formulas" if uncounted > 1 else "formula"
        notes.append(f"{uncounted:,} {many} without a value; save it in a spreadsheet program")


def _spans(written: bytes) -> Spans:
    """How many rows a cell takes, by its row and column."""
    merged = _MERGED.findall(written, max(0, written.rfind(b"</sheetData>")))
    return {
        (int(top) - 1, _column(left)): int(bottom) - int(top) + 1
        for left, top, _, bottom in merged
        if bottom != top
    }


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number - 1


def _rows(sheet: Any, left: int) -> tuple[list[list[str]], int]:
    # What a file says of its size is often wrong.
    sheet.reset_dimensions()
    rows: list[list[str]] = []
    used = empty = 0
    for row in sheet.iter_rows():
        used += len(row) + 1
        cells = [_shown(cell) for cell in row]
        empty = 0 if any(cells) else empty + 1
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
        return _number(value, str(cell.number_format))
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "minutes")
    return str(value)


def _number(value: float, written: str) -> str:
    if "%" in written:
        return f"{value * 100:.10g}%"
    if isinstance(value, int) and _ZEROS.fullmatch(written):
        return str(value).zfill(len(written))
    number = f"{value:.15g}" if isinstance(value, float) else str(value)
    currency = _CURRENCY.search(written)
    return f"{number} {currency[1] or currency[2]}" if currency else number
