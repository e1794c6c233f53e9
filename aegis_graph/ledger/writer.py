"""One thread that owns one connection and commits what arrives together at once.

A thread of our own rather than a driver's: a transaction is then one hop instead of one per
statement, any event loop and any thread can wait for it, and while one commit is being written the
next batch gathers. No caller is answered before the commit that holds its work. An event loop is
woken once for all that wait there: woken one by one, the first would ask again before the last is
awake, and batches would stay small.

Beside the same statements over aiosqlite, with one hop to its thread for each, a reservation and
its settlement take one caller 0.589 ms instead of 0.914, and 100 callers get 15,959 a second done
instead of 1,110 (``benchmarks/README.md``). What is only read goes over aiosqlite.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from aegis_graph.concurrency.forks import reset_in_child
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.store import Connection, Store


class PendingResult(NamedTuple):
    """What comes of a job, and the task that waits for it."""

    future: Future[Any]
    """Has the outcome, also when its task waits no more."""
    waiter: asyncio.Future[Any] | None
    """Belongs to a task in an event loop."""


T = TypeVar("T")
Job = TypeVar("Job")
_Queued = tuple[Job, PendingResult]

MAX_BATCH = 500
"""Operations in one commit; bounds how long the first of them waits for the last."""

EXIT_WAIT_S = 5.0
"""How long closing waits for the queue to be written, in seconds."""


class Writer(Generic[Job]):
    """Has jobs done on one connection, grouped into transactions.

    Args:
        store: The database.
        prepare: Called with each new connection, inside a transaction of its own.
        perform: Does jobs in the transaction that was begun, and says what came of each.
        committed: Called with the jobs of a transaction whose callers were answered.
    """

    def __init__(
        self,
        store: Store,
        *,
        prepare: Callable[[Connection], None],
        perform: Callable[[Connection, Sequence[Job]], list[Any]],
        committed: Callable[[Sequence[Job]], None] = lambda jobs: None,
    ) -> None:
        self._store = store
        self._perform = perform
        self._committed = committed
        self._failures: tuple[type[Exception], ...] = (LedgerError, *store.errors)
        self._prepare = prepare
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._queue: SimpleQueue[_Queued[Job] | None] = SimpleQueue()
        reset_in_child(self, Writer._forget_thread)

    def _forget_thread(self) -> None:
        """In a forked process: the thread is the parent's, and so is what it has still to write."""
        self._lock, self._thread, self._queue = threading.Lock(), None, SimpleQueue()

    def submit(self, job: Job, waiter: asyncio.Future[Any] | None = None) -> PendingResult:
        """Queue a job. It is done inside a transaction; raising undoes it and it alone.

        Args:
            job: What to do.
            waiter: Gets the outcome in its own event loop, where a task waits.
        """
        pending = PendingResult(Future(), waiter)
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                # The thread before this one may still be writing what is left in its own queue.
                self._queue = SimpleQueue()
                # A daemon, or a database that hangs would keep the interpreter from its exit.
                self._thread = threading.Thread(
                    target=self._serve, args=(self._queue,), name="aegis-ledger", daemon=True
                )
                self._thread.start()
            self._queue.put((job, pending))
        return pending

    def stop(self) -> None:
        """Write what is queued, close the connection and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._queue.put(None)
        # A ledger that is collected on the writer's own thread stops it from there.
        if thread is not None and thread is not threading.current_thread():
            thread.join(EXIT_WAIT_S)

    def _serve(self, queue: SimpleQueue[_Queued[Job] | None]) -> None:
        connection: Connection | None = None
        stopping = False
        try:
            while not stopping:
                batch, stopping = _next_batch(queue)
                if batch:
                    connection = self._commit(batch, connection)
        finally:
            if connection is not None:
                connection.close()

    def _commit(
        self, batch: list[_Queued[Job]], connection: Connection | None
    ) -> Connection | None:
        """Commit a batch and answer its callers; a broken connection is dropped, not reused."""
        try:
            opened = self._begin(connection)
        except Exception as error:  # noqa: BLE001  not lost: it is the callers' answer
            self._fail(batch, error)
            return None
        try:
            jobs = [job for job, _ in batch]
            results = self._transact(opened, lambda: self._perform(opened, jobs), len(jobs))
        except _JobFailedError as failure:
            if not self._store.blocked(failure.error):
                return self._commit_one_by_one(batch, opened, failure)
            # One by one, each would wait as long for the same lock.
            opened.close()
            self._fail(batch, failure.error)
            return None
        except self._failures as error:
            opened.close()
            self._fail(batch, error)
            return None
        # All outcomes first: a task that is woken reads its own from here.
        for (_, pending), result in zip(batch, results, strict=True):
            pending.future.set_result(result)
        wake_waiting(pending for _, pending in batch)
        self._committed(jobs)
        return opened

    def _commit_one_by_one(
        self, batch: list[_Queued[Job]], connection: Connection, failure: _JobFailedError
    ) -> Connection | None:
        """One job's fault undid the others' work: each gets a transaction of its own."""
        try:
            connection.execute("ROLLBACK")
        except self._failures as error:
            connection.close()
            self._fail(batch, error)
            return None
        if len(batch) == 1:
            self._fail(batch, failure.error)
            return connection
        left: Connection | None = connection
        for item in batch:
            left = self._commit([item], left)
        return left

    def _fail(self, batch: list[_Queued[Job]], error: Exception) -> None:
        if isinstance(error, LedgerError):
            reason = error
        elif isinstance(error, self._store.errors):
            reason = self._store.explain(error)
        else:
            reason = LedgerError(f"this cannot be recorded: {error}")
            reason.__cause__ = error
        for _, pending in batch:
            pending.future.set_exception(_copy_of(reason))
        wake_waiting(pending for _, pending in batch)

    def _begin(self, connection: Connection | None) -> Connection:
        """A connection in a transaction; one that was lost since the last batch is replaced."""
        if connection is not None:
            try:
                self._store.begin(connection)
            except self._failures:
                # Asked before closing, after which every connection looks lost.
                lost = self._store.lost(connection)
                connection.close()
                if not lost:
                    raise
            else:
                return connection
        connection = self._connect()
        try:
            self._store.begin(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> Connection:
        connection = self._store.open_to_write()
        try:
            self._store.begin(connection)
            self._transact(connection, lambda: self._prepare(connection), 1)
        except _JobFailedError as failure:
            connection.close()
            raise failure.error from failure
        except BaseException:
            connection.close()
            raise
        return connection

    def _transact(self, connection: Connection, work: Callable[[], T], jobs: int) -> T:
        """Work for so many jobs in the transaction that was begun, and commit it."""
        try:
            results = work()
        except Exception as error:
            raise _JobFailedError(error) from error
        try:
            connection.execute("COMMIT")
        except self._failures as error:
            # A statement whose result was not awaited can fail as late as here: some job's fault.
            if jobs > 1 and not self._store.lost(connection):
                raise _JobFailedError(error) from error
            raise
        return results


class _JobFailedError(Exception):
    """A job raised something; the others of its batch may be sound."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _next_batch(queue: SimpleQueue[_Queued[Job] | None]) -> tuple[list[_Queued[Job]], bool]:
    """Wait for work and take all that is there; the flag says that the thread is to stop."""
    item = queue.get()
    batch: list[_Queued[Job]] = []
    while item is not None:
        batch.append(item)
        if len(batch) == MAX_BATCH:
            return batch, False
        try:
            item = queue.get_nowait()
        except Empty:
            return batch, False
    return batch, True


def _copy_of(error: LedgerError) -> LedgerError:
    """A copy for each caller: one exception object raised in many tasks mixes their tracebacks."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy


def wake_waiting(results: Iterable[PendingResult]) -> None:
    """Wake the tasks that wait for outcomes that are there."""
    loops: dict[asyncio.AbstractEventLoop, list[PendingResult]] = defaultdict(list)
    for pending in results:
        if pending.waiter is not None:
            loops[pending.waiter.get_loop()].append(pending)
    for loop, theirs in loops.items():
        with suppress(RuntimeError):  # a loop that was closed: no task waits there
            loop.call_soon_threadsafe(_wake, theirs)


def _wake(results: Iterable[PendingResult]) -> None:
    for future, waiter in results:
        if waiter is None or waiter.done():
            continue
        error = future.exception()
        if error is None:
            waiter.set_result(future.result())
        else:
            waiter.set_exception(error)


async def outcome(pending: PendingResult) -> Any:
    """Wait for the writer; giving up the wait does not call the work back."""
    waiter = pending.waiter
    assert waiter is not None, "asked for by a task"
    try:
        return await waiter
    except asyncio.CancelledError:
        if not waiter.cancelled():
            waiter.exception()  # Read, or asyncio reports an exception that was never retrieved.
        raise
