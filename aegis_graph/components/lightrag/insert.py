"""Inserts documents, stops cleanly when the budget ends, and takes up what was left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from uuid import uuid4

from aegis_graph.components.lightrag.budget_queue import BudgetQueue
from aegis_graph.components.lightrag.documents import (
    STUCK,
    compared,
    given_name,
    records_by_name,
    repair,
    status_word,
    stored_name,
    take_out_all,
)
from aegis_graph.components.lightrag.insert_report import InsertReport, report_of
from aegis_graph.components.lightrag.run import CURRENT_RUN, Run, RunEndedError
from aegis_graph.components.lightrag.settings import Documents, OnProgress, texts_by_name
from aegis_graph.components.lightrag.workspace import Workspace
from aegis_graph.errors import AegisError, InsertError, InvalidRequestError

STALL_CHECK_S = 0.02
"""Seconds between two checks whether a run is stalled, and so can be stopped."""

STALL_CHECKS = 3
"""Checks in a row that must find the run stalled: between two calls nothing is asked for a moment.
Stopping too early loses nothing but time."""


async def insert(
    workspace: Workspace, documents: Documents, run: Run, on_progress: OnProgress
) -> InsertReport:
    """Insert documents, and whatever an earlier insert has left; a second insert waits.

    Args:
        workspace: Open.
        documents: Texts by name, or texts alone.
        run: With a queue.
        on_progress: Called on LightRAG's thread.

    Raises:
        InvalidRequestError: A document is empty, or two have names that LightRAG confuses.
    """
    async with workspace.changing:
        return await insert_locked(workspace, texts_by_name(documents), run, on_progress)


async def insert_locked(
    workspace: Workspace,
    documents: Mapping[str, str],
    run: Run,
    on_progress: OnProgress,
    *,
    kept: Mapping[str, str] | None = None,
) -> InsertReport:
    """See ``insert``; the caller holds the lock of changes.

    Args:
        workspace: Open.
        documents: Texts by name.
        run: With a queue.
        on_progress: Called on LightRAG's thread.
        kept: Documents that should have been taken out before, and why they were not.
    """
    # First, so that no call for the documents is less private than they are.
    workspace.answers.raise_sensitivity(workspace.calls.sensitivity_of(run))
    workspace.use_models_of(run)
    found = await compared(workspace, documents)
    outdated = await take_out_all(workspace, list(found.updated), run)
    current = {name: text for name, text in found.updated.items() if name not in outdated}
    refused = await _enqueue(workspace, {**found.added, **current})
    events = _DocumentEvents(workspace, run, on_progress)
    workspace.on_document = events.changed
    try:
        # What could not be paid for taking a document out is not there for reading others.
        if run.refusal is None and await _has_unfinished(workspace):
            run = await _process(workspace, run)
    finally:
        workspace.on_document = None
    outdated = {**(kept or {}), **outdated}
    return await report_of(
        workspace, documents, run, events.read, outdated=outdated, refused=refused
    )


async def _enqueue(workspace: Workspace, documents: Mapping[str, str]) -> dict[str, str]:
    """Hand documents to LightRAG.

    Returns:
        Why those that it refused were refused, by name.
    """
    if not documents:
        return {}
    names = [stored_name(name) for name in documents]
    try:
        await workspace.rag.apipeline_enqueue_documents(list(documents.values()), file_paths=names)
    # Of a pipeline that is locked or full, or that does not take a document.
    except (RuntimeError, ValueError) as error:
        return dict.fromkeys(documents, f"LightRAG refuses it: {error}")
    return {}


async def _process(workspace: Workspace, run: Run) -> Run:
    """Let LightRAG read what it has been handed.

    Returns:
        The run as it ended: another one, where a document had to be repaired.
    """
    await _retry_failed(workspace)
    async with _one_by_one_after_interruption(workspace):
        await _process_documents(workspace, run)
    # A stopped run has no money for merging a repaired document; the next insert has.
    if await _repair_stuck(workspace) and run.refusal is None:
        run = run.restarted()
        await _retry_failed(workspace)
        await _process_documents(workspace, run)
    return run


@asynccontextmanager
async def _one_by_one_after_interruption(workspace: Workspace) -> AsyncIterator[None]:
    """Take up documents that were interrupted one at a time.

    Each is taken out of the graph first, and what it shares is rebuilt from the chunks of others,
    which have to be there: two at once would take them away from each other.
    """
    records = await records_by_name(workspace)
    broken = {"failed", "processing"} & {status_word(one.status) for one in records.values()}
    most = workspace.rag.max_parallel_insert
    workspace.rag.max_parallel_insert = 1 if broken else most
    try:
        yield
    finally:
        workspace.rag.max_parallel_insert = most


async def _process_documents(workspace: Workspace, run: Run) -> None:
    """Let LightRAG work until it is done or nothing more may be asked."""
    queue = run.queue
    assert queue is not None, "an insert's calls wait at its queue"
    token = CURRENT_RUN.set(run)
    try:
        # A task takes the context of its creation with it, and so the run to all tasks below.
        driver = asyncio.create_task(workspace.rag.apipeline_process_enqueue_documents())
    finally:
        CURRENT_RUN.reset(token)
    try:
        await _until_done_or_stalled(workspace, queue, driver)
    except asyncio.CancelledError:
        # The caller has gone. What is being merged is finished, and nothing else is begun.
        queue.stopping = True
        await _until_done_or_stalled(workspace, queue, driver)
        raise
    finally:
        run.active = False
        driver.cancel()
        await asyncio.gather(driver, return_exceptions=True)
        # What LightRAG leaves parked must end, and may buy nothing.
        queue.close(RunEndedError("the insert was stopped"))
        # A chunk names its entries of this cache.
        await workspace.rag.llm_response_cache.index_done_callback()
    error = None if driver.cancelled() else driver.exception()
    if isinstance(error, Exception) and not isinstance(error, AegisError):
        raise InsertError(f"LightRAG ended with an error: {error}") from error
    if error is not None:
        raise error


async def _until_done_or_stalled(
    workspace: Workspace, queue: BudgetQueue, driver: asyncio.Task[None]
) -> None:
    stalled = 0
    while not driver.done() and stalled < STALL_CHECKS:
        await asyncio.wait([driver], timeout=STALL_CHECK_S)
        stalled = stalled + 1 if queue.is_stalled and workspace.can_stop() else 0


async def _has_unfinished(workspace: Workspace) -> bool:
    records = await records_by_name(workspace)
    return any(status_word(record.status) != "processed" for record in records.values())


async def _retry_failed(workspace: Workspace) -> None:
    """Have failed documents taken up again by the next run; LightRAG leaves them alone."""
    records = await records_by_name(workspace)
    if not any(status_word(record.status) == "failed" for record in records.values()):
        return
    shared = import_module("lightrag.kg.shared_storage")
    name = workspace.rag.workspace
    refusal = await shared.commit_manual_retry_request(
        await shared.get_namespace_data("pipeline_status", workspace=name),
        shared.get_namespace_lock("pipeline_status", workspace=name),
        await shared.get_pipeline_ingress(name),
        uuid4().hex,
        {},
    )
    if refusal is not None:
        raise InvalidRequestError(f"LightRAG does not take up its failed documents: {refusal}")


async def _repair_stuck(workspace: Workspace) -> bool:
    """Rebuild what a document lost that was interrupted twice in its merge; else it stays stuck."""
    records = await records_by_name(workspace)
    if not any(STUCK in (record.error_msg or "") for record in records.values()):
        return False
    await repair(workspace)
    return True


@dataclass(frozen=True, slots=True)
class _DocumentEvents:
    """Tells of each document as it begins and ends."""

    workspace: Workspace
    run: Run
    on_progress: OnProgress
    read: set[str] = field(default_factory=set)
    """LightRAG's identifiers of the documents that were begun."""

    async def changed(self, doc_id: str) -> None:
        self.read.add(doc_id)
        record = await self.workspace.rag.doc_status.get_by_id(doc_id) or {}
        status = record.get("status", "")
        in_progress = doc_id in self.workspace.phases
        self.on_progress(
            {
                "event": "lightrag_document",
                "document": given_name(record.get("file_path", doc_id)),
                "status": "started" if in_progress else status_word(status),
                "chunks": record.get("chunks_count") or 0,
                "cost_usd": str(self.run.spending.of_document(doc_id)),
                "total_cost_usd": str(self.run.spending.cost_usd),
            }
        )
