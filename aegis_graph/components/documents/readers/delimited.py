"""CSV and TSV, each row with the names of its columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator

from aegis_graph.components.documents.readers.content import Content, RawDocument, Section
from aegis_graph.components.documents.readers.encoding import decode
from aegis_graph.components.documents.readers.rows import labelled_rows

MAX_ROWS = 500_000
_SEPARATOR = re.compile(r"[\"']?sep=(.)[\"']?[ \t]*(?:\n|$)", re.IGNORECASE)
"""A line for Excel."""
_SAMPLE = 20_000
_DELIMITERS = ",;\t|"


def read(raw: RawDocument) -> Content:
    """The rows of the file."""
    text = decode(raw.data)
    delimiter = "\t" if raw.suffix in {".tsv", ".tab"} else _delimiter(text)
    # Read on behind that line, which is no row.
    if named := _SEPARATOR.match(text):
        text = text[named.end() :]
    notes: list[str] = []
    # A cell may have line breaks, so the reader gets lines with their ends.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    lines = labelled_rows(_bounded(rows, notes))
    return Content([Section(text="\n".join(lines))], notes=notes)


def _delimiter(text: str) -> str:
    """What stands equally often in the first lines; of Excel in German that is a semicolon."""
    sample = text[:_SAMPLE].split("\n")[:20]
    if named := _SEPARATOR.match(text):
        return named[1]
    best, most = ",", 0
    for delimiter in _DELIMITERS:
        rows = csv.reader(sample, delimiter=delimiter)
        counts = [len(row) for row in _tolerant(rows) if row]
        # Rows that are alike count; a comma inside of prices makes some rows longer than others.
        score = max(
            (counts.count(size) * (size - 1) for size in set(counts) if size > 1), default=0
        )
        if score > most:
            best, most = delimiter, score
    return best


def _tolerant(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error:
        # A sample may end inside of a cell.
        return


def _bounded(rows: Iterable[list[str]], notes: list[str]) -> Iterator[list[str]]:
    for number, row in enumerate(rows):
        if number >= MAX_ROWS:
            notes.append(f"only its first {MAX_ROWS:,} rows were read")
            return
        yield row
