"""Hosts of a router that watch it in the ways that LangGraph has, and what they see of a run."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.runtime import RunControl, get_runtime
from langgraph.types import (
    Command,
    RetryPolicy,
    Send,
    StateSnapshot,
    TimeoutPolicy,
    interrupt,
)

from aegis_graph import RoutedChatModel, RoutedMessagesState, RouterConfig, RouterContext
from aegis_graph.clock import utc_now
from aegis_graph.routing.application.hooks import OutgoingAttempt, RouterHooks
from aegis_graph.routing.assembly import assemble, compiled
from aegis_graph.routing.services import SharedServices
from aegis_graph.types import Sensitivity
from tests.flow.routing.scripted_providers import Scripted, ScriptedProvider
from tests.flow.support import ask, eventually, read, rows, settled

LISTENERS: dict[str, list[Any]] = {
    "none": [],
    "sync": [BaseCallbackHandler()],
    "async": [AsyncCallbackHandler()],
}
HEARD = {"messages", "tools"}
"""Stream modes for which LangGraph listens with a handler, wherever a model runs."""

NOTHING: RunnableLambda[Any, Any] = RunnableLambda(lambda state: {})
"""A node for sync and async callers."""

_CHANCE = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.+]+")
_OF_THE_MOMENT = {"latency_ms", "first_token_ms", "timestamp", "day", "expires_at", "id", "ts"}


@dataclass(frozen=True)
class WatchedRun:
    """One way to run a graph."""

    call: str = "ainvoke"
    """``ainvoke``, ``invoke``, ``astream``, ``stream`` or ``astream_events``."""
    modes: tuple[str, ...] = ("values",)
    subgraphs: bool = False
    listener: str = "none"
    pause: str = "none"
    """``before``, ``after`` or ``inside`` the host's node."""
    limit: int | None = None

    @property
    def streams(self) -> bool:
        """Whether its caller reads a stream."""
        return self.call in ("astream", "stream")

    @property
    def hears_inside(self) -> bool:
        """Whether its caller is shown what runs inside a node."""
        shown = self.subgraphs or bool(HEARD & set(self.modes))
        return self.listener != "none" or (self.streams and shown)

    def config(self, **configurable: str) -> Any:
        """With which a graph is run."""
        config: dict[str, Any] = {"configurable": {"thread_id": "7", **configurable}}
        if self.limit is not None:
            config["recursion_limit"] = self.limit
        if self.listener != "none":
            config["callbacks"] = LISTENERS[self.listener]
        return config

    def compiled(self, builder: Any, saver: Any, node: str) -> Any:
        """A graph that stops at one of its nodes, where it does."""
        stops = {self.pause: [node]}
        return builder.compile(
            checkpointer=saver,
            interrupt_before=stops.get("before"),
            interrupt_after=stops.get("after"),
        )

    async def run(
        self, graph: Any, asked: Any, config: Any, more: dict[str, Any], events: list[Any]
    ) -> None:
        """Run a graph, and note what its caller sees, an error among it."""
        try:
            await self._run(graph, asked, config, more, events)
        except Exception as error:  # noqa: BLE001  what a caller gets is compared, whatever it is
            events.append([type(error).__name__, str(error)])

    async def _run(
        self, graph: Any, asked: Any, config: Any, more: dict[str, Any], events: list[Any]
    ) -> None:
        if self.streams:
            more = {**more, "stream_mode": list(self.modes), "subgraphs": self.subgraphs}
        if self.call == "ainvoke":
            events.append(await graph.ainvoke(asked, config, **more))
        elif self.call == "invoke":
            events.append(await asyncio.to_thread(graph.invoke, asked, config, **more))
        elif self.call == "astream_events":
            async for event in graph.astream_events(asked, config, version="v2", **more):
                events.append([event["event"], event["name"]])
        elif self.call == "astream":
            events += [part async for part in graph.astream(asked, config, **more)]
        else:
            events += await asyncio.to_thread(lambda: list(graph.stream(asked, config, **more)))


@dataclass(frozen=True)
class Watched(WatchedRun):
    """One host, and one way to run it."""

    memory: str = "none"
    """The host's checkpointer: ``none``, ``memory`` or ``sqlite``."""
    own: bool | None = None
    """The router's checkpointer."""
    hooked: bool = True
    """Whether a function of the application's runs in the router."""
    node: str = "router"
    """``router``, ``bound``, ``called``, ``passed on``, ``model``, ``nested`` or ``sent``."""
    case: str = "answered"
    """``answered``, ``fell back``, ``failed`` or ``misspelt``."""
    configurable: tuple[tuple[str, str], ...] = ()
    context: Sensitivity | None = None
    """How private a request is, as the run's context says."""
    retried: bool = False
    timeout: str = "none"
    """Of the node: ``none``, ``run``, ``idle`` or ``heartbeat``."""
    drained: bool = False
    """Whether the host is asked to end while the router's first call runs."""

    @property
    def is_watched(self) -> bool:
        """Whether the engine would be missed."""
        hears = self.hears_inside or self.timeout == "idle"
        kept = self.memory != "none" and (self.own is None or self.hooked)
        return hears or kept or self.call == "astream_events"


@dataclass
class Seen:
    """In which tasks a router ran, what its functions found around them, and what came of it."""

    tasks: set[object] = field(default_factory=set)
    around: list[Any] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)

    def clock(self) -> datetime:
        """Notes in which task it is read; the ledger's thread has none."""
        try:
            self.tasks.add(asyncio.current_task())
        except RuntimeError:
            return utc_now()
        return utc_now()


def router_of(watched: Watched, db: Path, seen: Seen, before: Any, *, by_engine: bool) -> Any:
    """Two providers and a ledger; by the engine, as a caller gets it that compiles it itself."""
    row = {"kind": "extractive", "model": "best-sentences", "location": "local"}
    config = RouterConfig.model_validate(
        {
            "ledger": {"url": f"sqlite:///{db}"},
            "providers": [{"name": name, **row} for name in ("first", "second")],
        }
    )

    def hook(attempt: OutgoingAttempt) -> OutgoingAttempt:
        runtime = get_runtime()
        get_stream_writer()({"event": "mine"})
        seen.around.append([runtime.context, runtime.store])
        if watched.pause == "inside":
            seen.around.append(interrupt("go on?"))
        return attempt

    hooks = RouterHooks(before_attempt=hook if watched.hooked else None)
    services = SharedServices.of(config, ledger=None, clock=seen.clock, hooks=hooks)
    chain = []
    for spec, failing in zip(config.providers, ({"fell back", "failed"}, {"failed"}), strict=True):
        provider = ScriptedProvider(spec, source="the test")
        provider.scripted = Scripted(fails=watched.case in failing, before=before)
        chain.append(provider)
    builder = assemble(chain, services, config)
    if by_engine:
        return builder.compile(checkpointer=watched.own, name="router")
    return compiled(builder, checkpointer=watched.own, name="router")


def node_of(watched: Watched, router: Any) -> Any:
    """The router, or a node that asks it."""
    model = RoutedChatModel(router=router)

    async def called(state: RoutedMessagesState) -> Any:
        found = await router.ainvoke({"messages": state["messages"]})
        return {"messages": found["messages"][-1:], "attempts": found["attempts"]}

    async def passed_on(state: RoutedMessagesState, config: RunnableConfig) -> Any:
        found = await router.ainvoke({"messages": state["messages"]}, config)
        return {"messages": found["messages"][-1:]}

    async def asked(state: RoutedMessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    if watched.node == "nested":
        inner = StateGraph(RoutedMessagesState).add_node("inner", router)
        return inner.add_edge(START, "inner").compile()
    bound = {"bound": router.with_options(user_id="ada", sensitivity="internal")}
    return {"called": called, "passed on": passed_on, "model": asked, **bound}.get(
        watched.node, router
    )


def host_of(watched: Watched, node: Any, saver: Any) -> Any:
    """A graph in which a node runs, and another one after it."""
    more: dict[str, Any] = {}
    if watched.retried:
        more["retry_policy"] = RetryPolicy(max_attempts=2, initial_interval=0, jitter=False)
    timeouts = {"run": {"run_timeout": 600}, "idle": {"idle_timeout": 600}}
    timeouts["heartbeat"] = {"idle_timeout": 600, "refresh_on": "heartbeat"}  # type: ignore[dict-item]
    if watched.timeout != "none":
        more["timeout"] = TimeoutPolicy(**timeouts[watched.timeout])  # type: ignore[arg-type]

    builder: Any = StateGraph(RoutedMessagesState, context_schema=RouterContext)
    builder.add_node("llm", node, **more).add_node("after", NOTHING)
    if watched.node == "sent":
        builder.add_conditional_edges(START, lambda state: [Send("llm", state)], ["llm"])
    else:
        builder.add_edge(START, "llm")
    return watched.compiled(builder.add_edge("llm", "after"), saver, "llm")


def seen_by(watched: Watched, folder: Path, *, by_engine: bool) -> tuple[int, Any]:
    """Run a host: in how many tasks, and all that its caller, its memory and the ledger have."""
    tasks, seen = asyncio.run(_seen_by(watched, folder, by_engine=by_engine))
    db = folder / f"{by_engine}.db"
    if db.exists():
        # What a run left behind is settled a moment later.
        eventually(lambda: settled(db), goal="every hold settled")
        unanswered = without_chance(read(db, "SELECT * FROM unanswered"))
        # Kept by their identifiers, and so in an order of chance.
        seen += [rows(db), sorted(unanswered, key=str)]
    return len(tasks), without_chance(seen)


async def _seen_by(
    watched: Watched, folder: Path, *, by_engine: bool
) -> tuple[set[object], list[Any]]:
    seen, control, db = Seen(), RunControl(), folder / f"{by_engine}.db"
    before = (lambda: control.request_drain("the test")) if watched.drained else (lambda: None)
    router = router_of(watched, db, seen, before, by_engine=by_engine)
    config = watched.config(**dict(watched.configurable))
    more: dict[str, Any] = {"control": control}
    if watched.context is not None:
        more["context"] = RouterContext(sensitivity=watched.context)
    asked = ask(**({"sensitivty": "pii"} if watched.case == "misspelt" else {}))
    async with AsyncExitStack() as stack:
        saver: Any = InMemorySaver() if watched.memory == "memory" else None
        if watched.memory == "sqlite":
            path = str(folder / f"{by_engine}-checkpoints.db")
            saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(path))
        host = host_of(watched, node_of(watched, router), saver)
        await watched.run(host, asked, config, more, seen.events)
        tasks = set(seen.tasks)
        if saver is not None:
            await _resume(watched, host, config, seen)
    return tasks, [seen.events, seen.around]


async def _resume(watched: Watched, host: Any, config: Any, seen: Seen) -> None:
    """Look at the state, go on where the run stopped, and once more from its beginning."""
    state = await host.aget_state(config, subgraphs=True)
    inside = [one.state for one in state.tasks if isinstance(one.state, StateSnapshot)]
    seen.events.append([[one.values, one.next] for one in (state, *inside)])
    following = WatchedRun()
    if state.next:
        onward: Any = Command(resume="yes") if watched.pause == "inside" else None
        await following.run(host, onward, config, {}, seen.events)
    history = [one async for one in host.aget_state_history(config)]
    seen.events.append([[one.values, one.next] for one in history])
    if history:
        await following.run(host, None, history[-1].config, {}, seen.events)


def without_chance(found: Any) -> Any:
    """What two runs of the same have in common: no identifiers, and nothing of the moment."""
    if isinstance(found, BaseMessage):
        return [found.type, found.text, found.name]
    if isinstance(found, dict):
        kept = {key: value for key, value in found.items() if key not in _OF_THE_MOMENT}
        return {without_chance(key): without_chance(value) for key, value in kept.items()}
    if isinstance(found, list | tuple):
        return [without_chance(one) for one in found]
    return found if isinstance(found, bool | int | None) else _CHANCE.sub("<one>", str(found))
