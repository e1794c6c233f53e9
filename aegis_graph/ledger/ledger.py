"""The ledger over any SQL store: each operation is one short transaction on the writer's thread."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from decimal import Decimal
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, TypeVar, cast

from pydantic import ValidationError

from aegis_graph.clock import Clock
from aegis_graph.config.specs import BudgetSpec
from aegis_graph.errors import ConfigError, ReadOnlyLedgerError
from aegis_graph.ledger import budgets
from aegis_graph.ledger.admission_queue import AdmissionQueue
from aegis_graph.ledger.alerts import Alert
from aegis_graph.ledger.alerts_now import alerts_now
from aegis_graph.ledger.approvals import Approval, BudgetRaise
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.prompt_hashes import PromptHashes
from aegis_graph.ledger.raises import raises
from aegis_graph.ledger.reader import LedgerReader
from aegis_graph.ledger.records import Admission, Budget, BudgetStatus, FailedRequest, Hold
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.ledger.store import Connection, Store, answered
from aegis_graph.ledger.transaction import Job, LedgerOperation, TransactionRunner
from aegis_graph.ledger.windows import Calendar
from aegis_graph.ledger.writer import PendingResult, Writer, outcome
from aegis_graph.types import SettlementRecord, Window

if TYPE_CHECKING:
    from aegis_graph.ledger.corrections import Correction
    from aegis_graph.ledger.limit_status import LimitStatus

T = TypeVar("T")

logger = logging.getLogger(__name__)


class SqlLedger(LedgerReader):
    """A ledger in a database.

    Nothing is opened before the first operation. After a failure the database is opened again.

    Args:
        store: The database.
        limits: The limits of the configuration; they seed those in the database.
        calendar: When days, weeks and months begin.
        clock: Returns the present as an aware datetime in UTC.
        hashes: Has the key of the hashes of prompts, by default from the store's place for it.
    """

    def __init__(
        self,
        store: Store,
        *,
        limits: Sequence[Budget],
        calendar: Calendar,
        clock: Clock,
        hashes: PromptHashes | None = None,
    ) -> None:
        super().__init__(store, limits)
        current = self._limits
        self._calendar = calendar
        self._clock = clock
        seeded = self._seeded = Event()
        queue = self.queue = AdmissionQueue()

        # These refer to nothing of this object, so that the writer does not keep it alive.
        def committed(jobs: Sequence[Job]) -> None:
            if any(isinstance(job, LedgerOperation) and job.settle for job in jobs):
                queue.wake()

        def prepare(connection: Connection) -> None:
            budgets.seed(connection, current)
            seeded.set()

        self._runner = TransactionRunner(
            store.unused_ids, clock, calendar, hashes or PromptHashes(store)
        )
        self._writer = Writer[Job](
            store, prepare=prepare, perform=self._runner.perform, committed=committed
        )
        # Also at the interpreter's exit: what is queued is written before the thread dies.
        weakref.finalize(self, self._writer.stop)

    async def admit(
        self,
        holds: Sequence[Hold],
        *,
        settle: Sequence[SettlementRecord] = (),
        approval: Approval | None = None,
    ) -> Admission:
        """See ``Ledger.admit``."""
        pending = self._submit(LedgerOperation(settle, holds, approval, sweep=True))
        try:
            return cast(Admission, await outcome(pending))
        except asyncio.CancelledError:
            # The commit goes on without its caller: its hold would stay until the lease ends.
            pending.future.add_done_callback(self._release)
            raise

    async def settle(
        self,
        settlements: Sequence[SettlementRecord],
        *,
        failed_request: FailedRequest | None = None,
    ) -> tuple[Alert, ...]:
        """See ``Ledger.settle``."""
        operation = LedgerOperation(settlements, failed_request=failed_request)
        done: Admission = await outcome(self._submit(operation))
        return done.alerts

    def settle_soon(self, settlement: SettlementRecord) -> None:
        """See ``Ledger.settle_soon``."""
        self._writer.submit(LedgerOperation([settlement])).future.add_done_callback(
            _log_failed_settlement
        )

    async def sweep(self) -> int:
        """Turn holds whose lease is over into spending of their full amount; count them."""
        return await self.transact(self._runner.sweep)

    async def budgets(self) -> list[BudgetStatus]:
        """Every budget, with what is spent, held and left in its present window."""
        # The file's limits are in the database once the writer has opened it. A ledger that was
        # never written to is not created by asking.
        if not self._seeded.is_set() and self.store.exists():
            # What may not be written is read as it is.
            with suppress(ReadOnlyLedgerError):
                await self.transact(self.store.version)
        return await self.read(budgets.statuses(self._clock(), self._calendar))

    async def alerts_now(self) -> list[Alert]:
        """The budgets that are spent to their ``alert_at`` now, each as the alert of it."""
        return await self.read(alerts_now(self._clock(), self._calendar))

    async def raises(self, *, most: int = 20) -> list[BudgetRaise]:
        """The budgets that were raised for a window that has not ended, the newest first."""
        return await self.read(raises(self._clock(), self._calendar, most=most))

    async def limits(self, limits: Sequence[UnitLimit]) -> list[LimitStatus]:
        """What is in use now of limits in other units than money, such as a configuration's."""
        # Imported here, as what corrects a ledger is below: no router asks for it.
        from aegis_graph.ledger.limit_status import limit_statuses  # noqa: PLC0415

        return await self.read(limit_statuses(limits, self._clock(), self._calendar))

    async def set_budget(self, scope: str, window: Window, limit_usd: Decimal | None) -> bool:
        """Set a limit, or take it away with ``None``.

        It is in force for the next request of every process, and stays when programs start again,
        until the limit in the file is changed.

        Returns:
            Whether there was something to do: ``False`` when a limit to take away is not there.

        Raises:
            ConfigError: The scope, window or limit is not one.
        """
        # Scope and window are checked as well where the limit is taken away.
        try:
            spec = BudgetSpec(scope=scope, window=window, limit_usd=limit_usd or Decimal(0))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            says = fault["msg"].removeprefix("Value error, ")  # pydantic's word for our own line
            raise ConfigError(f"budget {fault['loc'][0]}: {says}") from error
        limit = None if limit_usd is None else Budget.of(spec).limit_nano_usd

        def work(connection: Connection) -> bool:
            there = {
                (known.scope, known.window) for known in answered(connection, budgets.in_force())
            }
            if limit is None and (scope, window) not in there:
                return False
            budgets.set_limit(connection, scope, window, limit)
            return True

        return await self.transact(work)

    def seed(self, limits: Sequence[Budget]) -> None:
        """See ``Ledger.seed``."""
        # In place: the writer seeds every connection that it opens from this list.
        new = self._limits[:] = tuple(limits)
        work = partial(budgets.seed, budgets=new)
        self._writer.submit(work).future.add_done_callback(_log_failed_seeding)

    async def claim_notice(self, name: str, window: Window, first_day: str) -> bool:
        """Whether this is the first to tell a thing, among all processes, in a window.

        Args:
            name: What is told; no scope of a budget, whose alerts are kept in the same table.
            window: Once in which it is told.
            first_day: When the window began, as an ISO date.
        """
        return await self.transact(
            lambda connection: budgets.record_alert(connection, name, window, first_day)
        )

    async def reconcile(self, hold_id: int, cost_nano_usd: int) -> tuple[Alert, ...]:
        """Give an attempt that never reported its real cost, as its provider's bill says it.

        Returns:
            The alerts that became due.
        """
        from aegis_graph.ledger.maintenance import reconciled  # noqa: PLC0415  as above

        def work(connection: Connection) -> tuple[Alert, ...]:
            settlement = reconciled(connection, hold_id, cost_nano_usd)
            return self._runner.apply(connection, [LedgerOperation([settlement])])[0].alerts

        return await self.transact(work)

    async def correct(self, corrections: Sequence[Correction], *, source: str) -> int:
        """Give rows whose outcome is unknown what a bill says of them; see ``correct``.

        Returns:
            How many were corrected; those that are held no longer stay as they are.
        """
        from aegis_graph.ledger.corrections import correct  # noqa: PLC0415  as above

        return await self.transact(
            lambda connection: correct(connection, corrections, now=self._clock(), source=source)
        )

    async def check(self) -> int:
        """Make sure that the ledger and its key can be used, and return its schema's version."""

        def work(connection: Connection) -> int:
            hashes = self._runner.hashes
            hashes.hasher(connection, hashes.select(connection))
            return self.store.version(connection)

        return await self.transact(work)

    def close(self) -> None:
        """Write what is queued and let go of the store. Use after it opens the store again."""
        self._writer.stop()

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run work in a transaction that no other writer overlaps."""
        return cast(T, await outcome(self._submit(work)))

    def _submit(self, job: Job) -> PendingResult:
        return self._writer.submit(job, asyncio.get_running_loop().create_future())

    def _release(self, future: Future[Admission]) -> None:
        """Give back a hold that was made after its caller had gone."""
        if future.exception() is None and (number := future.result().hold_id) is not None:
            self.settle_soon(unused_hold(number))


def _log_failed_seeding(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        # The limits that were in force still are, and the next opening seeds these.
        logger.error("the budgets of the new configuration could not be written: %s", error)


def _log_failed_settlement(future: Future[tuple[Alert, ...]]) -> None:
    error = future.exception()
    if error is not None:
        # The hold stays and expires into spending, so no money is lost, only precision.
        logger.error("a settlement could not be written: %s", error)
