"""Every row of the ledger, for spreadsheets, programs and finance tools.

Rows are read in short statements, each from where the one before ended, and written as they come:
memory stays bounded, and no writer waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.export.csv_lines import csv_lines, joined_lines, line_sql
from aegis_graph.ledger.export.focus import focus_lines
from aegis_graph.ledger.export.row_reader import ESCAPED, PLAIN, LedgerRow, RowFilter, RowReader
from aegis_graph.ledger.schema import REQUESTS, Column
from aegis_graph.ledger.store import Connection
from aegis_graph.types import EXPORT_FORMATS, ExportFormat

COLUMNS = tuple(column.name for column in REQUESTS)
"""What every format but FOCUS has."""

_LINES = {"id": "id", "line": line_sql(PLAIN)}


def export_rows(
    connection: Connection,
    stream: BinaryIO,
    *,
    format: ExportFormat,
    since: str | None = None,
    until: str | None = None,
    provider: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write the rows that the ledger has now, in the order they were made.

    In ``csv`` and ``focus``, text that a spreadsheet would run as a formula has an apostrophe in
    front; the other formats have it unchanged. Costs are exact in each.

    FOCUS has one charge per attempt that has ended, in UTC: its charge period is the hour, its
    billing period the calendar month.

    Args:
        connection: The ledger's database.
        stream: Takes bytes; text is UTF-8.
        format: How to write them.
        since: The first local day, as an ISO date.
        until: The local day after the last one.
        provider: Only its rows.
        progress: Is called with the number of rows read so far.

    Returns:
        The number of rows.

    Raises:
        ConfigError: There is no such format.
        ModuleNotFoundError: Parquet's library is not installed; says how to.
    """
    if format not in EXPORT_FORMATS:
        raise ConfigError(f"format: {format!r} is none of {', '.join(EXPORT_FORMATS)}")
    reader = RowReader(connection, RowFilter(since, until, provider), progress)
    if format == "parquet":
        _parquet_writer()(stream, REQUESTS, reader.batches(PLAIN))
    else:
        for chunk in _TEXT[format](reader):
            stream.write(chunk)
    stream.flush()
    return reader.count


def require(format: ExportFormat) -> None:
    """Make sure that a format can be written here.

    Raises:
        ModuleNotFoundError: Its library is not installed; says how to.
    """
    if format == "parquet":
        _parquet_writer()


def _parquet_writer() -> Callable[[BinaryIO, Sequence[Column], Iterator[list[LedgerRow]]], None]:
    # Imported here: its library is an extra.
    from aegis_graph.ledger.export.parquet import write_parquet  # noqa: PLC0415

    return write_parquet


def _csv(reader: RowReader) -> Iterator[bytes]:
    yield csv_lines([COLUMNS])
    while rows := reader.peek(_LINES):
        text = joined_lines([line for _, line in rows], commas=len(COLUMNS) - 1)
        # One cell that must be quoted or escaped: the same rows again, cell by cell.
        if text is None:
            rows = reader.peek(ESCAPED)
            text = csv_lines(rows)
        if rows:
            reader.advance(rows)
            yield text


def _jsonl(reader: RowReader) -> Iterator[bytes]:
    for lines in _json_lines(reader):
        yield ("\n".join(lines) + "\n").encode()


def _json(reader: RowReader) -> Iterator[bytes]:
    before = "[\n"
    for lines in _json_lines(reader):
        yield (before + ",\n".join(lines)).encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def _json_lines(reader: RowReader) -> Iterator[list[str]]:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    for rows in reader.batches(PLAIN):
        yield [encode(dict(zip(COLUMNS, row, strict=True))) for row in rows]


_TEXT: Mapping[str, Callable[[RowReader], Iterator[bytes]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
    "focus": focus_lines,
}
