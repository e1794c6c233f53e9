"""One SQLite file that holds an index: who may open it how, and what is wrong where that fails."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from aegis_graph.components.index.schema import (
    APPLICATION_ID,
    LAYOUT,
    LEFT_OUT,
    PAGE_BYTES,
    TABLES,
)
from aegis_graph.errors import StoreError
from aegis_graph.ledger.private_file import FileId, file_id, make_private

BUSY_TIMEOUT_S = 120.0
"""How long a writer waits for another one, in seconds: each holds the lock for one batch."""


class IndexFile:
    """The file of an index. Each use opens it anew, so it outlives no fork, thread or loop.

    Readers see the index as it was when they began and wait for no writer; writers wait for each
    other.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: FileId | None = None

    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.exists()

    def check_exists(self) -> None:
        """Make sure that there is a file.

        Raises:
            StoreError: There is none.
        """
        if not self.exists():
            raise StoreError(
                f"{self.path}: there is no index, or no longer; make it with: aegis index PATH"
            )

    def open_to_read(self) -> sqlite3.Connection:
        """Open the index for reading alone, which needs no right to write.

        Raises:
            StoreError: It is not there, or is no index that this version reads.
        """
        self.check_exists()
        with self._explained():
            address = f"{self.path.absolute().as_uri()}?mode=ro"
            try:
                connection = self._checked(address)
            except sqlite3.OperationalError:
                # A folder that cannot be written has no room for the log's index, which only a log
                # needs.
                log = self.path.with_name(f"{self.path.name}-wal")
                if log.exists() and log.stat().st_size:
                    raise
                connection = self._checked(f"{address}&immutable=1")
            return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The index, made where it is not there, for statements in transactions of their own.

        Raises:
            StoreError: It cannot be written, or is no index that this version reads.
        """
        with self._explained():
            self._make()
            address = f"{self.path.absolute().as_uri()}?mode=rw"
            with closing(self._checked(address)) as connection:
                self._written = file_id(self.path)
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(LEFT_OUT)
                yield connection

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """A transaction that has the right to write from its beginning.

        Raises:
            StoreError: Another file is at the index's place, or none: what was written is lost.
        """
        if file_id(self.path) != self._written:
            raise StoreError(
                f"{self.path}: the index was deleted or replaced while it was written; index again"
            )
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    def _make(self) -> None:
        if self.exists():
            return
        # Made elsewhere and put in its place whole, so that no process ever sees half of it.
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder, "index.db")
            with closing(sqlite3.connect(draft)) as connection:
                connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {LAYOUT}")
                connection.executescript(TABLES)
                connection.execute("PRAGMA journal_mode = WAL")
            make_private(self.path, draft.read_bytes())

    def _checked(self, address: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            address, timeout=BUSY_TIMEOUT_S, isolation_level=None, uri=True, check_same_thread=False
        )
        try:
            mark = connection.execute("PRAGMA application_id").fetchone()[0]
            layout = connection.execute("PRAGMA user_version").fetchone()[0]
            connection.execute("SELECT count(*) FROM sqlite_schema")
            self._refuse(mark, layout)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse(self, mark: int, layout: int) -> None:
        if mark != APPLICATION_ID:
            raise StoreError(f"{self.path}: is no index of this package; name another file")
        if layout > LAYOUT:
            raise StoreError(
                f"{self.path}: was made by a newer version of this package (layout {layout}, this"
                f" one reads {LAYOUT}); update the package, or name another file"
            )
        if layout < LAYOUT:
            raise StoreError(
                f"{self.path}: was made by an older version of this package (layout {layout}, this"
                f" one reads {LAYOUT}); delete the file and index again"
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise self.explain(error) from error

    def explain(self, error: Exception) -> StoreError:
        """What is wrong with the index, in one line."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_READONLY or isinstance(error, PermissionError):
            what = "may not be written; allow it, or name another file"
        elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            what = "another process writes it for too long; try again when it is done"
        elif code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            what = f"is damaged ({error}); delete the file and index again"
        else:
            what = f"cannot be used as an index ({error}); check the place and the disk"
        return StoreError(f"{self.path}: {what}")


def index_path(named: str | os.PathLike[str], folder: Path) -> Path:
    """The file of an index: a path as it is, and a mere name as a file of a folder.

    Args:
        named: ``docs``, or a path: what has a folder or the ending ``.db``.
        folder: Where indexes with a mere name are.

    Example:
        >>> index_path("docs", Path("/data")).as_posix(), index_path("x/docs.db", Path()).as_posix()
        ('/data/docs.db', 'x/docs.db')
    """
    path = Path(named).expanduser()
    is_name = isinstance(named, str) and path.name == named and path.suffix != ".db"
    return folder / f"{named}.db" if is_name else path
