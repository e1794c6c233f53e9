"""The items of a job as its batches need them: run, and kept with what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from langchain_core.runnables import RunnableConfig

from aegis_graph.bulk.batch.records import HOLDER
from aegis_graph.bulk.envelope import JobLedger
from aegis_graph.bulk.item_run import GraphRunner, InvokeItem, ItemEnd
from aegis_graph.bulk.records import LeasedItem
from aegis_graph.bulk.results import ResultParts
from aegis_graph.bulk.verdicts import VerdictKind, error_line
from aegis_graph.bulk.writing import ResultWriter


class PutBack(NamedTuple):
    """An item without a result, which is not to be held against it."""

    kind: VerdictKind
    reason: str


class BatchItems:
    """Runs and keeps the items that batches have.

    Args:
        runner: Runs items.
        writer: Says what they cost, and whose fault it is where there is no result.
        money: The job's part of the ledger.
        parts: Of the results.
    """

    def __init__(
        self,
        runner: GraphRunner,
        writer: ResultWriter,
        money: JobLedger,
        parts: ResultParts,
    ) -> None:
        self._runner = runner
        self._writer = writer
        writer.worker = HOLDER
        self._money = money
        self._parts = parts
        self._put_back: dict[str, PutBack] = {}
        self._done = 0

    def config_of(self, key: str) -> RunnableConfig:
        """With which an item is run."""
        return self._runner.config_of(key)

    async def begin(self, holds: Mapping[str, int]) -> None:
        """Look whether earlier processes had begun to read the answers to items.

        Args:
            holds: The reservation of each item's line, by its key.
        """
        calls = await asyncio.to_thread(self._money.calls_of, list(holds))
        beyond = {key: one.last_id for key, one in calls.items() if one.last_id > holds[key]}
        self._writer.remember(beyond)

    async def run(self, item: LeasedItem, invoke: InvokeItem | None = None) -> ItemEnd:
        """Run an item, by the job's graph or in another way."""
        before = self._done
        end = await self._runner.run(item, invoke)
        if end.error is None:
            self._done += 1
        else:
            found = await asyncio.to_thread(self._writer.verdict, end, self._done > before)
            if found is not None and found.kind != "own":
                self._put_back[item.key] = PutBack(found.kind, error_line(end.error))
        return end

    async def keep(self, ends: Sequence[ItemEnd]) -> list[PutBack]:
        """Keep what came of items.

        Returns:
            Those that were put back.

        Raises:
            StoreError: The job's file cannot be written; then nothing was kept.
            LedgerError: The ledger cannot be read; neither.
        """
        return await asyncio.to_thread(self._keep, ends)

    def _keep(self, ends: Sequence[ItemEnd]) -> list[PutBack]:
        self._parts.export_full(self._writer.exchange(ends, 0).done)
        found = (self._put_back.pop(end.item.key, None) for end in ends)
        return [one for one in found if one is not None]
