"""A job: many items through one graph, under one envelope of money, resumable. START HERE."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from aegis_graph.bulk.batch.engine import work_with_batches
from aegis_graph.bulk.engines import work_on
from aegis_graph.bulk.envelope import JobLedger
from aegis_graph.bulk.forecast import JobForecast, forecast_of
from aegis_graph.bulk.graph_source import GraphSource, find_parts, open_graph
from aegis_graph.bulk.item_run import SelectOutput
from aegis_graph.bulk.items import KeyOf, items_of
from aegis_graph.bulk.local_engine import WorkPlan, check_sendable, work_here
from aegis_graph.bulk.opened import JobTerms, OpenJob
from aegis_graph.bulk.options import (
    BulkOptions,
    Engine,
    ForecastOptions,
    OnProgress,
    check_engine,
    checked_name,
)
from aegis_graph.bulk.progress import progress_bar
from aegis_graph.bulk.progress_facts import progress_of
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import BulkProgress, BulkSummary, ResultFormat
from aegis_graph.bulk.results import PART_ROWS, ResultParts
from aegis_graph.bulk.tiers import BulkTier, choices_of
from aegis_graph.bulk.worker import WorkerSettings
from aegis_graph.clock import Clock, utc_now


class BulkJob:
    """A job over many items. Nothing is made before it is run.

    Args:
        graph: Any compiled graph with the router in it, a function that opens one, or its
            ``module:name``. Several processes need one of the last two.
        name: The job's; its calls have it as their tag ``bulk``.
        results: The folder of its results. It is the job: run again over the same folder, it goes
            on where it was.
        key: What names an item, a field of its input or a function of it; the hash of its input
            when absent.
        output: Makes what is kept of the graph's output; all of it when absent.
        format: Of the results.
        clock: Returns the present as an aware datetime in UTC.

    Raises:
        InvalidRequestError: The name is none.

    Example:
        >>> from aegis_graph import RouterConfig, create_router
        >>> router = create_router(RouterConfig())
        >>> job = create_bulk(router, name="cities", results="results/cities")
        >>> summary = job.run(["Where is Oslo?"], max_cost_usd="1")  # doctest: +SKIP
        >>> summary.progress.done                                    # doctest: +SKIP
        1
    """

    part_rows: int = PART_ROWS
    """Results of one part."""

    def __init__(
        self,
        graph: GraphSource,
        *,
        name: str,
        results: str | PathLike[str],
        key: KeyOf | None = None,
        output: SelectOutput | None = None,
        format: ResultFormat = "jsonl",
        clock: Clock = utc_now,
    ) -> None:
        self.name = checked_name(name)
        self.folder = Path(results)
        self._graph = graph
        self._key = key
        self._output = output
        self._format: ResultFormat = format
        self._clock = clock

    def run(self, items: Iterable[Any] = (), **options: Unpack[BulkOptions]) -> BulkSummary:
        """As ``arun``, for sync callers; blocks until the job stops.

        In a terminal a bar shows how far it is, where there is no ``progress``. Ctrl-C ends it when
        what is under way has ended; a second one at once.

        Raises:
            KeyboardInterrupt: It was stopped so. All results so far are kept.
        """
        if "progress" in options:
            return asyncio.run(self.arun(items, **options))
        with progress_bar(sys.stderr) as show:
            shown: BulkOptions = {**options, "progress": show}
            return asyncio.run(self.arun(items, **shown))

    async def arun(
        self,
        items: Iterable[Any] = (),
        *,
        max_cost_usd: str | Decimal | None = None,
        concurrency: int = 32,
        workers: int = 1,
        engine: Engine = "local",
        tier: BulkTier | None = None,
        max_attempts: int = 3,
        progress: OnProgress | None = None,
        settings: WorkerSettings | None = None,
    ) -> BulkSummary:
        """Run the items that have no result yet, until all have one or the job stops itself.

        Args:
            items: Inputs of the graph, texts or ``BulkItem``; those of earlier runs are known, and
                need not be given again.
            max_cost_usd: What the job may cost in all of its runs, in USD; as before when absent.
            concurrency: Items at once in each worker.
            workers: Processes; on Ray its actors, each with a graph of its own.
            engine: Where the workers run: ``local``, or ``ray`` for any number of hosts.
            tier: At half the price: ``flex`` by each call, ``batch`` by files of many calls.
            max_attempts: How often an item is tried before it is set aside.
            progress: Called with how far the job is, about twice a second.
            settings: How workers meet outages, in place of the default.

        Raises:
            InvalidRequestError: An argument or an item is wrong; nothing was run.
            StoreError: The folder is another job's, or cannot be written.
            LedgerError: The ledger cannot be used.
        """
        terms = JobTerms.of(
            max_cost_usd=max_cost_usd,
            concurrency=concurrency,
            workers=workers,
            max_attempts=max_attempts,
        )
        check_engine(engine, tier, workers)
        if workers > 1 and engine == "local":
            check_sendable(workers, self._graph, self._output)
        async with self._opened(items, terms, tier) as opened:
            plan = self._plan(opened, terms, settings)
            async with opened.said(progress):
                work = partial(work_on, engine, plan, workers, opened)
                await work_with_batches(plan, opened.queue, opened.found, tier, work)
            return opened.summary(progress)

    def forecast(
        self, items: Iterable[Any] = (), **options: Unpack[ForecastOptions]
    ) -> JobForecast:
        """As ``aforecast``, for sync callers; blocks until the sample has run."""
        return asyncio.run(self.aforecast(items, **options))

    async def aforecast(
        self,
        items: Iterable[Any] = (),
        *,
        sample: int = 50,
        max_cost_usd: str | Decimal | None = None,
        concurrency: int = 32,
        workers: int = 1,
        max_attempts: int = 3,
        progress: OnProgress | None = None,
        settings: WorkerSettings | None = None,
    ) -> JobForecast:
        """Run some of the items, chosen by chance, and say what all will cost and take.

        Their results are the job's: nothing is bought again when it is run.

        Args:
            items: As for ``arun``.
            sample: How many are run; those of an earlier sample count too.
            max_cost_usd: As for ``arun``; the sample is within it.
            concurrency: As for ``arun``, also of the run that is forecast.
            workers: Of the run that is forecast; the sample has one.
            max_attempts: As for ``arun``.
            progress: As for ``arun``.
            settings: As for ``arun``.

        Raises:
            InvalidRequestError: An argument or an item is wrong, or there is no item.
            StoreError: As for ``arun``.
            LedgerError: As for ``arun``.
        """
        terms = JobTerms.of(
            max_cost_usd=max_cost_usd,
            concurrency=concurrency,
            workers=workers,
            max_attempts=max_attempts,
            sample=sample,
        )
        async with self._opened(items, terms) as opened:
            chosen = await asyncio.to_thread(opened.queue.choose_sample, sample)
            plan = self._plan(opened, terms, settings)
            async with opened.said(progress):
                if chosen:
                    await work_here(plan, opened.queue, opened.found, most=chosen)
            opened.summary(progress)
            facts = opened.queue.facts()
            measured = await asyncio.to_thread(opened.queue.sampled)
        return forecast_of(facts, measured, at_once=concurrency * workers)

    def status(self) -> BulkProgress:
        """How far the job is, in whatever process it runs.

        Raises:
            StoreError: There is no such job.
        """
        queue = WorkQueue.open(self.folder, clock=self._clock)
        try:
            return progress_of(queue.facts())
        finally:
            queue.close()

    def retry(self) -> int:
        """Put the items that were set aside back, for the next run.

        Returns:
            How many.

        Raises:
            StoreError: There is no such job.
        """
        queue = WorkQueue.open(self.folder, clock=self._clock)
        try:
            return queue.retry()
        finally:
            queue.close()

    def cancel(self) -> None:
        """Have the workers stop, in whatever process they run; running it again goes on.

        Raises:
            StoreError: There is no such job.
        """
        queue = WorkQueue.open(self.folder, clock=self._clock)
        try:
            queue.set_state("cancelled", "it was cancelled")
        finally:
            queue.close()

    @asynccontextmanager
    async def _opened(
        self, items: Iterable[Any], terms: JobTerms, tier: BulkTier | None = None
    ) -> AsyncIterator[OpenJob]:
        """The job with all of its items and its envelope; its results are written at the end."""
        async with AsyncExitStack() as stack:
            found = find_parts(await open_graph(self._graph, stack))
            # Before anything is made.
            choices = choices_of(tier, found.graph)
            job = found.identity(self.name, self._format)
            queue = await asyncio.to_thread(WorkQueue, self.folder, job, clock=self._clock)
            stack.callback(queue.close)
            await asyncio.to_thread(queue.add, items_of(items, key=self._key))
            money = JobLedger(found.ledger, self.name)
            stack.callback(money.close)
            if terms.limit_usd is not None:
                await money.set_limit(terms.limit_usd)
            queue.set_terms(
                max_attempts=terms.max_attempts, envelope_nano_usd=terms.envelope_nano_usd
            )
            queue.set_state("running")
            parts = ResultParts(queue, part_rows=self.part_rows)
            yield OpenJob(found, queue, money, parts, choices)

    def _plan(self, opened: OpenJob, terms: JobTerms, settings: WorkerSettings | None) -> WorkPlan:
        return WorkPlan(
            source=self._graph,
            folder=str(self.folder),
            select=self._output,
            choices=opened.choices,
            settings=settings or WorkerSettings(concurrency=terms.concurrency),
            part_rows=self.part_rows,
        )


create_bulk = BulkJob
"""Names a job over many items."""
