"""Files with an item in each row: JSON lines, CSV and Parquet, read one row at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

from aegis_graph.components.documents.sources import shown
from aegis_graph.errors import DocumentError

ROW_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Endings of files whose rows are items, where such a file is named itself."""

MAX_CELL_CHARS = 100_000_000
"""Characters of one cell of a CSV file."""

_BATCH_ROWS = 256
"""Rows of a Parquet file that are in memory at once."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of a file."""

    fields: Mapping[str, Any]
    """JSON by the names of its columns."""
    source: str
    """Where it stands, for people: ``corpus/items.jsonl, line 3``; no two rows are told alike."""


def read_rows(path: Path) -> Iterator[SourceRow]:
    """The rows of a file, in order.

    Args:
        path: A file with one of ``ROW_SUFFIXES``.

    Raises:
        DocumentError: In one line which row is wrong, and what to do.
        ModuleNotFoundError: It is Parquet, and the extra is not installed.

    Example:
        >>> [row.fields for row in read_rows(Path("items.jsonl"))]  # doctest: +SKIP
        [{'id': 'c-17', 'text': 'Ada was born in London.'}]
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _parquet_rows(path)
        elif suffix in (".csv", ".tsv"):
            yield from _delimited_rows(path, "\t" if suffix == ".tsv" else ",")
        else:
            yield from _json_rows(path)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise DocumentError(f"{shown(str(path))}: {why}; check the path") from error


def _json_rows(path: Path) -> Iterator[SourceRow]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            # What Windows programs put before the first line says nothing.
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                source = f"{shown(str(path))}, line {number}"
                yield SourceRow(_json_object(text, source), source)


def _json_object(line: bytes, source: str) -> dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise DocumentError(f"{source}: is not UTF-8; save the file as UTF-8") from error
    except RecursionError as error:
        raise DocumentError(f"{source}: is nested too deeply; flatten it") from error
    except ValueError as error:
        why = str(error).partition(": line ")[0]
        raise DocumentError(f"{source}: is no JSON ({why}); correct the line") from error
    if not isinstance(value, dict):
        raise DocumentError(f'{source}: must be a JSON object, like {{"text": "..."}}')
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _delimited_rows(path: Path, delimiter: str) -> Iterator[SourceRow]:
    # Of the module, for the whole process: documents in cells are longer than its default.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL_CHARS))
    name = shown(str(path))
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            columns = next(reader, [])
            _check_columns(columns, name)
            begin = reader.line_num + 1
            for cells in reader:
                source = f"{name}, line {begin}"
                begin = reader.line_num + 1
                if cells:
                    yield SourceRow(_cells(columns, cells, source), source)
        except UnicodeDecodeError as error:
            line = reader.line_num + 1
            raise DocumentError(
                f"{name}, about line {line}: is not UTF-8; save the file as UTF-8"
            ) from error
        except csv.Error as error:
            line = reader.line_num
            raise DocumentError(f"{name}, line {line}: {error}; correct the line") from error


def _check_columns(columns: list[str], name: str) -> None:
    if not any(columns):
        raise DocumentError(f"{name}: is empty; its first line names the columns")
    if len(set(columns)) < len(columns) or not all(columns):
        raise DocumentError(f"{name}, line 1: each column needs a name of its own")


def _cells(columns: list[str], cells: list[str], source: str) -> dict[str, Any]:
    if len(cells) != len(columns):
        raise DocumentError(
            f"{source}: has {len(cells)} cells under {len(columns)} columns; quote cells with a"
            " delimiter, a quote or a line break in them"
        )
    # An empty cell says nothing, as a field that is left out in JSON.
    return {column: cell for column, cell in zip(columns, cells, strict=True) if cell}


def _parquet_rows(path: Path) -> Iterator[SourceRow]:
    try:
        from pyarrow import ArrowException  # type: ignore[import-untyped]  # noqa: PLC0415
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "items from Parquet need: pip install 'aegis-graph[parquet]'", name=missing.name
        ) from missing

    name, number = shown(str(path)), 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for fields in batch.to_pylist():
                    number += 1
                    source = f"{name}, row {number}"
                    given = {key: value for key, value in fields.items() if value is not None}
                    yield SourceRow(_as_json(given, source), source)
    except ArrowException as error:
        why = "not a readable Parquet file" if number == 0 else f"broken after row {number}"
        raise DocumentError(f"{name}: {why} ({type(error).__name__}); write it again") from error


def _as_json(value: Any, source: str) -> Any:
    """A value of Arrow's as JSON has it: moments and exact numbers become texts."""
    match value:
        case float() if not isfinite(value):
            raise DocumentError(f"{source}: {value} is no number of JSON; leave it out")
        case None | bool() | str() | int() | float():
            return value
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return f"{value:f}"
        case dict():
            return {str(key): _as_json(inner, source) for key, inner in value.items()}
        case list() | tuple():
            return [_as_json(inner, source) for inner in value]
    raise DocumentError(f"{source}: a column of {type(value).__name__} is no JSON; leave it out")
