"""What one transaction does for all the callers that wait for it: admit, settle, sweep.

All that the operations need is read at once, each is decided in memory in its turn, and what they
changed is written at once: the number of statements hardly grows with the number of callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any, TypeGuard, cast

from aegis_graph.clock import Clock
from aegis_graph.errors import LedgerError
from aegis_graph.ledger import budgets, rows
from aegis_graph.ledger.alerts import Alert
from aegis_graph.ledger.approvals import Approval
from aegis_graph.ledger.limit_counts import LimitCounts
from aegis_graph.ledger.limits import LimitRefusal
from aegis_graph.ledger.prompt_hashes import PromptHashes
from aegis_graph.ledger.raises import Raises
from aegis_graph.ledger.records import Admission, Budget, BudgetRefusal, FailedRequest, Hold
from aegis_graph.ledger.rows import AttemptRow
from aegis_graph.ledger.settlements import changes_of_totals
from aegis_graph.ledger.store import Connection
from aegis_graph.ledger.totals import Totals
from aegis_graph.ledger.windows import Calendar, Days
from aegis_graph.types import SettlementRecord


@dataclass(frozen=True, slots=True)
class LedgerOperation:
    """What one caller wants done, as a whole or not at all."""

    settle: Sequence[SettlementRecord] = ()
    """Attempts that ended."""
    holds: Sequence[Hold] = ()
    """Of which the first that fits is made, after the settlements."""
    approval: Approval | None = None
    """Of more money, where budgets are in the way of the holds."""
    failed_request: FailedRequest | None = None
    """A request that ended without an answer."""
    sweep: bool = False
    """Whether overdue holds become spending before all that."""


Job = LedgerOperation | Callable[[Connection], Any]
"""What is done in one transaction with others: an operation, or anything else."""


@dataclass(frozen=True, slots=True)
class TransactionRunner:
    """Does jobs in a transaction that was begun and that no other writer's overlaps.

    Args:
        unused_ids: SQL that gives as many unused numbers of rows as its parameter says.
        clock: Returns the present as an aware datetime in UTC.
        calendar: When days, weeks and months begin.
        hashes: Puts the ledger's key on the digests of prompts.
    """

    unused_ids: str
    clock: Clock
    calendar: Calendar
    hashes: PromptHashes

    def perform(self, connection: Connection, jobs: Sequence[Job]) -> list[Any]:
        """Do jobs in their order, operations that follow each other at once."""
        # In the order of arrival: an admission finds the limits that were set before it.
        results: list[Any] = []
        for alike, group in groupby(jobs, key=lambda job: isinstance(job, LedgerOperation)):
            if alike:
                results += self.apply(connection, cast("list[LedgerOperation]", list(group)))
            else:
                results += [job(connection) for job in group if callable(job)]
        return results

    def apply(
        self, connection: Connection, operations: Sequence[LedgerOperation]
    ) -> list[Admission]:
        """Do what callers want.

        Returns:
            For each operation the hold that was made, if any, and the alerts that became due.

        Raises:
            LedgerError: A settlement is of a row that the ledger does not know.
        """
        transaction = _Transaction(connection, self.clock(), self.calendar)
        transaction.read(operations, self.unused_ids, self.hashes)
        outcomes = [transaction.decide(operation) for operation in operations]
        transaction.write()
        return outcomes

    def sweep(self, connection: Connection) -> int:
        """Turn overdue holds into spending; count them."""
        totals = Totals(connection)
        lost = rows.sweep(connection, self.clock()).fetchall()
        _count_expired(lost, totals)
        totals.write()
        return len(lost)


def _count_expired(rows: Iterable[Any], totals: Totals) -> None:
    for lost in map(AttemptRow.of, rows):
        totals.add(lost.day, lost.scopes, (lost.hold, -lost.hold, 0, 1, 0, 0, -1, 0, 0))


class _Transaction:
    """What one transaction has read, and what it is going to write."""

    def __init__(self, connection: Connection, now: datetime, calendar: Calendar) -> None:
        self._connection = connection
        self._now = now
        today = calendar.day(now)
        self._day = today.isoformat()
        self._windows = calendar.windows(today)
        self._totals = Totals(connection)
        self._counts = LimitCounts(connection, self._totals, now, calendar)
        self._raises = Raises(connection, now)
        self._limits: list[Budget] = []
        self._attempts: dict[int, AttemptRow] = {}
        self._free_ids: Iterator[int] = iter(())
        self._new_holds: list[tuple[int, Hold]] = []
        self._settled: list[SettlementRecord] = []
        self._refused: list[SettlementRecord] = []
        self._failed_requests: list[FailedRequest] = []
        self._hash: Callable[[str], str] = str
        """How a prompt's digest is written; set where one will be."""

    def read(
        self, operations: Sequence[LedgerOperation], unused_ids: str, hashes: PromptHashes
    ) -> None:
        """Look up everything that the operations will need."""
        # All is asked before anything is fetched: over a network it travels together. The sweep
        # comes first, so that the attempts are read as it leaves them.
        swept = None
        if any(operation.sweep for operation in operations):
            swept = rows.sweep(self._connection, self._now)
        ids = [record["hold_id"] for operation in operations for record in operation.settle]
        answers = rows.select_attempts(self._connection, ids)
        limits = budgets.select_limits(self._connection)
        needed = sum(bool(operation.holds) for operation in operations)
        free = self._connection.execute(unused_ids, (needed,)) if needed else ()
        failed = any(operation.failed_request for operation in operations)
        facts = hashes.select(self._connection) if needed or failed else None
        _count_expired(swept or (), self._totals)
        self._attempts = {row.id: row for answer in answers for row in map(AttemptRow.of, answer)}
        self._limits = budgets.limits_of(limits.fetchall())
        self._free_ids = iter([int(row[0]) for row in free])
        self._totals.read(self._needed(operations))
        self._counts.read(hold for operation in operations for hold in operation.holds)
        if facts is not None:
            self._hash = hashes.hasher(self._connection, facts)

    def _needed(self, operations: Iterable[LedgerOperation]) -> Iterator[tuple[str, Days]]:
        """The sums that admissions and alerts will ask for."""
        for operation in operations:
            for hold in operation.holds:
                yield from ((scope, days) for _, scope, days in self._limits_of(hold))
                yield from self._counts.needed_totals(hold)
            for record in operation.settle:
                if (row := self._attempts.get(record["hold_id"])) is not None:
                    for limit in self._limits:
                        scope = limit.matching_scope(row.scopes)
                        if limit.alert_at is not None and scope is not None:
                            yield scope, self._windows[limit.window]

    def _limits_of(self, hold: Hold) -> Iterator[tuple[Budget, str, Days]]:
        """Each limit that a hold must fit into, with the scope and the days that it is about."""
        # What costs nothing fits even where nothing is left.
        if hold.nano_usd == 0:
            return
        scopes, run_budget = hold.scopes(), hold.run_budget()
        for limit in self._limits if run_budget is None else [*self._limits, run_budget]:
            scope = limit.matching_scope(scopes)
            if scope is not None:
                yield limit, scope, self._windows[limit.window]

    def decide(self, operation: LedgerOperation) -> Admission:
        """Decide one operation."""
        # What the settlements free may be what the hold needs.
        spent = [scope for record in operation.settle for scope in self._settle(record)]
        alerts = self._due_alerts(list(dict.fromkeys(spent)))
        if operation.failed_request is not None:
            self._failed_requests.append(operation.failed_request)
        admission = self._admission(operation.holds, operation.approval)
        return replace(admission, alerts=alerts) if alerts else admission

    def _admission(self, holds: Sequence[Hold], approval: Approval | None) -> Admission:
        if approval is not None and not self._raises.is_new(approval):
            approval = None
        refusals: list[BudgetRefusal | LimitRefusal] = []
        for index, hold in enumerate(holds):
            refusal = self._refusal(hold)
            if approval is not None and _is_mended(refusal, by=approval):
                self._raises.add(approval, refusal, hold.request.route_id)
                approval, refusal = None, self._refusal(hold)
            if refusal is None:
                return Admission(self._reserve(hold), index, tuple(refusals))
            refusals.append(refusal)
            if hold.waits and isinstance(refusal, LimitRefusal):
                break
        full = next((one for one in refusals if isinstance(one, BudgetRefusal)), None)
        if approval is not None and full is not None:
            # Too little for any hold. It counts all the same: the next question is for the rest.
            self._raises.add(approval, full, holds[0].request.route_id)
            return self._admission(holds, None)
        return Admission(None, None, tuple(refusals))

    def _refusal(self, hold: Hold) -> BudgetRefusal | LimitRefusal | None:
        full = []
        for limit, scope, days in self._limits_of(hold):
            used = sum(self._totals.used(scope, days))
            if used + hold.nano_usd > limit.limit_nano_usd:
                raised = self._raises.in_force(limit, scope, days)
                if used + hold.nano_usd > raised.limit_nano_usd:
                    full.append(
                        BudgetRefusal(hold.provider, raised, scope, used, hold.nano_usd, days)
                    )
        if full:
            return replace(full[0], others=tuple(full[1:]))
        # Last, because of waiting only they are mended.
        return self._counts.refusal(hold)

    def _reserve(self, hold: Hold) -> int:
        number = next(self._free_ids)
        self._new_holds.append((number, hold))
        self._totals.add(self._day, hold.scopes(), (0, hold.nano_usd, 1, 0, 0, 0, 1, 0, 0))
        self._counts.reserve(hold)
        return number

    def _settle(self, record: SettlementRecord) -> Sequence[str]:
        """Replace one hold by its real cost; a second settlement may only refuse an answer.

        Returns:
            The scopes in which something was spent.
        """
        row = self._attempts.get(record["hold_id"])
        if row is None:
            raise LedgerError(
                f"the ledger has no row {record['hold_id']}: was the database replaced while"
                " the program was running?"
            )
        changes = changes_of_totals(row.status, row.hold, record)
        if changes is None:
            return ()
        # A second settlement may come in the same batch.
        self._attempts[row.id] = row._replace(status=record["status"])
        self._totals.add(row.day, row.scopes, changes)
        if row.status == "answered":
            self._refused.append(record)
            return ()
        self._settled.append(record)
        self._counts.settle(row, record)
        return row.scopes if record["cost_nano_usd"] else ()

    def _due_alerts(self, scopes: Sequence[str]) -> tuple[Alert, ...]:
        """The alerts that spending in these scopes has just made due, each once per window."""
        due = []
        for limit in self._limits if scopes else ():
            scope = limit.matching_scope(scopes)
            if limit.alert_at is None or scope is None:
                continue
            days = self._windows[limit.window]
            spent, _ = self._totals.used(scope, days)
            if spent < limit.limit_nano_usd * limit.alert_at:
                continue
            most = self._raises.in_force(limit, scope, days).limit_nano_usd
            # The database decides which of several processes gives it.
            if spent >= most * limit.alert_at and budgets.record_alert(
                self._connection, scope, limit.window, days.first
            ):
                due.append(Alert(scope, limit.window, most, spent, days.first))
        return tuple(due)

    def write(self) -> None:
        """Bring the tables up to date; nothing of it is waited for before the commit."""
        rows.write_holds(self._connection, self._new_holds, self._now, self._day, self._hash)
        rows.write_settlements(self._connection, self._settled)
        rows.write_refusals(self._connection, self._refused)
        rows.write_failed_requests(self._connection, self._failed_requests, self._now, self._hash)
        self._totals.write()
        self._counts.write()


def _is_mended(
    refusal: BudgetRefusal | LimitRefusal | None, *, by: Approval
) -> TypeGuard[BudgetRefusal]:
    """Whether an approval makes room in every budget that was in the way of a hold."""
    return isinstance(refusal, BudgetRefusal) and refusal.lacking_nano_usd <= by.nano_usd
