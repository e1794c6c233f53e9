"""Asks a workspace: what LightRAG finds for a question, and its answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal, get_args

from aegis_graph.components.lightrag.documents import given_name
from aegis_graph.components.lightrag.run import CURRENT_RUN, Run
from aegis_graph.components.lightrag.settings import OnProgress
from aegis_graph.components.lightrag.workspace import Workspace
from aegis_graph.errors import AegisError, InvalidRequestError
from aegis_graph.types import Sensitivity

logger = logging.getLogger(__name__)

Mode = Literal["naive", "local", "global", "hybrid", "mix"]
"""``naive`` searches chunks by vector, ``local`` entities, ``global`` relations, ``hybrid`` both,
``mix`` all three. All but ``naive`` ask a model for the question's keywords first."""

MODES: tuple[Mode, ...] = get_args(Mode)

_QUESTION = "\n\n---User Query---\n\n"
"""What LightRAG writes between its instructions and the question."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found for a question, without an answer."""

    mode: Mode
    sensitivity: Sensitivity
    """How private it is: as the question, and as everything in the workspace."""
    prompt: str
    """LightRAG's instructions with everything that was found; empty when nothing was."""
    references: list[dict[str, str]]
    """``reference_id`` and ``file_path`` of each document that something was found in."""
    entities: list[dict[str, Any]]
    relations: list[dict[str, Any]]
    chunks: list[dict[str, Any]]
    degraded_reason: str | None = None
    """Why it was searched in the mode ``naive`` instead of the one asked for."""


NO_KEYWORDS = (
    "the question was searched without keywords: the model's answer had none that can be read"
)


async def retrieve(
    workspace: Workspace, question: str, mode: Mode, run: Run, on_progress: OnProgress
) -> Retrieved:
    """Find what belongs to a question, and ask no model to answer it.

    Raises:
        InvalidRequestError: The question or the mode cannot be asked.
        RoutingError: The keywords or the question's vector could not be had.
    """
    if mode not in MODES:
        raise InvalidRequestError(f"mode: {mode!r} is unknown; use one of {', '.join(MODES)}")
    param = import_module("lightrag").QueryParam(
        mode=mode, only_need_prompt=True, enable_rerank=False
    )
    result, without_keywords = await _search(workspace, question, param, run, on_progress)
    data = result.get("data") or {}
    prompt = result["llm_response"]["content"] if result["status"] == "success" else ""
    return Retrieved(
        "naive" if without_keywords else mode,
        workspace.calls.sensitivity_of(run),
        # The graph sends the question as a message of its own.
        _with_given_names(prompt.removesuffix(f"{_QUESTION}{question.strip()}"), data),
        _renamed(data.get("references")),
        _renamed(data.get("entities")),
        _renamed(data.get("relationships")),
        _renamed(data.get("chunks")),
        NO_KEYWORDS if without_keywords else None,
    )


async def answer(workspace: Workspace, question: str, param: Any, run: Run) -> str:
    """LightRAG's own answer, in any of its modes.

    Args:
        workspace: Open.
        question: What is asked.
        param: LightRAG's ``QueryParam``, without ``stream``; the mode ``mix`` when absent.
        run: Without a queue.

    Raises:
        InvalidRequestError: The question cannot be asked.
        RoutingError: No provider answered.
    """
    given = param or import_module("lightrag").QueryParam(enable_rerank=False)
    if given.stream:
        raise InvalidRequestError(
            "param.stream: stream the graph of create_lightrag_query instead,"
            ' with stream_mode="messages"'
        )
    result, without_keywords = await _search(workspace, question, given, run, lambda _: None)
    if without_keywords:
        logger.warning("LightRAG: %s", NO_KEYWORDS)
    # The model's own words: LightRAG deletes some of them where they are in the prompt as well.
    text = run.answer or str(result["llm_response"]["content"] or "")
    return _with_given_names(text, result.get("data") or {})


def _renamed(rows: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    return [
        {**row, "file_path": given_name(row["file_path"])} if row.get("file_path") else row
        for row in rows or []
    ]


def _with_given_names(text: str, data: Mapping[str, Any]) -> str:
    for row in data.get("references") or []:
        text = text.replace(row["file_path"], given_name(row["file_path"]))
    return text


async def _search(
    workspace: Workspace, question: str, param: Any, run: Run, on_progress: OnProgress
) -> tuple[dict[str, Any], bool]:
    """LightRAG's result, and whether it is one of the mode ``naive`` for want of keywords."""
    result = await _ask(workspace, question, param, run, on_progress)
    without_keywords = run.keywords is not None and not run.keywords.serve(param.mode)
    if without_keywords and run.error is None:
        naive = replace(param, mode="naive")
        result = await _ask(workspace, question, naive, run, on_progress)
    if run.error is not None:
        raise run.error
    if (
        # With a reason it has found nothing, which is an answer and no error.
        result["status"] == "failure"
        and (result.get("metadata") or {}).get("failure_reason") is None
    ):
        raise AegisError(f"LightRAG: {result['message']}")
    return result, without_keywords


async def _ask(
    workspace: Workspace, question: str, param: Any, run: Run, on_progress: OnProgress
) -> dict[str, Any]:
    async def stage(name: Any) -> None:
        on_progress({"event": "lightrag_query", "stage": str(getattr(name, "value", name))})

    token = CURRENT_RUN.set(run)
    try:
        result: dict[str, Any] = await workspace.rag.aquery_llm(
            question, param, progress_callback=stage
        )
    # So LightRAG refuses a mode or a parameter.
    except ValueError as error:
        raise InvalidRequestError(f"question: {error}") from error
    finally:
        CURRENT_RUN.reset(token)
    return result
