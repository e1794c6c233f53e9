"""What a component searches in: any LangChain retriever, graph, or function of a question."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.pregel.protocol import PregelProtocol

from aegis_graph.components.documents.langchain import read_documents
from aegis_graph.components.retriever.retriever import OPTIONS_KEY, PassageRetriever
from aegis_graph.errors import InvalidRequestError
from aegis_graph.types import AttemptRecord

Source = Runnable[Any, Any] | Callable[[str], Any]
"""Takes a question; a graph takes ``{"question": ...}`` and the request's common options.

It gives documents, a text, or a dict with ``answer``, ``documents``, ``attempts`` and
``degraded_reason``, each optional, as the graphs of this package do.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a source said to a question."""

    documents: list[Document] = field(default_factory=list)
    answer: str | None = None
    attempts: list[AttemptRecord] = field(default_factory=list)
    degraded_reason: str | None = None


def find(
    source: Source, question: str, options: Mapping[str, Any], config: RunnableConfig
) -> Finding:
    """Ask a source.

    Raises:
        InvalidRequestError: It gives something else than documents, a text or a dict.
    """
    if isinstance(source, PassageRetriever):
        return _finding(source.find(question, options))
    if isinstance(source, Runnable):
        asked, config = _asked(source, question, options, config)
        return _finding(source.invoke(asked, config))
    return _finding(source(question))


async def afind(
    source: Source, question: str, options: Mapping[str, Any], config: RunnableConfig
) -> Finding:
    """As ``find``; a function that is not async runs in a thread."""
    if isinstance(source, PassageRetriever):
        return _finding(await source.afind(question, options))
    if isinstance(source, Runnable):
        asked, config = _asked(source, question, options, config)
        return _finding(await source.ainvoke(asked, config))
    if inspect.iscoroutinefunction(source):
        return _finding(await source(question))
    return _finding(await asyncio.to_thread(source, question))


def _asked(
    source: Runnable[Any, Any], question: str, options: Mapping[str, Any], config: RunnableConfig
) -> tuple[Any, RunnableConfig]:
    if isinstance(source, PregelProtocol):
        return {"question": question, **options}, config
    return question, merge_configs(config, {"metadata": {OPTIONS_KEY: dict(options)}})


def _finding(result: object) -> Finding:
    if isinstance(result, str):
        return Finding(answer=result)
    if isinstance(result, Mapping):
        return Finding(
            documents=read_documents(result.get("documents") or []),
            answer=result.get("answer") or None,
            attempts=list(result.get("attempts") or []),
            degraded_reason=result.get("degraded_reason"),
        )
    if isinstance(result, Sequence):
        return Finding(documents=read_documents(result))
    what = type(result).__name__
    raise InvalidRequestError(f"the retriever gave {what}; it must give documents or a text")
