"""The money of a job: its budget in the ledger, and what its items cost there."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.store import LIST_LIMIT, Connection, answered, padded_count
from aegis_graph.ledger.totals import totals_of
from aegis_graph.ledger.windows import ALL_DAYS

T = TypeVar("T")

TAG = "bulk"
"""The tag by which a job's requests are counted."""


class JobMoney(NamedTuple):
    """What a job has spent and holds, in nano-USD."""

    spent: int
    held: int


class LedgerCall(NamedTuple):
    """One call of an item, as its row in the ledger says it."""

    id: int
    route_id: str
    query_hash: str
    nano_usd: int
    """What it cost, or holds as long as that is not known."""
    is_open: bool


@dataclass(frozen=True, slots=True)
class ItemCalls:
    """The calls of an item, in their order."""

    calls: tuple[LedgerCall, ...] = ()

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
        return self._ask(_calls_of({self.run_id(key): key for key in keys}))

    def holding(self) -> set[str]:
        """The keys of items that hold money now; blocks."""
        runs = self._ask(_open_runs())
        start = f"{self.name}/"
        return {run.removeprefix(start) for run in runs if run.startswith(start)}

    def unanswered(self, key: str, since: str) -> set[str]:
        """The errors of an item's requests without an answer since an instant; blocks."""
        return self._ask(_unanswered(self.run_id(key), since))

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


def _calls_of(keys: dict[str, str]) -> Query[dict[str, ItemCalls]]:
    found: defaultdict[str, list[LedgerCall]] = defaultdict(list)
    runs = list(keys)
    for at in range(0, len(runs), LIST_LIMIT):
        for run, *row in (yield _rows_of(runs[at : at + LIST_LIMIT])):
            number, route_id, query_hash, status, cost, hold = row
            is_open = status == "reserved"
            call = LedgerCall(
                int(number), str(route_id), str(query_hash), int(hold if is_open else cost), is_open
            )
            found[keys[str(run)]].append(call)
    return {key: ItemCalls(tuple(calls)) for key, calls in found.items()}


def _rows_of(runs: Sequence[str]) -> Statement:
    number = padded_count(len(runs))
    values: Iterable[Any] = [*runs, *[""] * (number - len(runs))]
    return Statement(
        "SELECT run_id, id, route_id, query_hash, status, cost_nano_usd, hold_nano_usd"
        f" FROM requests WHERE run_id IN ({', '.join('?' * number)}) ORDER BY id",
        tuple(values),
    )


def _open_runs() -> Query[list[str]]:
    rows = yield Statement(
        "SELECT run_id FROM requests WHERE status = 'reserved' AND run_id IS NOT NULL"
    )
    return [str(row[0]) for row in rows]


def _unanswered(run_id: str, since: str) -> Query[set[str]]:
    rows = yield Statement(
        "SELECT error_type FROM unanswered WHERE run_id = ? AND timestamp >= ?", (run_id, since)
    )
    return {str(row[0]) for row in rows}
