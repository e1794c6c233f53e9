"""What an insert reports: how far each document is, what is missing, and what was bought."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import Any, Literal

from aegis_graph.components.lightrag.documents import (
    given_name,
    records_by_id,
    status_word,
    stored_name,
)
from aegis_graph.components.lightrag.extraction_check import extraction_warnings
from aegis_graph.components.lightrag.run import Run
from aegis_graph.components.lightrag.spending import OperationCost
from aegis_graph.components.lightrag.workspace import Workspace
from aegis_graph.errors import AegisError, BudgetExceededError, InsertError
from aegis_graph.types import AttemptRecord


@dataclass(frozen=True, slots=True)
class InsertReport:
    """What became of an insert."""

    state: Literal["done", "stopped", "failed"]
    """``stopped``: nothing may be asked; the same insert goes on from here when it may."""
    documents: Mapping[str, str]
    """By name: ``processed``, ``failed``, ``duplicate``, ``outdated`` (its old text is still
    there), or LightRAG's word for one in progress."""
    errors: Mapping[str, str]
    """Why a document failed or is outdated, by its name."""
    warnings: Mapping[str, str]
    """What is missing of a document that is done, by its name: nothing was extracted from it, or
    an answer was cut."""
    reason: str | None
    """Why it stopped or failed, in one line."""
    refusal: BudgetExceededError | None
    """The refusal that it stopped for."""
    cost_usd: Decimal
    by_operation: Mapping[str, OperationCost]
    attempts: list[AttemptRecord]


def require_done(report: InsertReport) -> InsertReport:
    """The report of an insert that has to be done.

    Raises:
        BudgetExceededError: It was stopped.
        InsertError: A document failed.
    """
    if report.state == "stopped" and report.refusal is not None:
        raise report.refusal
    if report.state != "done":
        raise InsertError(report.reason or "not every document was inserted")
    return report


async def report_of(
    workspace: Workspace,
    documents: Mapping[str, str],
    run: Run,
    read_now: Collection[str],
    *,
    outdated: Mapping[str, str],
    refused: Mapping[str, str],
) -> InsertReport:
    """The report of a run that has ended.

    Args:
        workspace: Open.
        documents: What was to be inserted.
        run: As it ended.
        read_now: LightRAG's identifiers of the documents that were begun.
        outdated: Why those are still there that could not be taken out, by name.
        refused: Why those are not there that LightRAG did not take, by name.
    """
    by_id = await records_by_id(workspace)
    records = {given_name(record.file_path): record for record in by_id.values()}
    states = {name: status_word(record.status) for name, record in records.items()}
    for name in documents:
        known, word = await _state_of(workspace, name)
        states.setdefault(known, word)
    states.update({**dict.fromkeys(outdated, "outdated"), **dict.fromkeys(refused, "failed")})
    errors = {**_errors_in(records), **outdated, **refused}
    unfinished = [name for name, state in states.items() if state not in {"processed", "duplicate"}]
    state: Literal["done", "stopped", "failed"] = "done"
    reason: str | None = None
    if unfinished and run.refusal is not None:
        state, reason = "stopped", str(run.refusal)
    elif unfinished:
        state, reason = "failed", _failure_reason(run.error, errors)
    return InsertReport(
        state,
        states,
        errors,
        await extraction_warnings(workspace.rag, by_id, read_now=read_now),
        reason,
        run.refusal,
        run.spending.cost_usd,
        run.spending.by_operation(),
        run.spending.attempts,
    )


def _errors_in(records: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: record.error_msg or "no reason given"
        for name, record in records.items()
        if status_word(record.status) == "failed"
    }


async def _state_of(workspace: Workspace, name: str) -> tuple[str, str]:
    """The name by which LightRAG knows a document, and how far it is."""
    pipeline = import_module("lightrag.utils_pipeline")
    stored = pipeline.normalize_document_file_path(stored_name(name))
    found = await workspace.rag.doc_status.get_doc_by_file_basename(stored)
    # LightRAG has no record of a second name for a text that is there.
    is_there = found is not None and not (found[1].get("metadata") or {}).get("is_duplicate")
    return given_name(stored), str(found[1]["status"]) if is_there else "duplicate"


def _failure_reason(error: AegisError | None, errors: Mapping[str, str]) -> str:
    if error is not None:
        return str(error)
    return "; ".join(f"{name}: {why}" for name, why in errors.items()) or "LightRAG did not finish"
