"""What one transaction does for everybody who waits for it: admit, settle, sweep.

All that the operations need is read at once, each is decided in memory in its turn, and what they
changed is written at once: the number of statements hardly grows with the number of callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, cast

from aegis_graph.clock import Clock
from aegis_graph.errors import LedgerError
from aegis_graph.ledger import budgets, rows
from aegis_graph.ledger.records import Admission, Alert, Budget, Hold, Refusal, Unanswered
from aegis_graph.ledger.rows import OpenRow
from aegis_graph.ledger.store import Connection
from aegis_graph.ledger.totals import Totals
from aegis_graph.ledger.windows import Calendar, Days
from aegis_graph.types import SettlementRecord


@dataclass(frozen=True, slots=True)
class Operation:
    """What one caller wants done, as a whole or not at all."""

    settle: Sequence[SettlementRecord] = ()
    """Attempts that ended."""
    holds: Sequence[Hold] = ()
    """Of which the first that fits is made, after the settlements."""
    unanswered: Unanswered | None = None
    """A request that ended without an answer."""
    sweep: bool = False
    """Whether holds whose lease is over become spending before all that."""


Job = Operation | Callable[[Connection], Any]
"""What is done in one transaction with others: an operation, or anything else."""


@dataclass(frozen=True, slots=True)
class Bookkeeper:
    """Does jobs in a transaction that was begun and that nobody else's overlaps.

    Args:
        numbers: SQL that gives as many unused numbers of rows as its parameter says.
        clock: Returns the present as an aware datetime in UTC.
        calendar: When days, weeks and months begin.
    """

    numbers: str
    clock: Clock
    calendar: Calendar

    def perform(self, connection: Connection, jobs: Sequence[Job]) -> list[Any]:
        """Do jobs in their order, operations that follow each other at once."""
        results: list[Any] = []
        for alike, group in groupby(jobs, key=lambda job: isinstance(job, Operation)):
            if alike:
                results += self.carry_out(connection, cast("list[Operation]", list(group)))
            else:
                results += [job(connection) for job in group if callable(job)]
        return results

    def carry_out(self, connection: Connection, operations: Sequence[Operation]) -> list[Admission]:
        """Do what callers want.

        Returns:
            For each operation the hold that was made, if any, and the alerts that became due.

        Raises:
            LedgerError: A settlement is of a row that the ledger does not know.
        """
        batch = _Batch(connection, self.clock(), self.calendar)
        batch.read(operations, self.numbers)
        outcomes = [batch.do(operation) for operation in operations]
        batch.write()
        return outcomes

    def sweep(self, connection: Connection) -> int:
        """Turn holds whose lease is over into spending; count them."""
        totals = Totals(connection)
        lost = rows.sweep(connection, self.clock()).fetchall()
        _count_lost(lost, totals)
        totals.write()
        return len(lost)


def _count_lost(rows: Iterable[Any], totals: Totals) -> None:
    for lost in map(OpenRow.of, rows):
        totals.add(lost.day, lost.scopes, (lost.hold, -lost.hold, 0, 1, 0, 0))


class _Batch:
    """What one transaction has read, and what it is going to write."""

    def __init__(self, connection: Connection, now: datetime, calendar: Calendar) -> None:
        self._connection = connection
        self._now = now
        today = calendar.day(now)
        self._day = today.isoformat()
        self._windows = calendar.windows(today)
        self._totals = Totals(connection)
        self._limits: list[Budget] = []
        self._rows: dict[int, OpenRow] = {}
        self._numbers: Iterator[int] = iter(())
        self._made: list[tuple[int, Hold]] = []
        self._settled: list[SettlementRecord] = []
        self._unanswered: list[Unanswered] = []

    def read(self, operations: Sequence[Operation], numbers: str) -> None:
        """Look up everything that the operations will need."""
        # All is asked before anything is fetched: over a network it travels together.
        swept = None
        if any(operation.sweep for operation in operations):
            swept = rows.sweep(self._connection, self._now)
        ids = [record["hold_id"] for operation in operations for record in operation.settle]
        answers = rows.ask_rows(self._connection, ids)
        limits = budgets.ask_limits(self._connection)
        wanting = sum(bool(operation.holds) for operation in operations)
        free = self._connection.execute(numbers, (wanting,)) if wanting else ()
        _count_lost(swept or (), self._totals)
        self._rows = {row.id: row for answer in answers for row in map(OpenRow.of, answer)}
        self._limits = budgets.limits_of(limits)
        self._numbers = iter([int(row[0]) for row in free])
        self._totals.read(self._needed(operations))

    def _needed(self, operations: Iterable[Operation]) -> Iterator[tuple[str, Days]]:
        """The sums that admissions and alerts will ask for."""
        for operation in operations:
            for hold in operation.holds:
                yield from ((scope, days) for _, scope, days in self._touched(hold))
            for record in operation.settle:
                if (row := self._rows.get(record["hold_id"])) is not None:
                    for limit in self._limits:
                        scope = limit.scope_among(row.scopes)
                        if limit.alert_at is not None and scope is not None:
                            yield scope, self._windows[limit.window]

    def _touched(self, hold: Hold) -> Iterator[tuple[Budget, str, Days]]:
        """Each limit that a hold must fit into, with the scope and the days that it is about."""
        if hold.nano_usd == 0:
            return
        scopes, envelope = hold.scopes(), hold.envelope()
        for limit in self._limits if envelope is None else [*self._limits, envelope]:
            scope = limit.scope_among(scopes)
            if scope is not None:
                yield limit, scope, self._windows[limit.window]

    def do(self, operation: Operation) -> Admission:
        """Decide one operation."""
        spent = [scope for record in operation.settle for scope in self._settle(record)]
        alerts = self._due_alerts(list(dict.fromkeys(spent)))
        if operation.unanswered is not None:
            self._unanswered.append(operation.unanswered)
        refusals: list[Refusal] = []
        for index, hold in enumerate(operation.holds):
            refusal = self._refusal(hold)
            if refusal is None:
                return Admission(self._reserve(hold), index, tuple(refusals), alerts)
            refusals.append(refusal)
        return Admission(None, None, tuple(refusals), alerts)

    def _refusal(self, hold: Hold) -> Refusal | None:
        for limit, scope, days in self._touched(hold):
            used = sum(self._totals.used(scope, days))
            if used + hold.nano_usd > limit.limit_nano_usd:
                return Refusal(hold.provider, limit, used, hold.nano_usd)
        return None

    def _reserve(self, hold: Hold) -> int:
        number = next(self._numbers)
        self._made.append((number, hold))
        self._totals.add(self._day, hold.scopes(), (0, hold.nano_usd, 1, 0, 0, 0))
        return number

    def _settle(self, record: SettlementRecord) -> Sequence[str]:
        """Replace one hold by its real cost; a second settlement changes nothing.

        Returns:
            The scopes in which something was spent.
        """
        row = self._rows.get(record["hold_id"])
        if row is None:
            raise LedgerError(
                f"the ledger has no row {record['hold_id']}: was the database replaced while"
                " the program was running?"
            )
        if row.status not in {"reserved", "expired"}:
            return ()
        self._rows[row.id] = row._replace(status=record["status"])
        self._settled.append(record)
        expired = row.status == "expired"
        changes = (
            record["cost_nano_usd"] - (row.hold if expired else 0),
            0 if expired else -row.hold,
            0,
            int(record["status"] != "answered") - int(expired),
            record["input_tokens"] or 0,
            record["output_tokens"] or 0,
        )
        self._totals.add(row.day, row.scopes, changes)
        return row.scopes if record["cost_nano_usd"] else ()

    def _due_alerts(self, scopes: Sequence[str]) -> tuple[Alert, ...]:
        """The alerts that spending in these scopes has just made due, each once per window."""
        due = []
        for limit in self._limits if scopes else ():
            scope = limit.scope_among(scopes)
            if limit.alert_at is None or scope is None:
                continue
            days = self._windows[limit.window]
            spent, _ = self._totals.used(scope, days)
            if spent < limit.limit_nano_usd * limit.alert_at:
                continue
            if budgets.first_alert(self._connection, scope, limit.window, days):
                alert = Alert(scope, limit.window, limit.limit_nano_usd, spent, days.first)
                due.append(alert)
        return tuple(due)

    def write(self) -> None:
        """Bring the tables up to date; nothing of it is waited for before the commit."""
        rows.write_holds(self._connection, self._made, self._now, self._day)
        rows.write_settlements(self._connection, self._settled)
        rows.write_unanswered(self._connection, self._unanswered, self._now)
        self._totals.write()
