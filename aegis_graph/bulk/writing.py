"""What came of runs of items, turned into results and kept. Everything here blocks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from aegis_graph.bulk.envelope import ItemCalls, JobLedger
from aegis_graph.bulk.item_run import ItemEnd
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import ItemOutcome, ItemResult, KnownCalls, LeaseExchange
from aegis_graph.bulk.verdicts import Verdict, error_line, verdict, verdict_by_name
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.rows import timestamp

logger = logging.getLogger(__name__)


class ResultWriter:
    """Keeps the results of one worker, with what they cost.

    Args:
        queue: Of the job.
        money: The job's part of the ledger.
        keeps_answers: Whether the graph finds again what it had paid for.
        began: When the worker began, aware UTC.
    """

    worker: str = ""
    """The worker's name in the queue."""

    def __init__(
        self, queue: WorkQueue, money: JobLedger, *, keeps_answers: bool, began: datetime
    ) -> None:
        self._queue = queue
        self._money = money
        self._keeps_answers = keeps_answers
        self._began = timestamp(began)
        self._last_before: dict[str, int] = {}
        """The last call of an item's earlier runs, where there were any."""
        self._verdicts: dict[str, Verdict] = {}

    def exchange(self, ends: Sequence[ItemEnd], count: int) -> LeaseExchange:
        """Keep what came of items, and take up to so many others.

        Raises:
            StoreError: The job's file cannot be written; then nothing was kept.
            LedgerError: The ledger cannot be read; neither.
        """
        exchange = self._queue.exchange(self.worker, self._results(ends), count)
        for end in ends:
            self._last_before.pop(end.item.key, None)
            self._verdicts.pop(end.item.key, None)
        begun = {item.key: item.last_call for item in exchange.leased if item.begun}
        if begun:
            known = look_again(self._queue, self._money, begun, keeps_answers=self._keeps_answers)
            self._last_before |= {one.key: one.last_call for one in known}
        return exchange

    def remember(self, last_calls: Mapping[str, int]) -> None:
        """Take note of the last calls of runs that broke off, by the keys of their items."""
        self._last_before |= last_calls

    def keep_last(self, ends: Sequence[ItemEnd]) -> None:
        """Keep what came of items at a worker's end, also where the ledger cannot be read.

        Raises:
            StoreError: The job's file cannot be written.
        """
        try:
            results = self._results(ends)
        except LedgerError as error:
            logger.warning("what the last %d items cost is not known: %s", len(ends), error)
            results = [self._result(end, None) for end in ends]
        self._queue.exchange(self.worker, results, 0)

    def _results(self, ends: Sequence[ItemEnd]) -> list[ItemResult]:
        calls = self._money.calls_of([end.item.key for end in ends]) if ends else {}
        return [self._result(end, calls.get(end.item.key, ItemCalls())) for end in ends]

    def verdict(self, end: ItemEnd, others_succeed: bool) -> Verdict | None:
        """Whose fault it is that an item has no result, or one without a model; remembered."""
        if end.error is not None:
            found: Verdict | None = verdict(end.error, others_succeed=others_succeed)
        else:
            found = self._verdict_by_ledger(end.item.key, others_succeed)
        if found is not None:
            self._verdicts[end.item.key] = found
        return found

    def _verdict_by_ledger(self, key: str, others_succeed: bool) -> Verdict | None:
        try:
            names = self._money.unanswered(key, self._began)
        except LedgerError:
            return Verdict("outage")
        return verdict_by_name(names, others_succeed=others_succeed)

    def is_money_held(self, key: str) -> bool:
        """Whether another item that is under way may give money back."""
        try:
            holding = self._money.holding() - {key}
        except LedgerError:
            # Not known; the next item meets the ledger as well.
            return True
        return bool(holding) and bool(self._queue.leased_among(holding))

    def make_room(self) -> None:
        """Free what was set aside on the disk, so that the last results can be written."""
        self._queue.drop_reserve()

    @staticmethod
    def _outcome(end: ItemEnd, found: Verdict | None) -> ItemOutcome:
        if found is None and end.output is not None:
            return "done"
        # Without an output and an error it was not begun.
        return "failed" if found is not None and found.kind == "own" else "pending"

    def _result(self, end: ItemEnd, calls: ItemCalls | None) -> ItemResult:
        known = calls or ItemCalls()
        key = end.item.key
        found = self._verdicts.get(key)
        outcome = self._outcome(end, found)
        twice = None
        if key in self._last_before:
            twice = known.twice_nano_usd(self._last_before[key], keeps_answers=self._keeps_answers)
        return ItemResult(
            key=key,
            outcome=outcome,
            output=end.output if outcome == "done" else None,
            error=None if end.error is None else error_line(end.error),
            cost_nano_usd=end.item.cost_nano_usd if calls is None else known.cost_nano_usd,
            route_ids=known.route_ids,
            seconds=end.seconds,
            doubtful=found is not None and found.is_doubtful,
            twice_nano_usd=twice,
        )


def error_of(end: ItemEnd) -> str:
    """Why an item has no result, in one line."""
    return "the graph answered without a model" if end.error is None else error_line(end.error)


def look_again(
    queue: WorkQueue, money: JobLedger, begun: Mapping[str, int], *, keeps_answers: bool
) -> list[KnownCalls]:
    """Look what interrupted items have paid for, and count what they may have bought twice.

    Args:
        queue: Of the job.
        money: The job's part of the ledger.
        begun: The items, each with the last call that was known before.
        keeps_answers: Whether the graph finds again what it had paid for.

    Returns:
        What is known of those that have called a provider.
    """
    found = money.calls_of(list(begun))
    known = [
        KnownCalls(
            key, calls.last_id, calls.twice_nano_usd(begun[key], keeps_answers=keeps_answers)
        )
        for key, calls in found.items()
    ]
    if known:
        queue.note_calls(known)
    return known
