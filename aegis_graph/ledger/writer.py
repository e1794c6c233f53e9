"""One thread that owns one SQLite connection and commits what arrives together at once.

A thread of our own rather than aiosqlite's: a transaction is then one hop instead of one per
statement, any event loop and any thread can wait for it, and while one commit is being written the
next batch gathers. Nobody is answered before the commit that holds its work.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from aegis_graph.errors import LedgerError

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]
_Item = tuple[Job, Future[Any]]
_Queue = SimpleQueue[_Item | None]

MAX_BATCH = 500
"""Operations in one commit; bounds how long the first of them waits for the last."""

EXIT_WAIT_S = 5.0
"""How long closing waits for the queue to be written, in seconds."""

_BAD_VALUE = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)
"""The tables refuse what one job wants to write; the connection and the other jobs are sound."""


class Writer:
    """Runs jobs on one connection, grouped into transactions.

    Args:
        open_connection: Opens the database; called on the writer's thread, again after a failure.
        explain: Turns a database error into a ``LedgerError`` with one clear line.
    """

    def __init__(
        self,
        open_connection: Callable[[], sqlite3.Connection],
        explain: Callable[[sqlite3.Error | OSError], LedgerError],
    ) -> None:
        self._open = open_connection
        self._explain = explain
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._queue = _Queue()

    def submit(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Queue a job. It runs inside a transaction; raising undoes it and it alone."""
        future: Future[T] = Future()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._queue = _Queue()
                self._thread = threading.Thread(
                    target=self._serve, args=(self._queue,), name="aegis-ledger", daemon=True
                )
                self._thread.start()
            self._queue.put((job, future))
        return future

    def stop(self) -> None:
        """Write what is queued, close the connection and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._queue.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(EXIT_WAIT_S)

    def _serve(self, queue: _Queue) -> None:
        connection: sqlite3.Connection | None = None
        stopping = False
        try:
            while not stopping:
                batch, stopping = _next_batch(queue)
                if batch:
                    connection = self._carry_out(batch, connection)
        finally:
            if connection is not None:
                connection.close()

    def _carry_out(
        self, batch: list[_Item], connection: sqlite3.Connection | None
    ) -> sqlite3.Connection | None:
        """Commit a batch and answer its callers; a broken connection is dropped, not reused."""
        outcomes: list[Callable[[], None]] = []
        try:
            connection = connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            for job, future in batch:
                outcomes.append(_run(connection, job, future))
            connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001  not lost: it is the answer of every caller
            reason = self._reason(error)
            if connection is not None:
                connection.close()
            for _, future in batch:
                future.set_exception(_again(reason))
            return None
        for answer in outcomes:
            answer()
        return connection

    def _reason(self, error: Exception) -> LedgerError:
        if isinstance(error, LedgerError):
            return error
        if isinstance(error, sqlite3.Error | OSError):
            return self._explain(error)
        reason = LedgerError(f"the ledger cannot be opened: {error}")
        reason.__cause__ = error
        return reason


def _next_batch(queue: _Queue) -> tuple[list[_Item], bool]:
    """Wait for work and take all that is there; the flag says that the thread is to stop."""
    item = queue.get()
    batch: list[_Item] = []
    while item is not None:
        batch.append(item)
        if len(batch) == MAX_BATCH:
            return batch, False
        try:
            item = queue.get_nowait()
        except Empty:
            return batch, False
    return batch, True


def _run(connection: sqlite3.Connection, job: Job, future: Future[Any]) -> Callable[[], None]:
    """Run one job; what it returns or raises reaches its caller after the commit."""
    refused: Exception
    connection.execute("SAVEPOINT job")
    try:
        result = job(connection)
    except _BAD_VALUE as error:
        refused = LedgerError(f"the ledger refuses a value: {error}")
        refused.__cause__ = error
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001  not lost: it is the answer of the job's caller
        refused = error
    else:
        connection.execute("RELEASE job")
        return lambda: future.set_result(result)
    connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")
    return lambda: future.set_exception(refused)


def _again(error: LedgerError) -> LedgerError:
    """A copy for each caller: one exception object raised in many tasks mixes their tracebacks."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
