"""The documents of a workspace: which are new, how far each one is, and taking one out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from aegis_graph.components.lightrag.run import CURRENT_RUN, Run
from aegis_graph.components.lightrag.workspace import Workspace
from aegis_graph.errors import InsertError, InvalidRequestError


async def new_documents(workspace: Workspace, documents: Mapping[str, str]) -> dict[str, str]:
    """The documents that LightRAG does not have, by the name that it knows them by.

    Raises:
        InvalidRequestError: A document is empty, or its name is taken by another text.
    """
    pipeline = import_module("lightrag.utils_pipeline")
    utils = import_module("lightrag.utils")
    new: dict[str, str] = {}
    for short, name in _short_names(documents).items():
        found = await workspace.rag.doc_status.get_doc_by_file_basename(short)
        clean = utils.sanitize_text_for_encoding(documents[name])
        if found is None:
            new[short] = documents[name]
        elif found[1].get("content_hash") != pipeline.compute_text_content_hash(clean):
            raise InvalidRequestError(
                f"document {name!r}: is there with another text; delete that one first"
            )
    return new


def _short_names(documents: Mapping[str, str]) -> dict[str, str]:
    shorten = import_module("lightrag.utils_pipeline").normalize_document_file_path
    names: dict[str, str] = {}
    for name, text in documents.items():
        if not isinstance(text, str) or not text.strip():
            raise InvalidRequestError(f"document {name!r}: empty")
        short = shorten(name)
        if short in names:
            raise InvalidRequestError(
                f"document {name!r}: LightRAG knows files by their last part, and {short!r} is the"
                f" last part of {names[short]!r} too; rename one of them"
            )
        names[short] = name
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
    return {one.file_path: one for one in (await records_by_id(workspace)).values()}


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
    found = await workspace.rag.doc_status.get_doc_by_file_basename(name)
    if found is None:
        raise InvalidRequestError(
            f"document {name!r}: is not in workspace {workspace.rag.workspace!r}"
        )
    async with workspace.changing:
        workspace.use_models_of(run)
        token = CURRENT_RUN.set(run)
        try:
            result = await workspace.rag.adelete_by_doc_id(found[0])
        finally:
            CURRENT_RUN.reset(token)
    if run.error is not None:
        raise run.error
    if result.status != "success":
        raise InsertError(f"document {name!r}: is not deleted: {result.message}")
