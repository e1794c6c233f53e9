"""How results are written and read again: a line of JSON each, or a row of Parquet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol
from uuid import uuid4

from aegis_graph.ledger.private_file import sync_folder
from aegis_graph.pricing.money import usd_text


class ResultRow(NamedTuple):
    """A result as a file has it."""

    key: str
    source: str | None
    """Where the item comes from; ``None`` where it does not say."""
    output: str | None
    """The graph's output as JSON."""
    error: str | None
    cost_nano_usd: int
    attempts: int
    route_ids: tuple[str, ...]
    seconds: float


class PartWriter(Protocol):
    """Writes one file of results."""

    def write(self, rows: list[ResultRow]) -> None:
        """Add some rows."""

    def copy(self, path: Path, most: int | None = None) -> int:
        """Add the first rows of another file, all of them when ``most`` is absent; their number."""


class PartFormat(Protocol):
    """A form of results."""

    suffix: str
    """How its files are named."""

    def writer(self, stream: BinaryIO) -> AbstractContextManager[PartWriter]:
        """Write a file.

        Args:
            stream: Of the file.
        """


class JsonLines:
    """One object of JSON in each line."""

    suffix = ".jsonl"

    @contextmanager
    def writer(self, stream: BinaryIO) -> Iterator[PartWriter]:
        """See ``PartFormat.writer``."""
        yield _LineWriter(stream)


class _LineWriter:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, rows: list[ResultRow]) -> None:
        self._stream.write("".join(map(_line, rows)).encode())

    def copy(self, path: Path, most: int | None = None) -> int:
        count = 0
        with path.open("rb") as other:
            for line in islice(other, most):
                self._stream.write(line)
                count += 1
        return count


@contextmanager
def whole_file(
    path: Path, replacing: AbstractContextManager[None] | None = None
) -> Iterator[BinaryIO]:
    """A file that only its owner can read, under its name when all of it is on the disk.

    Args:
        path: Its name.
        replacing: Entered while it gets its name; an error in it leaves what was there before.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        with replacing or nullcontext():
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def _line(row: ResultRow) -> str:
    # The output is JSON already.
    before = json.dumps({"key": row.key, "source": row.source}, ensure_ascii=False)[:-1]
    after = json.dumps(
        {
            "error": row.error,
            "cost_usd": usd_text(row.cost_nano_usd),
            "attempts": row.attempts,
            "route_ids": row.route_ids,
            "seconds": round(row.seconds, 3),
        },
        ensure_ascii=False,
    )[1:]
    return f'{before}, "output": {row.output or "null"}, {after}\n'
