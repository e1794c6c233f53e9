"""Results as Parquet: a row of each item, its output as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

try:
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile, ParquetWriter  # type: ignore[import-untyped]
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "results as Parquet need: pip install 'aegis-graph[parquet]'", name=missing.name
    ) from missing

from aegis_graph.bulk.part_files import PartWriter, ResultRow
from aegis_graph.pricing.money import to_usd

_TYPES = {
    "key": pyarrow.string(),
    "source": pyarrow.string(),
    "output": pyarrow.string(),
    "error": pyarrow.string(),
    "cost_usd": pyarrow.decimal128(28, 9),
    "attempts": pyarrow.int64(),
    "route_ids": pyarrow.list_(pyarrow.string()),
    "seconds": pyarrow.float64(),
}
_SCHEMA = pyarrow.schema(list(_TYPES.items()))
_COST = list(_TYPES).index("cost_usd")


class ParquetRows:
    """One row for each item."""

    suffix = ".parquet"

    @contextmanager
    def writer(self, stream: BinaryIO) -> Iterator[PartWriter]:
        """See ``PartFormat.writer``."""
        with ParquetWriter(stream, _SCHEMA) as writer:
            yield _RowWriter(writer)


class _RowWriter:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def write(self, rows: list[ResultRow]) -> None:
        columns = list(zip(*rows, strict=True))
        columns[_COST] = tuple(map(to_usd, columns[_COST]))
        arrays = [
            pyarrow.array(values, kind)
            for values, kind in zip(columns, _TYPES.values(), strict=True)
        ]
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=_SCHEMA))

    def copy(self, path: Path, most: int | None = None) -> int:
        count = 0
        with ParquetFile(path) as other:
            for batch in other.iter_batches():
                rows = batch if most is None else batch.slice(0, most - count)
                if not rows.num_rows:
                    break
                self._writer.write_batch(_of_today(rows))
                count += rows.num_rows
        return count


def _of_today(rows: Any) -> Any:
    """Rows with the columns of today: a file that was begun earlier may have fewer."""
    if rows.schema.names == _SCHEMA.names:
        return rows
    columns = [
        rows[name] if name in rows.schema.names else pyarrow.nulls(rows.num_rows, kind)
        for name, kind in _TYPES.items()
    ]
    return pyarrow.RecordBatch.from_arrays(columns, schema=_SCHEMA)
