"""The documents of a workspace: which are new, how far each one is, and taking one out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from aegis_graph.components.lightrag.run import CURRENT_RUN, Run
from aegis_graph.components.lightrag.workspace import Workspace
from aegis_graph.errors import BudgetExceededError, InsertError, InvalidRequestError, RoutingError

STUCK = "Refusing to purge"
"""How LightRAG's error begins for a document that has lost what says where its entities are."""

SLASH = "\u2215"
"""Stands for ``/`` in the names that LightRAG is given: of a path it would keep the last part."""


def stored_name(name: str) -> str:
    """A document's name as LightRAG knows it."""
    return name.replace("/", SLASH)


def given_name(stored: str) -> str:
    """A document's name as it was given.

    Example:
        >>> given_name(stored_name("a/x.md"))
        'a/x.md'
    """
    return stored.replace(SLASH, "/")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Documents, compared with those of a workspace. Names are as they were given."""

    added: Mapping[str, str]
    """Texts that are new."""
    updated: Mapping[str, str]
    """Texts of which the workspace has another."""
    unchanged: Sequence[str]


async def compared(workspace: Workspace, documents: Mapping[str, str]) -> Comparison:
    """Which of the documents are new, and which have another text than in the workspace.

    Raises:
        InvalidRequestError: A document is empty, or two have names that LightRAG takes for one.
    """
    pipeline = import_module("lightrag.utils_pipeline")
    utils = import_module("lightrag.utils")
    added, updated, unchanged = {}, {}, []
    for stored, name in _stored_names(documents).items():
        found = await workspace.rag.doc_status.get_doc_by_file_basename(stored)
        clean = utils.sanitize_text_for_encoding(documents[name])
        if found is None:
            added[name] = documents[name]
        elif found[1].get("content_hash") != pipeline.compute_text_content_hash(clean):
            updated[name] = documents[name]
        else:
            unchanged.append(name)
    return Comparison(added, updated, unchanged)


def _stored_names(documents: Mapping[str, str]) -> dict[str, str]:
    shorten = import_module("lightrag.utils_pipeline").normalize_document_file_path
    names: dict[str, str] = {}
    for name, text in documents.items():
        if not isinstance(text, str) or not text.strip():
            raise InvalidRequestError(f"document {name!r}: empty")
        stored = shorten(stored_name(name))
        if stored in names:
            raise InvalidRequestError(
                f"document {name!r}: LightRAG takes its name for that of {names[stored]!r};"
                " rename one of them"
            )
        names[stored] = name
    return names


async def document_states(workspace: Workspace) -> dict[str, str]:
    """How far each document is, by name."""
    records = await records_by_name(workspace)
    return {name: status_word(record.status) for name, record in records.items()}


async def records_by_id(workspace: Workspace) -> dict[str, Any]:
    """Every document's record by LightRAG's identifier, without its notes of duplicates."""
    statuses = list(import_module("lightrag.base").DocStatus)
    found = await workspace.rag.doc_status.get_docs_by_statuses(statuses)
    return {
        doc_id: record
        for doc_id, record in found.items()
        if not record.metadata.get("is_duplicate")
    }


async def records_by_name(workspace: Workspace) -> dict[str, Any]:
    """Every document's record by name."""
    return {given_name(one.file_path): one for one in (await records_by_id(workspace)).values()}


def status_word(status: Any) -> str:
    """LightRAG's word for a state: a member of its enumeration, or the word as it was stored."""
    return str(getattr(status, "value", status))


async def delete(workspace: Workspace, name: str, run: Run) -> None:
    """Take a document out; what it shares with others is rebuilt, which may ask a model.

    Args:
        workspace: Open.
        name: The document's name.
        run: Without a queue.

    Raises:
        InvalidRequestError: It is not in the workspace.
        InsertError: LightRAG did not take it out.
        RoutingError: A model had to be asked, and none answered.
    """
    async with workspace.changing:
        await take_out(workspace, name, run)


async def take_out(workspace: Workspace, name: str, run: Run) -> None:
    """See ``delete``; the caller holds the lock of changes."""
    found = await workspace.rag.doc_status.get_doc_by_file_basename(stored_name(name))
    if found is None:
        raise InvalidRequestError(
            f"document {name!r}: is not in workspace {workspace.rag.workspace!r}"
        )
    workspace.use_models_of(run)
    # An earlier document's is not this one's.
    run.error = None
    token = CURRENT_RUN.set(run)
    try:
        result = await workspace.rag.adelete_by_doc_id(found[0])
        if result.status == "fail" and STUCK in result.message:
            await repair(workspace)
            result = await workspace.rag.adelete_by_doc_id(found[0])
    finally:
        CURRENT_RUN.reset(token)
    if run.error is not None:
        raise run.error
    if result.status != "success":
        raise InsertError(f"document {name!r}: is not deleted: {result.message}")


async def take_out_all(workspace: Workspace, names: Sequence[str], run: Run) -> dict[str, str]:
    """Take documents out one after the other; the caller holds the lock of changes.

    Returns:
        Why each one that is still there is: a budget that refuses ends it for all that follow.
    """
    kept: dict[str, str] = {}
    for number, name in enumerate(names):
        try:
            await take_out(workspace, name, run)
        except BudgetExceededError as refusal:
            if run.queue is not None:
                run.queue.refusal = refusal
            return {**kept, **dict.fromkeys(names[number:], str(refusal))}
        except (InsertError, RoutingError) as error:
            kept[name] = str(error)
    return kept


async def repair(workspace: Workspace) -> None:
    """Rebuild what documents have lost that says where their entities are."""
    tool = import_module("lightrag.tools.kg_integrity_repair")
    await tool.audit_kg_integrity(workspace.rag, apply=True)
