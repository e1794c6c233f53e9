"""The default store: one SQLite file in WAL mode, shared by any number of processes on one host."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from aegis_graph.ledger import entries, report
from aegis_graph.ledger.base import (
    Admission,
    Budget,
    BudgetStatus,
    Clock,
    CostRow,
    GroupBy,
    Hold,
    Unanswered,
    unused_hold,
)
from aegis_graph.ledger.sqlite_file import explain, open_database
from aegis_graph.ledger.writer import Writer
from aegis_graph.specs import LedgerSpec
from aegis_graph.state import SettlementRecord

T = TypeVar("T")

logger = logging.getLogger(__name__)


class SqliteLedger:
    """A ledger in one file.

    Nothing is opened before the first operation. After a failure the file is opened again.

    Args:
        spec: Where the file is, whose midnight ends a day, and how long to wait for a lock.
        budgets: The limits to enforce.
        clock: Returns the present as an aware datetime in UTC.

    Example:
        >>> import asyncio, tempfile
        >>> from datetime import UTC, datetime
        >>> from aegis_graph.specs import LedgerSpec
        >>> folder = tempfile.TemporaryDirectory()
        >>> spec = LedgerSpec(url=f"sqlite:///{folder.name}/costs.db")
        >>> ledger = SqliteLedger(spec, budgets=(), clock=lambda: datetime.now(UTC))
        >>> asyncio.run(ledger.budgets())
        []
        >>> ledger.close(); folder.cleanup()
    """

    def __init__(self, spec: LedgerSpec, *, budgets: Sequence[Budget], clock: Clock) -> None:
        self.path = Path(spec.url.removeprefix("sqlite:///"))
        self._zone = spec.zone
        self._budgets = tuple(budgets)
        self._clock = clock
        self._busy_timeout_s = spec.busy_timeout_s
        self._explain = partial(explain, self.path)
        self._writer = Writer(partial(open_database, self.path, spec.busy_timeout_s), self._explain)
        # Also at the interpreter's exit: what is queued is written before the thread dies.
        weakref.finalize(self, self._writer.stop)

    async def admit(
        self, holds: Sequence[Hold], *, settle: Sequence[SettlementRecord] = ()
    ) -> Admission:
        """See ``Ledger.admit``."""

        def work(connection: sqlite3.Connection) -> Admission:
            now = self._clock()
            for settlement in settle:
                entries.settle(connection, settlement)
            entries.sweep(connection, now)
            return entries.admit(connection, holds, budgets=self._budgets, now=now, zone=self._zone)

        future = self._writer.submit(work)
        try:
            return await _outcome(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._release)
            raise

    async def settle(
        self, settlements: Sequence[SettlementRecord], *, unanswered: Unanswered | None = None
    ) -> None:
        """See ``Ledger.settle``."""

        def work(connection: sqlite3.Connection) -> None:
            for settlement in settlements:
                entries.settle(connection, settlement)
            if unanswered is not None:
                entries.note_unanswered(connection, unanswered, self._clock())

        await _outcome(self._writer.submit(work))

    def settle_soon(self, settlement: SettlementRecord) -> None:
        """See ``Ledger.settle_soon``."""
        future = self._writer.submit(lambda connection: entries.settle(connection, settlement))
        future.add_done_callback(_complain)

    async def sweep(self) -> int:
        """See ``Ledger.sweep``."""
        return await _outcome(
            self._writer.submit(lambda connection: entries.sweep(connection, self._clock()))
        )

    async def budgets(self) -> list[BudgetStatus]:
        """See ``Ledger.budgets``."""
        return await self._read(
            lambda connection: report.budgets(
                connection, self._budgets, now=self._clock(), zone=self._zone
            )
        )

    async def costs(self, by: GroupBy, *, first_day: str, end_day: str) -> list[CostRow]:
        """See ``Ledger.costs``."""
        return await self._read(
            lambda connection: report.costs(connection, by, first_day=first_day, end_day=end_day)
        )

    async def check(self) -> int:
        """See ``Ledger.check``."""
        return await _outcome(
            self._writer.submit(
                lambda connection: int(connection.execute("PRAGMA user_version").fetchone()[0])
            )
        )

    def close(self) -> None:
        """See ``Ledger.close``."""
        self._writer.stop()

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query on a connection of its own: a report delays nobody's admission.

        A ledger that was never written to is not created by asking.
        """

        def work() -> T:
            try:
                path = self.path if self.path.exists() else Path(":memory:")
                with closing(open_database(path, self._busy_timeout_s)) as connection:
                    return query(connection)
            except (sqlite3.Error, OSError) as error:
                raise self._explain(error) from error

        return await asyncio.to_thread(work)

    def _release(self, future: Future[Admission]) -> None:
        """Give back a hold whose caller is gone before it learned of it."""
        if future.exception() is None and (number := future.result().hold_id) is not None:
            self.settle_soon(unused_hold(number))


async def _outcome(future: Future[T]) -> T:
    """Wait for the writer; giving up the wait does not call the work back."""
    waiting = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        waiting.add_done_callback(_forget)
        raise


def _forget(waiting: asyncio.Future[T]) -> None:
    """Take note of the outcome, so that asyncio does not report it as never retrieved."""
    if not waiting.cancelled():
        waiting.exception()


def _complain(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        # The hold stays and expires into spending, so no money is lost, only precision.
        logger.error("a settlement could not be written: %s", error)
