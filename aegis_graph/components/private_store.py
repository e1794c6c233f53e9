"""One SQLite file that only its owner can read, for results that were paid for, and their keys."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aegis_graph.errors import StoreError
from aegis_graph.ledger.private_file import make_private

BUSY_TIMEOUT_S = 30.0
"""How long to wait for another process that writes: it holds the lock for one transaction."""


def result_key(*parts: object) -> str:
    """What a paid result is kept under: a hash of everything that it depends on.

    Args:
        *parts: Values that JSON knows; the order of a mapping's keys does not matter.

    Returns:
        SHA-256, hexadecimal.

    Example:
        >>> result_key("extract", {"a": 1, "b": 2}) == result_key("extract", {"b": 2, "a": 1})
        True
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    # Texts may have lone surrogates, which plain UTF-8 refuses.
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


class PrivateStore:
    """The file of a store: opened when it is first used, and from then on until it is closed.

    Threads may share one. Several processes may share the file, unless it is exclusive. Async
    code calls it in a thread, and LightRAG's own loop, which serves nothing else, directly: what
    was paid for is then written to its end, also when the task that waits is cancelled.

    Args:
        path: The file; it and its folder are made when it is opened. In memory when absent.
        tables: SQL that makes the tables where they are not there.
        exclusive: Whether to lock the file while it is open; a second one is refused at once.

    Example:
        >>> store = PrivateStore(None, "CREATE TABLE IF NOT EXISTS facts (name TEXT, value TEXT)")
        >>> store.write("INSERT INTO facts VALUES (?, ?)", ("a", "1"), ("b", "2"))
        >>> store.read("SELECT value FROM facts WHERE name = ?", "b")
        [('2',)]
    """

    def __init__(self, path: Path | None, tables: str, *, exclusive: bool = False) -> None:
        self._path = path
        self._tables = tables
        self._exclusive = exclusive
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @property
    def is_file(self) -> bool:
        """Whether it outlives the process."""
        return self._path is not None

    def open(self) -> None:
        """Open the file now.

        Raises:
            StoreError: It cannot be opened; its cause is SQLite's error.
        """
        with self._opened():
            pass

    def close(self) -> None:
        """Let go of the file, for good."""
        if self._connection is not None:
            self._connection.close()

    def read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a query gives.

        Raises:
            StoreError: The file cannot be read.
        """
        with self._opened() as connection:
            return connection.execute(query, values).fetchall()

    def write(self, statement: str, *rows: tuple[object, ...]) -> None:
        """Run a statement for each row, in one transaction; committed when this returns.

        Raises:
            StoreError: The file cannot be written; none of the rows is.
        """
        with self._opened() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(statement, rows)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = self._connect()
                    weakref.finalize(self, self._connection.close)
                yield self._connection
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"{self._path}: cannot be used as a store of results ({error});"
                " where it is damaged, delete the file or name another"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            make_private(self._path)
        connection = sqlite3.connect(
            self._path or ":memory:",
            timeout=0 if self._exclusive else BUSY_TIMEOUT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if self._exclusive:
                _lock(connection)
            # Without WAL where processes share the file: of those that switch a new file to it at
            # the same moment, SQLite refuses one at once, whatever the timeout.
            connection.executescript(self._tables)
        except BaseException:
            connection.close()
            raise
        return connection


def _lock(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    # The first transaction takes the lock, which then stays.
    connection.executescript("BEGIN EXCLUSIVE; COMMIT;")
