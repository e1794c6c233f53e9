"""A job that is open: its terms, its items, its money and its results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aegis_graph.bulk.envelope import JobLedger
from aegis_graph.bulk.graph_source import FoundParts
from aegis_graph.bulk.options import OnProgress
from aegis_graph.bulk.progress_facts import progress_of, rest_nano_usd
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import BulkSummary
from aegis_graph.bulk.results import ResultParts
from aegis_graph.bulk.writing import look_again
from aegis_graph.errors import InvalidRequestError
from aegis_graph.pricing.money import limit_nano_usd
from aegis_graph.request.limits import amount_usd

TICK_S = 0.5
"""How often progress is said, in seconds."""


@dataclass(frozen=True, slots=True)
class JobTerms:
    """What a run of a job was told, checked."""

    limit_usd: Decimal | None
    concurrency: int
    max_attempts: int

    @classmethod
    def of(cls, *, max_cost_usd: object, **counts: int) -> JobTerms:
        """Check the arguments of a run.

        Raises:
            InvalidRequestError: One of them is wrong.
        """
        for name, value in counts.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidRequestError(f"{name}: {value!r} is no whole number from 1")
        limit = None if max_cost_usd is None else amount_usd("max_cost_usd", max_cost_usd)
        return cls(limit, counts["concurrency"], counts["max_attempts"])

    @property
    def envelope_nano_usd(self) -> int | None:
        """What the job may cost; ``None`` for no word about it."""
        return None if self.limit_usd is None else limit_nano_usd(self.limit_usd)


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job with its items added, ready for workers."""

    found: FoundParts
    queue: WorkQueue
    money: JobLedger
    parts: ResultParts
    choices: Mapping[str, Any]
    """Of every request, as its tier needs them."""

    @asynccontextmanager
    async def said(self, progress: OnProgress | None) -> AsyncIterator[None]:
        """Say how far the job is while it runs, and write its results at the end."""
        ticking = asyncio.create_task(self._tick(progress))
        try:
            yield
        finally:
            ticking.cancel()
            self.conclude()

    async def _tick(self, progress: OnProgress | None) -> None:
        while progress is not None:
            await asyncio.sleep(TICK_S)
            facts = await asyncio.to_thread(self.queue.facts)
            progress(progress_of(facts, await self.money.money()))

    def summary(self, progress: OnProgress | None) -> BulkSummary:
        """What the job came to, said a last time."""
        last = progress_of(self.queue.facts(), self.money.money_blocking())
        if progress is not None:
            progress(last)
        file = str(self.parts.results_file)
        return BulkSummary(progress=last, results=file, rest_nano_usd=rest_nano_usd(last))

    def conclude(self) -> None:
        """Write what results there are: one file of all, where no other process works on them.

        Raises:
            StoreError: They cannot be written; they are still in the job's file.
        """
        begun = self.queue.interrupted()
        if begun:
            look_again(self.queue, self.money, begun, keeps_answers=self.found.keeps_answers)
        facts = self.queue.facts()
        if facts.open == 0 and facts.total:
            self.queue.set_state("finished")
        if facts.workers:
            self.parts.export_rest()
        else:
            self.parts.compact()
