"""A job's work in batches, in this process: what of it is under way, and the rest where wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aegis_graph.bulk.batch.batch_items import BatchItems
from aegis_graph.bulk.batch.buyer import BatchBuyer, Bought
from aegis_graph.bulk.batch.records import BatchRecords, has_batches
from aegis_graph.bulk.batch.run import BatchRun
from aegis_graph.bulk.envelope import JobLedger
from aegis_graph.bulk.graph_source import FoundParts
from aegis_graph.bulk.heartbeat import Heartbeat
from aegis_graph.bulk.item_run import GraphRunner
from aegis_graph.bulk.local_engine import WorkPlan
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.results import ResultParts
from aegis_graph.bulk.tiers import BulkTier, batch_router, writer_of
from aegis_graph.bulk.writing import ResultWriter


async def work_with_batches(
    plan: WorkPlan,
    queue: WorkQueue,
    found: FoundParts,
    tier: BulkTier | None,
    work: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Work on a job: in batches alone where that is wanted, else beside those that are under way.

    Args:
        plan: What to do.
        queue: Of the job.
        found: The graph, opened.
        tier: That is wanted.
        work: Works on the items that no batch has.

    Raises:
        StoreError: The job's file cannot be written, or a batch cannot be read.
        LedgerError: The ledger cannot be used.
    """
    fill = tier == "batch"
    if not fill and not has_batches(queue.file):
        await work()
        return
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(buy_here(plan, queue, found, fill=fill))
            if not fill:
                group.create_task(work())
    except ExceptionGroup as failed:
        # The first says what is wrong; the others were ended by it.
        raise failed.exceptions[0] from None


async def buy_here(
    plan: WorkPlan,
    queue: WorkQueue,
    found: FoundParts,
    *,
    fill: bool = True,
    stop: asyncio.Event | None = None,
) -> None:
    """Buy a job's items by batches until nothing is left to do.

    Args:
        plan: What to do.
        queue: Of the job.
        found: The router, opened.
        fill: Whether other items are taken than those that batches have already.
        stop: When it is set, no more is begun; batches that are under way are read by the next run.

    Raises:
        InvalidRequestError: The graph is no router.
        ConfigError: None of its providers takes batches.
        StoreError: The job's file cannot be written, or a batch cannot be read.
        LedgerError: The ledger cannot be used.
    """
    money = JobLedger(found.ledger, queue.facts().name)
    runner = GraphRunner(found, money, select=plan.select, choices=plan.choices)
    writer = ResultWriter(queue, money, keeps_answers=found.keeps_answers, began=queue.now())
    parts = ResultParts(queue, part_rows=plan.part_rows)
    run = BatchRun(
        job=money.name,
        queue=queue,
        records=BatchRecords(queue.file, queue.now),
        router=batch_router(found.graph),
        writer=writer_of(found.graph),
        ledger=found.ledger,
        items=BatchItems(runner, writer, money, parts),
        clock=queue.now,
        concurrency=plan.settings.concurrency,
        stop=asyncio.Event() if stop is None else stop,
    )
    # A job whose batches are waited for has a worker, as far as others can see.
    worker = queue.register()
    heart = Heartbeat(queue, worker)
    try:
        await runner.start()
        bought = await _until_read(BatchBuyer(run), fill=fill, grace_s=plan.settings.grace_s)
        _conclude(queue, bought)
    finally:
        heart.stop()
        queue.leave(worker)
        await runner.close()
        money.close()


async def _until_read(buyer: BatchBuyer, *, fill: bool, grace_s: float) -> Bought:
    """Buy; when the waiting task is cancelled, the answers that are being read are kept first."""
    buying = asyncio.create_task(buyer.buy(fill=fill))
    try:
        return await asyncio.shield(buying)
    except asyncio.CancelledError:
        buyer.run.stop.set()
        await asyncio.wait({buying}, timeout=grace_s)
        buying.cancel()
        raise


def _conclude(queue: WorkQueue, bought: Bought) -> None:
    """Say why items are left, where the job itself does not show it."""
    if queue.state() == "cancelled":
        return
    reason = next((one.reason for one in bought.put_back if one.kind == "money"), bought.full)
    if reason is not None and not bought.under_way:
        queue.set_state("money_ended", reason)
    elif bought.put_back:
        queue.set_state("paused", bought.put_back[0].reason)
