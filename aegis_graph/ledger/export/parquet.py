"""Rows of the ledger as Parquet, a few row groups at a time."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, BinaryIO

try:
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "an export as Parquet needs: pip install 'aegis-graph[parquet]'", name=missing.name
    ) from missing

from aegis_graph.ledger.columns import REQUESTS
from aegis_graph.ledger.export.row_reader import PLAIN, RowReader
from aegis_graph.ledger.queries import Query

BATCHES_PER_GROUP = 10
"""Batches that make one row group; they wait in Arrow's form, which is compact."""

_USD = pyarrow.decimal128(28, 9)

_TYPES = {"integer": pyarrow.int64(), "text": pyarrow.string(), "usd": _USD}


def write_parquet(stream: BinaryIO, reader: RowReader) -> Query[None]:
    """Write rows as Parquet; the cost is an exact decimal, everything else as in the ledger."""
    schema = pyarrow.schema([(column.name, _TYPES[column.type]) for column in REQUESTS])
    with ParquetWriter(stream, schema) as writer:
        group = []
        while rows := (yield from reader.next_rows(PLAIN)):
            group.append(_batch(rows, schema))
            if len(group) == BATCHES_PER_GROUP:
                writer.write_table(pyarrow.Table.from_batches(group))
                group = []
        if group:
            writer.write_table(pyarrow.Table.from_batches(group))


def _batch(rows: Sequence[tuple[Any, ...]], schema: Any) -> Any:
    # The cost comes as exact decimal text.
    arrays = [
        pyarrow.array(map(Decimal, values) if kind.type == _USD else values, kind.type)
        for kind, values in zip(schema, zip(*rows, strict=True), strict=True)
    ]
    return pyarrow.RecordBatch.from_arrays(arrays, schema=schema)
