"""SQLite: the default store, one file in WAL mode, for any number of processes on one host."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.dialects import SQLITE
from aegis_graph.ledger.private_file import FileId, file_id, make_private
from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.schema import SCHEMA_VERSION, statements
from aegis_graph.ledger.sqlite_errors import damaged, explain
from aegis_graph.ledger.store import Connection

T = TypeVar("T")

APPLICATION_ID = 0x41454749
"""Marks the file as ours ("AEGI" in ASCII), so that no other program's database is written to."""

IN_MEMORY = Path(":memory:")
"""SQLite's name for a database without a file."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.0001, 0.001
"""Pause before another program's lock is tried again, in seconds; it grows by half each time.

A transaction takes about 0.3 ms. SQLite's own waiting begins at 1 ms and soon is 25 ms, in which
the lock may be free.
"""


class SqliteStore:
    """A ledger's SQLite file.

    Args:
        path: The file; its folder is made when it is first written.
        busy_timeout_s: How long to wait for another program's lock, in seconds.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)
    unused_ids = (
        "WITH RECURSIVE free (id, more) AS ("
        "SELECT coalesce(max(seq), 0) + 1, ? - 1 FROM sqlite_sequence WHERE name = 'requests'"
        " UNION ALL SELECT id + 1, more - 1 FROM free WHERE more > 0) SELECT id FROM free"
    )

    def __init__(self, path: Path, *, busy_timeout_s: float) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._written: FileId | None = None

    @cached_property
    def key_file(self) -> Path | None:
        """See ``Store.key_file``."""
        # Beside the file itself, like SQLite's own: two names of one ledger have one key.
        return None if self.path == IN_MEMORY else Path(f"{os.path.realpath(self.path)}.key")

    def exists(self) -> bool:
        """See ``Store.exists``; where that cannot be seen, opening it says why."""
        try:
            return self.path.exists()
        except OSError:
            return True

    def open(self) -> Connection:
        """See ``Store.open``."""
        return open_database(self.path, self._busy_timeout_s)

    def open_to_read(self) -> Connection:
        """See ``Store.open_to_read``."""
        return open_to_read(self.path, self._busy_timeout_s)

    def open_to_write(self) -> Connection:
        """See ``Store.open_to_write``."""
        if self._written is not None and file_id(self.path) is None:
            # A new file would have all of the budgets again.
            raise LedgerError(
                f"the ledger {self.path} was deleted while this program used it; put it back, or"
                " start the program again to begin a new one"
            )
        connection = self.open()
        self._written = file_id(self.path)
        # Only ``begin`` meets other programs' locks, and it waits itself.
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    def open_empty(self) -> Connection:
        """See ``Store.open_empty``."""
        return open_database(IN_MEMORY, self._busy_timeout_s)

    async def ask(self, connect: Callable[[], Connection], query: Query[T]) -> T:
        """See ``Store.ask``."""
        # Imported here: a router writes from a thread of its own, without aiosqlite.
        from aegis_graph.ledger.async_sqlite import ask  # noqa: PLC0415

        # What this store opens is SQLite's own connection.
        return await ask(cast("Callable[[], sqlite3.Connection]", connect), query)

    def begin(self, connection: Connection) -> None:
        """See ``Store.begin``."""
        self._check_file()
        # With the lock from the start: one that is only wanted at the first write can be refused
        # after the reads that the write builds on.
        _retry_while_locked(self._busy_timeout_s, connection, "BEGIN IMMEDIATE")

    def _check_file(self) -> None:
        """Make sure that the open file is the one at its place: another is counted there now."""
        here = file_id(self.path)
        if self._written in (None, here):
            return
        # Forgotten only where there is another one, which the next transaction opens.
        self._written = here or self._written
        what = "was deleted or renamed" if here is None else "was replaced by another file"
        raise LedgerError(
            f"the ledger {self.path} {what} while this program used it; no provider was asked"
        )

    def lost(self, connection: Connection) -> bool:
        """See ``Store.lost``; no server could end the use of a file."""
        return False

    def blocked(self, error: Exception) -> bool:
        """See ``Store.blocked``."""
        return _is_busy(error)

    def version(self, connection: Connection) -> int:
        """See ``Store.version``."""
        return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def damage(self) -> Query[LedgerError | None]:
        """See ``Store.damage``."""
        # One fault is enough. Reading every row would not find what no index leads to any more.
        found = yield Statement("PRAGMA integrity_check(1)")
        if found == [("ok",)]:
            return None
        return damaged(self.path, found[0][0])

    def explain(self, error: Exception) -> LedgerError:
        """See ``Store.explain``."""
        return explain(self.path, error)


def open_to_read(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Open a ledger that is there for reading alone, which needs no right to write.

    Raises:
        LedgerError: The file is not ours or was written by a newer version of this package.
        sqlite3.Error: The file cannot be opened or read.
    """
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        connection = _opened_as(address, busy_timeout_s)
    except sqlite3.OperationalError:
        # In a folder that cannot be written SQLite can make no index of the write-ahead log, which
        # it needs only where there is such a log.
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        connection = _opened_as(f"{address}&immutable=1", busy_timeout_s)
    try:
        _refuse_foreign(connection, path)
        if _version(connection) == SCHEMA_VERSION:
            return connection
    except BaseException:
        connection.close()
        raise
    # Of an older version: to read it is to migrate it first.
    connection.close()
    return open_database(path, busy_timeout_s)


def _opened_as(address: str, busy_timeout_s: float) -> sqlite3.Connection:
    connection = _connected(address, busy_timeout_s, uri=True)
    try:
        # Connecting opens nothing yet.
        _version(connection)
        connection.execute("SELECT count(*) FROM sqlite_schema")
    except BaseException:
        connection.close()
        raise
    return connection


def open_database(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Open the file, creating or migrating it where needed.

    Durable: a transaction is on the disk before its caller is answered (``synchronous=FULL``).

    Raises:
        LedgerError: The file is not ours or was written by a newer version of this package.
        sqlite3.Error: The file cannot be opened or read.
        OSError: Its folder cannot be made.
    """
    if path != IN_MEMORY:
        make_private(path)
    connection = _connected(path, busy_timeout_s)
    try:
        _refuse_foreign(connection, path)
        # SQLite does not wait itself when several programs make the file at once.
        _retry_while_locked(busy_timeout_s, connection, "PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connected(
    place: str | Path, busy_timeout_s: float, *, uri: bool = False
) -> sqlite3.Connection:
    # Without an isolation level the driver begins no transactions of its own. One thread may open
    # what another uses then.
    return sqlite3.connect(
        place, timeout=busy_timeout_s, isolation_level=None, uri=uri, check_same_thread=False
    )


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    """Leave a database alone that another program made."""
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    if tables and mark != APPLICATION_ID:
        raise LedgerError(
            f"{path} is a database of another program; set ledger.url to a file of its own"
        )


def _retry_while_locked(timeout_s: float, connection: Connection, statement: str) -> None:
    """Run what another program's lock keeps from running, again and again for so many seconds."""
    deadline, wait_s = time.monotonic() + timeout_s, FIRST_WAIT_S
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() >= deadline:
                raise
            time.sleep(wait_s)
            wait_s = min(wait_s * 1.5, LONGEST_WAIT_S)
        else:
            return


def _is_busy(error: Exception) -> bool:
    # The lowest byte is the primary code, of which extended ones are kinds.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it while this one waited for the lock.
        done = _version(connection)
        if done > SCHEMA_VERSION:
            raise LedgerError(
                f"{path} has schema version {done}, this program knows {SCHEMA_VERSION}:"
                " upgrade aegis-graph here, or use another ledger.url"
            )
        for statement in statements(SQLITE, done=done):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
