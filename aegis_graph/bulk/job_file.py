"""The file of a job: opened, made, and written in transactions that are whole or not there."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aegis_graph.bulk.records import JobIdentity
from aegis_graph.bulk.tables import APPLICATION_ID, TABLES, VERSION
from aegis_graph.clock import Clock
from aegis_graph.errors import StoreError
from aegis_graph.ledger.private_file import make_private

FILE = "job.sqlite"
RESERVE_BYTES = 1 << 20
"""Kept free on the disk, so that when it is full what is under way can still be written."""
BUSY_TIMEOUT_S = 60.0
"""How long to wait for another process that writes, in seconds."""

_MEANING = {
    "SQLITE_FULL": "the disk is full; free some space and run the job again",
    "SQLITE_IOERR": "the disk is full or broken; mend that and run the job again",
    "SQLITE_READONLY": "it may not be written to; allow that, or name another folder",
    "SQLITE_CANTOPEN": "it cannot be opened; allow that, or name another folder",
    "SQLITE_BUSY": "another program holds its lock; end that one and run the job again",
    "SQLITE_NOTADB": "it is no job's file; name another folder",
    "SQLITE_CORRUPT": "it is damaged; put a copy back, or name another folder",
}


class JobFile:
    """One process's connection to ``job.sqlite``; its threads take turns.

    Args:
        path: The file.

    Raises:
        StoreError: It cannot be opened or made, or is no job's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self.reserve = path.with_suffix(".reserve")
        with _explained(path):
            make_private(path)
            make_private(self.reserve, bytes(RESERVE_BYTES))
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        connection = self._connection
        mark = connection.execute("PRAGMA application_id").fetchone()[0]
        if mark != APPLICATION_ID and _tables(connection):
            raise StoreError(f"{self.path} is no job's file; name another folder")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            mark = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if mark == APPLICATION_ID and version != VERSION:
                raise StoreError(
                    f"{self.path} has version {version}, this program knows {VERSION}:"
                    " use the version of aegis-graph that began the job"
                )
            if mark != APPLICATION_ID:
                for statement in _statements(TABLES):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end, and not there at all after an error.

        Raises:
            StoreError: The file cannot be written; says what to do.
        """
        with self._lock, _explained(self.path):
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself where the disk is full.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the file, for several questions.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._lock, _explained(self.path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file, for good."""
        with self._lock:
            self._connection.close()


def claim(file: JobFile, job: JobIdentity, *, clock: Clock) -> None:
    """Make a new file the job's own, or make sure that it is this job's.

    Raises:
        StoreError: It belongs to another job, or to this job over another graph.
    """
    graph = json.dumps(job.graph, sort_keys=True, ensure_ascii=False)
    with file.writing() as connection:
        known = connection.execute("SELECT name, graph, format FROM job").fetchone()
        if known is None:
            now = round(clock().timestamp() * 1000)
            connection.execute(
                "INSERT INTO job (name, graph, format, created_at) VALUES (?, ?, ?, ?)",
                (job.name, graph, job.format, now),
            )
            return
    name, known_graph, known_format = known
    folder = file.path.parent
    if name != job.name:
        raise StoreError(
            f"{folder} has the results of the job {name!r}; name another folder for {job.name!r}"
        )
    if known_format != job.format:
        raise StoreError(
            f"{folder} has results as {known_format}; ask for these, or name another folder"
        )
    if known_graph != graph:
        before = json.loads(known_graph)
        parts = sorted(
            part
            for part in before.keys() | job.graph.keys()
            if before.get(part) != job.graph.get(part)
        )
        raise StoreError(
            f"{folder} was begun with another graph ({', '.join(parts)} changed);"
            " put that back, or name another folder"
        )


def _tables(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    # One by one: ``executescript`` would commit the transaction first.
    text = ""
    for line in script.strip().splitlines():
        text += f"{line}\n"
        if sqlite3.complete_statement(text):
            yield text
            text = ""


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or "SQLITE_ERROR"
        primary = "_".join(name.split("_")[:2])
        meaning = _MEANING.get(primary, f"it cannot be used ({error})")
        raise StoreError(f"{path}: {meaning}") from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}; name another folder") from error
