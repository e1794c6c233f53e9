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
from aegis_graph.components.dual_node import DualCall
from aegis_graph.components.retriever.base import OPTIONS_KEY, CostedRetriever
from aegis_graph.errors import InvalidRequestError
from aegis_graph.types import AttemptRecord

Source = Runnable[Any, Any] | Callable[[str], Any]
"""Takes a question; a graph takes ``{"question": ...}`` and the request's common options.

It gives documents, a text, or a dict with ``answer``, ``documents``, ``attempts`` and
``degraded_reason``, each optional, as the graphs of this package do.
"""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a source gave for a question."""

    documents: list[Document] = field(default_factory=list)
    answer: str | None = None
    attempts: list[AttemptRecord] = field(default_factory=list)
    degraded_reason: str | None = None


async def search(
    source: Source,
    question: str,
    options: Mapping[str, Any],
    config: RunnableConfig,
    call: DualCall,
) -> SearchResult:
    """Ask a source; a function that is not async runs in a thread of an async host.

    Raises:
        InvalidRequestError: It gives something else than documents, a text or a dict.
    """
    # A runnable as well; but only its own method says what the search cost.
    if isinstance(source, CostedRetriever):
        return _result(await call(source.find, source.afind, question, options))
    if isinstance(source, Runnable):
        request, config = _request(source, question, options, config)
        return _result(await call(source.invoke, source.ainvoke, request, config))
    if inspect.iscoroutinefunction(source):
        return _result(await call(source, source, question))
    return _result(await call(source, lambda text: asyncio.to_thread(source, text), question))


def _request(
    source: Runnable[Any, Any], question: str, options: Mapping[str, Any], config: RunnableConfig
) -> tuple[Any, RunnableConfig]:
    if isinstance(source, PregelProtocol):
        return {"question": question, **options}, config
    # A retriever takes a text alone, so the options travel beside it.
    return question, merge_configs(config, {"metadata": {OPTIONS_KEY: dict(options)}})


def _result(result: object) -> SearchResult:
    if isinstance(result, str):
        return SearchResult(answer=result)
    if isinstance(result, Mapping):
        return SearchResult(
            documents=read_documents(result.get("documents") or []),
            answer=result.get("answer") or None,
            attempts=list(result.get("attempts") or []),
            degraded_reason=result.get("degraded_reason"),
        )
    if isinstance(result, Sequence):
        return SearchResult(documents=read_documents(result))
    what = type(result).__name__
    raise InvalidRequestError(f"the retriever gave {what}; it must give documents or a text")
