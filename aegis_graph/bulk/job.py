"""A job: many items through one graph, under one envelope of money, resumable. START HERE."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from aegis_graph.bulk.envelope import JobLedger
from aegis_graph.bulk.graph_source import FoundParts, GraphSource, find_parts, open_graph
from aegis_graph.bulk.item_run import SelectOutput
from aegis_graph.bulk.items import KeyOf, items_of
from aegis_graph.bulk.local_engine import WorkerProcesses, WorkPlan, work_here
from aegis_graph.bulk.progress_facts import progress_of, rest_nano_usd
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import BulkProgress, BulkSummary, ResultFormat
from aegis_graph.bulk.results import PART_ROWS, ResultParts
from aegis_graph.bulk.worker import WorkerSettings
from aegis_graph.clock import Clock, utc_now
from aegis_graph.errors import InvalidRequestError
from aegis_graph.pricing.money import limit_nano_usd
from aegis_graph.request.limits import amount_usd

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}"
"""A job's name is a tag, a part of a budget's scope, and the beginning of its runs."""
TICK_S = 0.5
"""How often progress is said, in seconds."""

Engine = Literal["local", "ray"]
Tier = Literal["flex", "batch"]
OnProgress = Callable[[BulkProgress], None]


def create_bulk(
    graph: GraphSource,
    *,
    name: str,
    results: str | PathLike[str],
    key: KeyOf | None = None,
    output: SelectOutput | None = None,
    format: ResultFormat = "jsonl",
    clock: Clock = utc_now,
) -> BulkJob:
    """Name a job over many items; nothing is made before it is run.

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
    return BulkJob(
        graph, name=name, results=results, key=key, output=output, format=format, clock=clock
    )


class BulkJob:
    """A job over many items. Its arguments are those of ``create_bulk``."""

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
        if not re.fullmatch(NAME_PATTERN, name):
            raise InvalidRequestError(
                f"name: {name!r} is no name of 1 to 60 letters, digits and any of - _ ."
            )
        self.name = name
        self.folder = Path(results)
        self._graph = graph
        self._key = key
        self._output = output
        self._format: ResultFormat = format
        self._clock = clock

    def run(self, items: Iterable[Any] = (), **options: Any) -> BulkSummary:
        """As ``arun``, for sync callers; blocks until the job stops.

        Ctrl-C ends it when what is under way has ended; a second one at once.

        Raises:
            KeyboardInterrupt: It was stopped so. All results so far are kept.
        """
        return asyncio.run(self.arun(items, **options))

    async def arun(
        self,
        items: Iterable[Any] = (),
        *,
        max_cost_usd: str | Decimal | None = None,
        concurrency: int = 32,
        workers: int = 1,
        engine: Engine = "local",
        tier: Tier | None = None,
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
            workers: Processes.
            engine: Where the workers run.
            tier: ``flex`` or ``batch``: at half the price, where a provider has that.
            max_attempts: How often an item is tried before it is set aside.
            progress: Called with how far the job is, about twice a second.
            settings: How workers meet outages, in place of the default.

        Raises:
            InvalidRequestError: An argument or an item is wrong; nothing was run.
            StoreError: The folder is another job's, or cannot be written.
            LedgerError: The ledger cannot be used.
        """
        limit = None if max_cost_usd is None else amount_usd("max_cost_usd", max_cost_usd)
        choices = _choices(tier)
        _check_counts(concurrency=concurrency, workers=workers, max_attempts=max_attempts)
        async with AsyncExitStack() as stack:
            found = find_parts(await open_graph(self._graph, stack))
            queue = await asyncio.to_thread(self._queue, found)
            stack.callback(queue.close)
            await asyncio.to_thread(queue.add, items_of(items, key=self._key))
            money = JobLedger(found.ledger, self.name)
            stack.callback(money.close)
            if limit is not None:
                await money.set_limit(limit)
            queue.set_terms(
                max_attempts=max_attempts,
                envelope_nano_usd=None if limit is None else limit_nano_usd(limit),
            )
            queue.set_state("running")
            plan = WorkPlan(
                source=self._graph,
                folder=str(self.folder),
                select=self._output,
                choices=choices,
                settings=settings or WorkerSettings(concurrency=concurrency),
                part_rows=self.part_rows,
            )
            ticking = asyncio.create_task(_tick(queue, money, progress))
            try:
                if workers > 1:
                    await _run_processes(WorkerProcesses(plan, workers, queue))
                else:
                    await work_here(plan, queue, found)
            finally:
                ticking.cancel()
                file = self._conclude(queue)
            return self._summary(queue, money, file, progress)

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

    def _queue(self, found: FoundParts) -> WorkQueue:
        job = found.identity(self.name, self._format)
        return WorkQueue(self.folder, job, clock=self._clock)

    def _conclude(self, queue: WorkQueue) -> Path:
        """Write the results that are left, and one file of all where no one else works on them."""
        parts = ResultParts(queue, part_rows=self.part_rows)
        facts = queue.facts()
        if facts.open == 0 and facts.total:
            queue.set_state("finished")
        if not facts.workers:
            return parts.compact()
        parts.export_rest()
        return parts.results_file

    def _summary(
        self, queue: WorkQueue, money: JobLedger, file: Path, progress: OnProgress | None
    ) -> BulkSummary:
        last = progress_of(queue.facts(), money.money_blocking())
        if progress is not None:
            progress(last)
        return BulkSummary(progress=last, results=str(file), rest_nano_usd=rest_nano_usd(last))


async def _run_processes(processes: WorkerProcesses) -> None:
    running = asyncio.create_task(asyncio.to_thread(processes.run))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        processes.stop()
        await running
        raise


async def _tick(queue: WorkQueue, money: JobLedger, progress: OnProgress | None) -> None:
    while progress is not None:
        await asyncio.sleep(TICK_S)
        facts = await asyncio.to_thread(queue.facts)
        progress(progress_of(facts, await money.money()))


def _choices(tier: Tier | None) -> dict[str, Any]:
    if tier is None:
        return {}
    if tier != "flex":
        raise InvalidRequestError(f"tier: {tier!r} is unknown; use 'flex'")
    return {"max_wait_s": 600.0}


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidRequestError(f"{name}: {value!r} is no whole number from 1")
