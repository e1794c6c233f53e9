"""Pipelines that are watched in the ways that LangGraph has, and what is seen of a question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.runtime import RunControl, get_runtime
from langgraph.types import interrupt
from typing_extensions import TypedDict, override

from aegis_graph import create_rag
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.components.test_rag import ANSWER, NOTE, PLAN, QUESTION
from tests.flow.routing.watched_hosts import NOTHING, WatchedRun, without_chance
from tests.flow.support import eventually, make_config, open_router, rows, settled

PLAIN = "Where is Acme?"
FOUND = [
    Document("Ann Lee founded Acme. Acme is in Bern.", metadata={"source": "acme.md"}),
    Document("Ann Lee was born in 1970.", metadata={"source": "ann.md"}),
]
BY_ENGINE: Any = {"max_concurrency": 8}
"""How many nodes run at once is LangGraph's engine's to see to."""

_left_behind: ContextVar[str] = ContextVar("left_behind", default="nothing")


class Pipeline(TypedDict, total=False):
    """A host's state."""

    question: str
    answer: str
    citations: list[Any]


@dataclass(frozen=True)
class WatchedRag(WatchedRun):
    """One pipeline, and one way to ask it."""

    host: str = "none"
    """``none``, ``node`` or ``called``: asked by a node of the host's own."""
    memory: bool = False
    """Whether the host has a checkpointer, or where there is none, the pipeline."""
    source: str = "retriever"
    """``retriever``, ``function`` or ``async function``."""
    behaviour: str = "finds"
    """Of the source: ``finds``, ``finds nothing``, ``fails``, ``interrupts`` or ``drains``."""
    decompose: bool = True
    case: str = "answered"
    """Of the model: ``answered``, ``no plan`` or ``failed``."""
    asked: tuple[tuple[str, str], ...] = (("question", QUESTION),)

    @property
    def walks(self) -> bool:
        """Whether the source's node is to run without the engine."""
        if self.hears_inside or self.memory:
            return False
        # Alone, what an application gave may expect LangGraph around it.
        return self.host != "none" or self.decompose

    @property
    def plans(self) -> bool:
        """Whether a model makes a plan of several steps."""
        return self.decompose and self.case == "answered" and ("question", QUESTION) in self.asked


@dataclass
class Seen:
    """What the source found around it, and what came of the question."""

    nodes: list[str | None] = field(default_factory=list)
    around: list[Any] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)


class Retriever(BaseRetriever):
    """Any retriever of an application's."""

    look_up: Callable[[str], list[Document]]

    @override
    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return self.look_up(query)

    @override
    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return self.look_up(query)


def source_of(watched: WatchedRag, seen: Seen, control: RunControl) -> Any:
    """A source that notes what is around it."""

    def look_up(question: str) -> list[Document]:
        seen.nodes.append(get_config()["metadata"].get("langgraph_node"))
        runtime = get_runtime()
        seen.around.append([runtime.context, runtime.store, _left_behind.get()])
        _left_behind.set("something")
        get_stream_writer()({"event": "mine"})
        # Of two that failed at once, either would be reported.
        if watched.behaviour == "fails" and question.startswith("When"):
            raise KeyError(question)
        if watched.behaviour == "interrupts":
            seen.around.append(interrupt("go on?"))
        if watched.behaviour == "drains":
            control.request_drain("the test")
        return [] if watched.behaviour == "finds nothing" else FOUND

    async def alook_up(question: str) -> list[Document]:
        return look_up(question)

    functions = {"function": look_up, "async function": alook_up}
    return functions.get(watched.source) or Retriever(look_up=look_up)


def script(server: LoopbackServer, watched: WatchedRag) -> None:
    """Let the model say what the question needs."""
    kinds: tuple[Any, ...] = ("ollama", "dashscope", "openai")
    for kind in kinds:
        server.always(kind, Fault.status(500) if watched.case == "failed" else ANSWER)
    if watched.case == "no plan":
        server.script("ollama", Reply("I would rather not."))
    elif watched.plans:
        server.script("ollama", PLAN, NOTE)


def asked_of(
    watched: WatchedRag, seen: Seen, server: LoopbackServer, db: Path, control: Any
) -> Any:
    """The pipeline, or a host around it."""
    source = source_of(watched, seen, control)
    saver = InMemorySaver() if watched.memory else None
    own = saver if watched.host == "none" else None
    router = open_router(make_config(server, db))
    rag = create_rag(router, source, decompose=watched.decompose, checkpointer=own)
    if watched.host == "none":
        return rag

    async def called(state: Pipeline) -> Any:
        asked: Any = {**state}
        found = await rag.ainvoke(asked)
        return {key: found[key] for key in ("answer", "citations") if key in found}

    builder: Any = StateGraph(Pipeline)
    builder.add_node("host", called if watched.host == "called" else rag)
    builder.add_node("after", NOTHING).add_edge(START, "host").add_edge("host", "after")
    return watched.compiled(builder, saver, "host")


def seen_by(watched: WatchedRag, db: Path, *, by_engine: bool) -> tuple[list[str | None], Any]:
    """Ask once: in which nodes the source was asked, and all that anybody sees."""
    with LoopbackServer() as server:
        seen = asyncio.run(_seen_by(watched, server, db, by_engine=by_engine))
    if db.exists():
        # What a run left behind is settled a moment later.
        eventually(lambda: settled(db), goal="every hold settled")
        seen.events += rows(db)
    return seen.nodes, without_chance([seen.events, seen.around])


async def _seen_by(
    watched: WatchedRag, server: LoopbackServer, db: Path, *, by_engine: bool
) -> Seen:
    seen, control = Seen(), RunControl()
    script(server, watched)
    graph = asked_of(watched, seen, server, db, control)
    config = {**watched.config(), **(BY_ENGINE if by_engine else {})}
    more: dict[str, Any] = {"control": control} if watched.behaviour == "drains" else {}
    await watched.run(graph, dict(watched.asked), config, more, seen.events)
    # Nobody's context variables are changed.
    seen.around.append(_left_behind.get())
    seen.events += [call.body for call in server.calls()]
    return seen
