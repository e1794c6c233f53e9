"""Every row of the ledger, for spreadsheets, programs and finance tools.

Rows are read in short statements, each from where the one before ended, and written as they come:
memory stays bounded, and no writer waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.columns import REQUESTS
from aegis_graph.ledger.export.csv_lines import csv_lines, joined_lines, line_sql
from aegis_graph.ledger.export.focus import write_focus
from aegis_graph.ledger.export.row_reader import ESCAPED, PLAIN, LedgerRow, RowReader
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.row_selection import RowSelection
from aegis_graph.ledger.windows import ALL_DAYS, Days
from aegis_graph.types import EXPORT_FORMATS, ExportFormat, FocusVersion

_RowWriter = Callable[[BinaryIO, RowReader], Query[None]]

COLUMNS = tuple(column.name for column in REQUESTS)
"""What every format but FOCUS has."""

_LINES = {"id": "id", "line": line_sql(PLAIN)}


def export_rows(
    stream: BinaryIO,
    *,
    format: ExportFormat,
    since: str | None = None,
    until: str | None = None,
    provider: str | None = None,
    focus_version: FocusVersion = "1.2",
    progress: Callable[[int], None] | None = None,
) -> Query[int]:
    """Write the rows that the ledger has now, in the order they were made.

    In ``csv`` and ``focus``, text that a spreadsheet would run as a formula has an apostrophe in
    front; the other formats have it unchanged. Costs are exact in each.

    FOCUS has one charge per attempt that has ended, in UTC: its charge period is the hour, its
    billing period the calendar month.

    Args:
        stream: Takes bytes; text is UTF-8.
        format: How to write them.
        since: The first local day, as an ISO date.
        until: The local day after the last one.
        provider: Only its rows.
        focus_version: Whose columns ``focus`` has.
        progress: Is called with the number of rows read so far.

    Returns:
        The number of rows.

    Raises:
        ConfigError: There is no such format.
        ModuleNotFoundError: Parquet's library is not installed; says how to.
    """
    if format not in EXPORT_FORMATS:
        raise ConfigError(f"format: {format!r} is none of {', '.join(EXPORT_FORMATS)}")
    days = Days(since or ALL_DAYS.first, until or ALL_DAYS.end)
    reader = RowReader(RowSelection(days=days, provider=provider), progress)
    if format == "focus":
        yield from write_focus(stream, reader, version=focus_version)
    else:
        write = _parquet_writer() if format == "parquet" else _TEXT[format]
        yield from write(stream, reader)
    stream.flush()
    return reader.count


def require(format: ExportFormat) -> None:
    """Make sure that a format can be written here.

    Raises:
        ModuleNotFoundError: Its library is not installed; says how to.
    """
    if format == "parquet":
        _parquet_writer()


def _parquet_writer() -> _RowWriter:
    # Imported here: its library is an extra.
    from aegis_graph.ledger.export.parquet import write_parquet  # noqa: PLC0415

    return write_parquet


def _csv(stream: BinaryIO, reader: RowReader) -> Query[None]:
    stream.write(csv_lines([COLUMNS]))
    while rows := (yield from reader.peek(_LINES)):
        text = joined_lines([line for _, line in rows], commas=len(COLUMNS) - 1)
        # One cell that must be quoted or escaped: the same rows again, cell by cell.
        if text is None:
            rows = yield from reader.peek(ESCAPED)
            text = csv_lines(rows)
        if rows:
            reader.advance(rows)
            stream.write(text)


def _jsonl(stream: BinaryIO, reader: RowReader) -> Query[None]:
    while rows := (yield from reader.next_rows(PLAIN)):
        stream.write(("\n".join(_json_lines(rows)) + "\n").encode())


def _json(stream: BinaryIO, reader: RowReader) -> Query[None]:
    before = "[\n"
    while rows := (yield from reader.next_rows(PLAIN)):
        stream.write((before + ",\n".join(_json_lines(rows))).encode())
        before = ",\n"
    stream.write(b"[]\n" if before == "[\n" else b"\n]\n")


def _json_lines(rows: Sequence[LedgerRow]) -> list[str]:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    return [encode(dict(zip(COLUMNS, row, strict=True))) for row in rows]


_TEXT: Mapping[str, _RowWriter] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
}
