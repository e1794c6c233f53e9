"""The money of a job: its budget in the ledger, and what its items cost there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, TypeVar

from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.run_calls import RunCall, calls_of_runs, open_runs, unanswered_errors
from aegis_graph.ledger.store import Connection, answered
from aegis_graph.ledger.totals import totals_of
from aegis_graph.ledger.windows import ALL_DAYS

T = TypeVar("T")

TAG = "bulk"
"""The tag by which a job's requests are counted."""


class JobMoney(NamedTuple):
    """What a job has spent and holds, in nano-USD."""

    spent: int
    held: int


@dataclass(frozen=True, slots=True)
class ItemCalls:
    """The calls of an item, in their order."""

    calls: tuple[RunCall, ...] = ()

    @property
    def cost_nano_usd(self) -> int:
        """What they cost; what is held is not counted."""
        return sum(call.nano_usd for call in self.calls if not call.is_open)

    @property
    def route_ids(self) -> tuple[str, ...]:
        """Its requests, each once."""
        return tuple(dict.fromkeys(call.route_id for call in self.calls))

    @property
    def last_id(self) -> int:
        """The number of the last one; 0 where there is none."""
        return self.calls[-1].id if self.calls else 0

    def twice_nano_usd(self, last_before: int, *, keeps_answers: bool) -> int | None:
        """What was bought again at most by the calls after a run that broke off.

        Args:
            last_before: The last call of the runs before.
            keeps_answers: Whether the graph finds again what it had paid for. Then only a call
                with the same prompt can have been bought again; else all of them may.

        Returns:
            ``None`` where nothing was.
        """
        before = [call for call in self.calls if call.id <= last_before and call.nano_usd]
        after = [call for call in self.calls if call.id > last_before and call.nano_usd]
        if keeps_answers:
            known = {call.query_hash for call in before}
            after = [call for call in after if call.query_hash in known]
        if not before or not after:
            return None
        return min(sum(call.nano_usd for call in before), sum(call.nano_usd for call in after))


class JobLedger:
    """A job's part of a ledger. Its blocking methods share one connection, in turns.

    Args:
        ledger: The routers' own.
        name: The job's.
    """

    def __init__(self, ledger: SqlLedger, name: str) -> None:
        self.ledger = ledger
        self.name = name
        self.scope = f"tag:{TAG}={name}"
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def run_id(self, key: str) -> str:
        """The run that an item's calls are counted in; also its thread."""
        return f"{self.name}/{key}"

    def _key(self, run_id: str) -> str:
        return run_id.removeprefix(self.run_id(""))

    async def set_limit(self, limit_usd: Decimal) -> None:
        """Set what the job may cost, in force for the next call of every worker.

        Raises:
            LedgerError: The ledger cannot be written.
        """
        await self.ledger.set_budget(self.scope, "total", limit_usd)

    async def money(self) -> JobMoney:
        """What the job has spent and holds now."""
        return await asyncio.to_thread(self.money_blocking)

    def money_blocking(self) -> JobMoney:
        """As ``money``, in the calling thread."""
        sums = self._ask(totals_of(self.scope, ALL_DAYS))
        return JobMoney(sums.spent_nano_usd, sums.held_nano_usd)

    def calls_of(self, keys: Sequence[str]) -> dict[str, ItemCalls]:
        """The calls of some items; blocks."""
        found = self._ask(calls_of_runs([self.run_id(key) for key in keys]))
        return {self._key(run): ItemCalls(calls) for run, calls in found.items()}

    def holding(self) -> set[str]:
        """The keys of items that hold money now; blocks."""
        runs = self._ask(open_runs())
        return {self._key(run) for run in runs if run.startswith(self.run_id(""))}

    def unanswered(self, key: str, since: str) -> set[str]:
        """The errors of an item's requests without an answer since an instant; blocks."""
        return self._ask(unanswered_errors(self.run_id(key), since))

    def close(self) -> None:
        """Let go of the connection; the ledger itself stays open."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, query: Query[T]) -> T:
        store = self.ledger.store
        with self._lock:
            try:
                if self._connection is None:
                    if not store.exists():
                        return self.ledger.read_blocking(query)
                    self._connection = store.open_to_read()
                return answered(self._connection, query)
            except store.errors as error:
                self._forget()
                raise store.explain(error) from error
