"""The results of a job as files: parts while it runs, one file at its end.

A result is first in the job's own file. It leaves that only when the part that has it is on the
disk under its name, so a crash at any moment leaves each result in at least one of the two; the
same part is written again then, with the same rows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from aegis_graph.bulk.part_files import JsonLines, PartFormat, PartWriter, ResultRow, whole_file
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import JobFacts, ResultFormat
from aegis_graph.errors import StoreError
from aegis_graph.pricing.money import usd_text

PART_ROWS = 10_000
"""Results of one part."""
MOST_TRIES = 20
"""So often the file of all results is made anew when other processes change it meanwhile."""
READ_ROWS = 500
"""Results that are in memory at once."""

_UNASSIGNED = (
    "SELECT number FROM items WHERE state = 'done' AND part IS NULL ORDER BY number LIMIT ?"
)
_ROW = "key, source, output, error, cost_nano_usd, attempts, route_ids, seconds"


class _Compacted(NamedTuple):
    """What the results' file is made of."""

    parts: int
    """How many parts there are."""
    part: int
    """The last one that is in the results' file alone."""
    rows: int
    """Their rows, with which the file begins."""


class _ChangedError(Exception):
    """Another process changed what a file is made of."""


class ResultParts:
    """Writes the results of a job. Several processes may do it at once.

    Args:
        queue: Of the job.
        part_rows: Results of one part.
    """

    def __init__(self, queue: WorkQueue, *, part_rows: int = PART_ROWS) -> None:
        self._queue = queue
        self._folder = queue.folder
        self._format = _part_format(queue.facts().format)
        self._part_rows = part_rows
        self._due = 0
        """Before so many items of the job are done, no part can be full."""

    @property
    def results_file(self) -> Path:
        """The file with all results, once the job has stopped."""
        return self._folder / f"results{self._format.suffix}"

    def export_full(self, done: int) -> None:
        """Write the parts that are full.

        Args:
            done: How many items of the job have their results, or had a moment ago.

        Raises:
            StoreError: One cannot be written; its results are still in the job's file.
        """
        if done < self._due:
            return
        while part := self._assign(self._part_rows):
            self._export(part)
        self._due = done + self._part_rows - self._waiting()

    def export_rest(self) -> None:
        """Write all results that are in no part yet, and the parts that a crash left unwritten.

        Raises:
            StoreError: As for ``export_full``.
        """
        for left in self._unwritten():
            self._export(left)
        while part := self._assign(1):
            self._export(part)

    def compact(self) -> Path:
        """Make one file of all results, with the errors of items that were set aside.

        The parts of a job that is finished are removed then.

        Returns:
            The file.

        Raises:
            StoreError: It cannot be written; what was there before still is.
        """
        for _ in range(MOST_TRIES):
            self.export_rest()
            before = self._compacted()
            try:
                self._compact(before)
            except (_ChangedError, FileNotFoundError):
                # Another process added a part, or was the first to make this file.
                continue
            break
        else:
            raise StoreError(f"{self.results_file}: other programs write it; end these first")
        with self._queue.file.reading() as connection:
            (part,) = connection.execute("SELECT compacted FROM job").fetchone()
        for number in range(1, part + 1):
            self._part_file(number).unlink(missing_ok=True)
        self._describe(self._queue.facts())
        return self.results_file

    def _compact(self, before: _Compacted) -> None:
        kept = 0

        @contextmanager
        def if_unchanged() -> Iterator[None]:
            with self._queue.file.writing() as connection:
                if _compacted(connection) != before:
                    raise _ChangedError
                yield
                counts = dict(connection.execute("SELECT state, number FROM counts"))
                if not any(counts.get(state) for state in ("pending", "failed", "leased")):
                    connection.execute(
                        "UPDATE job SET compacted = parts, compacted_rows = ?", (kept,)
                    )

        with self._writing(self.results_file, if_unchanged()) as writer:
            if before.rows:
                kept += writer.copy(self.results_file, before.rows)
            for number in range(before.part + 1, before.parts + 1):
                kept += writer.copy(self._part_file(number))
            # At the end, where they are left out when these items get their results.
            with closing(self._rows("state = 'set_aside'")) as batches:
                for rows in batches:
                    writer.write(rows)

    def _compacted(self) -> _Compacted:
        with self._queue.file.reading() as connection:
            return _compacted(connection)

    def _describe(self, facts: JobFacts) -> None:
        """A few words for people, beside the results."""
        words = {
            "job": facts.name,
            "state": facts.state,
            "reason": facts.reason,
            "done": facts.done,
            "set_aside": facts.set_aside,
            "without_result": facts.open,
            "cost_usd": usd_text(facts.spent_nano_usd),
            "begun_at": facts.created_at,
        }
        place = self._folder / "job.json"
        with _explained(place), whole_file(place) as stream:
            stream.write(f"{json.dumps(words, indent=2)}\n".encode())

    def _part_file(self, number: int) -> Path:
        return self._folder / "parts" / f"part-{number:05}{self._format.suffix}"

    def _unwritten(self) -> list[int]:
        with self._queue.file.reading() as connection:
            rows = connection.execute(
                "SELECT DISTINCT part FROM items WHERE output IS NOT NULL AND part IS NOT NULL"
                " ORDER BY part"
            ).fetchall()
        return [part for (part,) in rows]

    def _waiting(self) -> int:
        """Results that are in no part yet; of more than one part only these are counted."""
        with self._queue.file.reading() as connection:
            (count,) = connection.execute(
                f"SELECT count(*) FROM ({_UNASSIGNED})", (self._part_rows,)
            ).fetchone()
        return int(count)

    def _assign(self, least: int) -> int | None:
        """Give results a part, if there are so many; its number."""
        if self._waiting() < least:
            return None
        with self._queue.file.writing() as connection:
            (part,) = connection.execute(
                "UPDATE job SET parts = parts + 1 RETURNING parts"
            ).fetchone()
            connection.execute(
                f"UPDATE items SET part = ? WHERE number IN ({_UNASSIGNED})",
                (part, self._part_rows),
            )
        return int(part)

    def _export(self, part: int) -> None:
        place = self._part_file(part)
        # Closed also after an error: it has the file's lock, in this thread.
        with closing(self._rows("part = ? AND output IS NOT NULL", part)) as batches:
            first = next(batches, None)
            if first is None:
                # Another process has written it meanwhile.
                return
            with self._writing(place) as writer:
                writer.write(first)
                for more in batches:
                    writer.write(more)
        with self._queue.file.writing() as connection:
            connection.execute(
                "UPDATE items SET output = NULL WHERE part = ? AND output IS NOT NULL", (part,)
            )

    @contextmanager
    def _writing(
        self, place: Path, replacing: AbstractContextManager[None] | None = None
    ) -> Iterator[PartWriter]:
        with _explained(place):
            place.parent.mkdir(mode=0o700, exist_ok=True)
            with whole_file(place, replacing) as stream, self._format.writer(stream) as writer:
                yield writer

    def _rows(self, condition: str, *values: object) -> Generator[list[ResultRow], None, None]:
        """Results in batches, all from one moment: another process may remove them meanwhile."""
        with self._queue.file.reading() as connection:
            found = connection.execute(
                f"SELECT {_ROW} FROM items WHERE {condition} ORDER BY number", values
            )
            with closing(found):
                while rows := found.fetchmany(READ_ROWS):
                    yield [
                        ResultRow(*row)._replace(route_ids=tuple(json.loads(row[-2])))
                        for row in rows
                    ]


def _part_format(name: ResultFormat) -> PartFormat:
    """The form of results that is called so.

    Raises:
        ModuleNotFoundError: What it needs is not installed; says how to.
    """
    if name == "jsonl":
        return JsonLines()
    # Imported here: its library is an extra.
    from aegis_graph.bulk.parquet_parts import ParquetRows  # noqa: PLC0415

    return ParquetRows()


def _compacted(connection: sqlite3.Connection) -> _Compacted:
    row = connection.execute("SELECT parts, compacted, compacted_rows FROM job").fetchone()
    return _Compacted(*row)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        # A part that another process has put into the one file: its reader looks again.
        raise
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}); mend that and run the job"
            " again: its results are kept in the job's own file"
        ) from error
