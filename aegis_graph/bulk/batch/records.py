"""What is known of the batches of a job, in the job's own file: enough to go on after any crash."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, NamedTuple

from aegis_graph.bulk.job_file import JobFile
from aegis_graph.bulk.records import LeasedItem
from aegis_graph.bulk.worker_process import is_gone, this_host, this_process
from aegis_graph.clock import Clock

BatchStage = Literal["writing", "written", "uploaded", "submitted", "ended"]
"""How far a batch is. ``writing``: its file is not whole, nothing was sent. ``written``: the file
is here. ``uploaded``: the provider has it. ``submitted``: it has a batch. ``ended``: the answers
are here, and are being read. After that it is forgotten."""

HOLDER = "batch"
"""Who has the items that are lines of batches: no process, so that none loses them by dying."""

_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS batches (
        number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, provider TEXT NOT NULL,
        stage TEXT NOT NULL, file_id TEXT, batch_id TEXT, submitted_at TEXT, status TEXT,
        reason TEXT, output_id TEXT, error_id TEXT
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS batch_lines (
        batch INTEGER NOT NULL, custom_id TEXT NOT NULL, key TEXT NOT NULL, route_id TEXT NOT NULL,
        hold_id INTEGER, nano_usd INTEGER, admitted_at TEXT,
        PRIMARY KEY (batch, custom_id)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS batch_driver (
        id INTEGER PRIMARY KEY CHECK (id = 1), host TEXT NOT NULL, process TEXT NOT NULL
    ) STRICT
    """,
)


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch of the job."""

    number: int
    name: str
    """What it is found by at its provider."""
    provider: str
    """The row of the configuration."""
    stage: BatchStage
    file_id: str | None
    batch_id: str | None
    submitted_at: datetime | None
    status: str | None
    """How it ended, in the provider's word."""
    reason: str | None
    """Why none of its lines was served, where that is so."""
    output_id: str | None
    """The provider's file of answers."""
    error_id: str | None
    """Its file of lines without one."""


class LineRecord(NamedTuple):
    """A line of a batch: an item, and the reservation of its first attempt."""

    batch: int
    custom_id: str
    key: str
    """The item's."""
    route_id: str
    hold_id: int | None = None
    """``None`` until the ledger has made it."""
    nano_usd: int | None = None
    admitted_at: str | None = None


def has_batches(file: JobFile) -> bool:
    """Whether a job has items in batches."""
    with file.reading() as connection:
        found = connection.execute(
            "SELECT 1 FROM items WHERE state = 'leased' AND worker = ? LIMIT 1", (HOLDER,)
        ).fetchone()
    return found is not None


class BatchRecords:
    """The batches of one job.

    Args:
        file: The job's.
        clock: Returns the present as an aware datetime in UTC.
    """

    def __init__(self, file: JobFile, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        with file.writing() as connection:
            for table in _TABLES:
                connection.execute(table)

    def claim(self) -> bool:
        """Be the one process that sends and reads the job's batches.

        Returns:
            ``False`` where another one is, and is alive as far as can be seen.
        """
        mine = (this_host(), this_process())
        with self._file.writing() as connection:
            other = connection.execute("SELECT host, process FROM batch_driver").fetchone()
            if other is not None and other != mine and not is_gone(*other):
                return False
            connection.execute("INSERT OR REPLACE INTO batch_driver VALUES (1, ?, ?)", mine)
        return True

    def release(self) -> None:
        """Let another process go on with the batches."""
        mine = (this_host(), this_process())
        with self._file.writing() as connection:
            connection.execute("DELETE FROM batch_driver WHERE host = ? AND process = ?", mine)

    def begin(self, name: str, provider: str) -> BatchRecord:
        """A new batch, whose file is about to be written."""
        with self._file.writing() as connection:
            number = connection.execute(
                "INSERT INTO batches (name, provider, stage) VALUES (?, ?, 'writing')",
                (name, provider),
            ).lastrowid
            assert number is not None, "SQLite numbers rows"
            return _read(connection, number)

    def advance(self, number: int, stage: BatchStage, **known: str | None) -> BatchRecord:
        """Note that a batch has come to a stage, and what is known by then.

        Args:
            number: The batch.
            stage: The stage.
            known: Values of fields of the record.
        """
        values = dict(known)
        if stage == "submitted":
            values["submitted_at"] = self._clock().isoformat()
        columns = "".join(f", {name} = ?" for name in values)
        with self._file.writing() as connection:
            connection.execute(
                f"UPDATE batches SET stage = ?{columns} WHERE number = ?",
                (stage, *values.values(), number),
            )
            return _read(connection, number)

    def open(self) -> list[BatchRecord]:
        """The batches that are not forgotten yet, the oldest first."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT * FROM batches ORDER BY number").fetchall()
        return [_record(row) for row in rows]

    def forget(self, number: int) -> None:
        """Drop a batch of which nothing is left to do."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM batch_lines WHERE batch = ?", (number,))
            connection.execute("DELETE FROM batches WHERE number = ?", (number,))

    def put(self, lines: Iterable[LineRecord]) -> None:
        """Keep lines, in place of what was known of them."""
        with self._file.writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO batch_lines VALUES (?, ?, ?, ?, ?, ?, ?)", lines
            )

    def drop(self, lines: Iterable[LineRecord]) -> None:
        """Forget lines of which nothing is left to do."""
        with self._file.writing() as connection:
            connection.executemany(
                "DELETE FROM batch_lines WHERE batch = ? AND custom_id = ?",
                [(line.batch, line.custom_id) for line in lines],
            )

    def lines(
        self, number: int, custom_ids: Sequence[str] | None = None, *, most: int = -1
    ) -> dict[str, LineRecord]:
        """The lines of a batch of which something is left to do.

        Args:
            number: The batch.
            custom_ids: Only those that are called so.
            most: So many at most.
        """
        query, values = "SELECT * FROM batch_lines WHERE batch = ?", list[object]((number, most))
        if custom_ids is not None:
            query += " AND custom_id IN (SELECT value FROM json_each(?))"
            values.insert(1, json.dumps(custom_ids))
        with self._file.reading() as connection:
            rows = connection.execute(f"{query} LIMIT ?", values).fetchall()
        return {line.custom_id: line for line in map(LineRecord._make, rows)}

    def items(self, keys: Iterable[str]) -> dict[str, LeasedItem]:
        """Those of these items that batches still have, by their keys."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT key, input, attempts, begun, cost_nano_usd FROM items"
                " WHERE key IN (SELECT value FROM json_each(?)) AND state = 'leased'"
                " AND worker = ?",
                (json.dumps(list(keys)), HOLDER),
            ).fetchall()
        return {
            key: LeasedItem(
                key=key,
                input=json.loads(text),
                attempts=attempts,
                begun=begun - 1,
                cost_nano_usd=cost,
            )
            for key, text, attempts, begun, cost in rows
        }

    def strays(self) -> list[str]:
        """The keys of items that batches have and no line of them knows: a crash came between."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT key FROM items WHERE state = 'leased' AND worker = ?"
                " AND key NOT IN (SELECT key FROM batch_lines)",
                (HOLDER,),
            ).fetchall()
        return [key for (key,) in rows]


def _read(connection: sqlite3.Connection, number: int) -> BatchRecord:
    return _record(
        connection.execute("SELECT * FROM batches WHERE number = ?", (number,)).fetchone()
    )


def _record(row: Sequence[Any]) -> BatchRecord:
    names = [one.name for one in fields(BatchRecord)]
    known: dict[str, Any] = dict(zip(names, row, strict=True))
    if known["submitted_at"] is not None:
        known["submitted_at"] = datetime.fromisoformat(known["submitted_at"])
    return BatchRecord(**known)
