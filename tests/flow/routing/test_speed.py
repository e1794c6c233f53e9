"""What a routed call may cost, as ratios to what it stands on. Counts, because a time would vary.

The functions that the event loop's thread calls are counted, Python's and C's, with a ledger that
answers at once; and what the ledger does for a request.
"""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from typing_extensions import TypedDict, override

from aegis_graph import RouterConfig
from aegis_graph.clock import utc_now
from aegis_graph.ledger.admission_queue import AdmissionQueue
from aegis_graph.ledger.factory import calendar_of
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import Admission, Hold
from aegis_graph.ledger.sqlite import SqliteStore
from aegis_graph.ledger.store import Connection
from aegis_graph.providers.base import OpenModel, nothing_to_close
from aegis_graph.providers.extractive.provider import ExtractiveProvider
from aegis_graph.routing.assembly import assemble, compiled
from aegis_graph.routing.services import SharedServices
from tests.counting import counted_functions
from tests.flow.support import ask

ENGINE: Any = {"recursion_limit": 100}
"""A limit of the caller's own is LangGraph's engine's to count."""


class Instant(BaseChatModel):
    """Answers at once, in this process."""

    @property
    @override
    def _llm_type(self) -> str:
        return "instant"

    @override
    def _generate(self, *args: Any, **more: Any) -> ChatResult:
        usage: Any = {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
        answer = AIMessage(
            "Paris", usage_metadata=usage, response_metadata={"finish_reason": "stop"}
        )
        return ChatResult(generations=[ChatGeneration(message=answer)])

    @override
    async def _agenerate(self, *args: Any, **more: Any) -> ChatResult:
        return self._generate()


class Speaking(Instant):
    """Has all pieces of its answer there at once."""

    words: int

    @override
    async def _astream(self, *args: Any, **more: Any) -> AsyncIterator[ChatGenerationChunk]:
        for _ in range(self.words):
            yield ChatGenerationChunk(message=AIMessageChunk(content="word "))
        whole = self._generate().generations[0].message
        end = AIMessageChunk(content="", response_metadata=whole.response_metadata)
        yield ChatGenerationChunk(message=end)


class InstantProvider(ExtractiveProvider):
    model_to_open: BaseChatModel

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        return OpenModel(self.model_to_open, nothing_to_close)


class CountingStore(SqliteStore):
    """Counts what reaches the disk."""

    commits: Counter[str]

    @override
    def begin(self, connection: Connection) -> None:
        self.commits["transactions"] += 1
        super().begin(connection)


class NoLedger:
    """Admits everything and keeps nothing."""

    queue = AdmissionQueue()

    async def admit(self, holds: Sequence[Hold], **more: Any) -> Admission:
        return Admission(1, 0, ())

    async def settle(self, settlements: Sequence[Any], **more: Any) -> tuple[()]:
        return ()


def instant_router(
    ledger: Any, model: BaseChatModel | None = None, *, named: str = "best-sentences"
) -> Any:
    row = {"name": "instant", "kind": "extractive", "model": named, "location": "local"}
    # Another test of this process may have set up OpenTelemetry, which takes one SDK for good.
    silent = {"providers": [row], "budgets": [], "telemetry": {"otel": False}}
    config = RouterConfig.model_validate(silent)
    services = SharedServices.of(config, ledger=ledger, clock=utc_now)
    chain = [InstantProvider(config.providers[0], source="the test")]
    chain[0].model_to_open = model or Instant()
    return compiled(assemble(chain, services, config), checkpointer=None, name="router")


def counting_ledger(path: Path) -> tuple[SqlLedger, Counter[str]]:
    store = CountingStore(path, busy_timeout_s=30)
    store.commits = Counter()
    calendar = calendar_of(RouterConfig().ledger)
    return SqlLedger(store, limits=[], calendar=calendar, clock=utc_now), store.commits


class Empty(TypedDict):
    messages: list[Any]


def empty_graph(model: BaseChatModel | None = None) -> Any:
    """Three nodes that do nothing, or of which the second asks a model."""

    async def nothing(state: Empty) -> dict[str, Any]:
        return {}

    async def ask_model(state: Empty) -> dict[str, Any]:
        assert model is not None
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(Empty)
    for name in ("first", "second", "third"):
        builder.add_node(name, ask_model if model and name == "second" else nothing)
    builder.add_edge(START, "first").add_edge("first", "second")
    builder.add_edge("second", "third").add_edge("third", END)
    return builder.compile()


async def functions_called(call: Callable[[], Awaitable[Any]]) -> int:
    """How many functions this thread calls for one call that is not the first."""
    await call()
    with counted_functions() as count:
        await call()
    return count.calls


async def test_a_routed_call_costs_the_loop_less_than_an_empty_graph() -> None:
    router = instant_router(NoLedger())
    empty = empty_graph()
    routed = await functions_called(lambda: router.ainvoke(ask()))
    by_engine = await functions_called(lambda: router.ainvoke(ask(), ENGINE))
    floor = await functions_called(lambda: empty.ainvoke(ask()))
    # Seen: 0.40 and 1.86.
    assert routed < 0.46 * floor
    assert by_engine < 2.1 * floor


async def functions_of_stream(graph: Any) -> tuple[int, int]:
    """How many functions this thread calls until the first piece of a stream, and until its end."""
    # The first stream of a process makes what the others find.
    async for _ in graph.astream(ask(), stream_mode=["messages", "custom"]):
        pass
    stream = graph.astream(ask(), stream_mode=["messages", "custom"])
    with counted_functions() as count:
        async for mode, event in stream:
            if mode == "messages" and event[0].content:
                break
        first = count.calls
        async for _ in stream:
            pass
    return first, count.calls


async def test_a_stream_costs_the_loop_less_than_an_empty_graph_around_its_model() -> None:
    short, long = Speaking(words=20), Speaking(words=220)
    first, few = await functions_of_stream(instant_router(NoLedger(), short))
    first_of_empty, few_of_empty = await functions_of_stream(empty_graph(short))
    _, many = await functions_of_stream(instant_router(NoLedger(), long))
    _, many_of_empty = await functions_of_stream(empty_graph(long))
    # Seen: 0.84 and 0.89.
    assert first < 0.95 * first_of_empty
    assert many - few < 0.96 * (many_of_empty - few_of_empty)


async def test_a_host_that_keeps_checkpoints_pays_little_more_for_the_router() -> None:
    router, model = instant_router(NoLedger()), Instant()

    async def bare(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def added_by(node: Any) -> int:
        return await of(node) - await of(bare)

    async def of(node: Any) -> int:
        graph, threads = host_of(node, checkpointer=InMemorySaver()), count(1)
        return await functions_called(
            lambda: graph.ainvoke(ask(), {"configurable": {"thread_id": str(next(threads))}})
        )

    # Seen: 1.38.
    assert await added_by(router) < 1.45 * await added_by(empty_graph(model))


def host_of(node: Any, *, nodes: int = 1, checkpointer: Any = None) -> Any:
    """A graph in which a node runs so many times."""
    builder: Any = StateGraph(MessagesState)
    names = [f"n{number}" for number in range(nodes)]
    for name in names:
        builder.add_node(name, node)
    for start, end in pairwise([START, *names, END]):
        builder.add_edge(start, end)
    return builder.compile(checkpointer=checkpointer)


async def test_a_node_of_a_host_costs_the_loop_little_more_than_a_call_alone() -> None:
    router, model = instant_router(NoLedger()), Instant()

    async def bare(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def of(graph: Any) -> int:
        return await functions_called(lambda: graph.ainvoke(ask()))

    alone = await of(router) - await functions_called(lambda: model.ainvoke(ask()["messages"]))
    as_node = await of(host_of(router)) - await of(host_of(bare))
    # Seen: 1.03, and 2.40.
    assert as_node < 1.15 * alone
    assert await of(host_of(router, nodes=3)) < 2.7 * await of(host_of(router))


async def test_a_node_looks_for_callbacks_once() -> None:
    router = instant_router(NoLedger())

    async def nothing(state: MessagesState) -> dict[str, Any]:
        return {}

    async def calling(state: MessagesState) -> dict[str, Any]:
        return {"messages": (await router.ainvoke(state))["messages"]}

    async def looks_of(node: Any) -> int:
        with counted_functions(named="_configure") as count:
            await host_of(node).ainvoke(ask())
        return count.calls

    without = await looks_of(nothing)
    assert await looks_of(router) == await looks_of(calling) == without + 1


async def test_a_routed_call_leaves_nothing_for_the_garbage_collector() -> None:
    router = instant_router(NoLedger())
    await router.ainvoke(ask())
    prompt = HumanMessage("Which city?")
    seen = weakref.ref(prompt)
    gc.disable()
    try:
        await router.ainvoke({"messages": [prompt]})
        del prompt
        # An object that keeps itself would keep the prompt and its images with it.
        assert seen() is None
    finally:
        gc.enable()


async def test_a_request_is_two_transactions(db: Path) -> None:
    ledger, commits = counting_ledger(db)
    router = instant_router(ledger)
    await router.ainvoke(ask())
    before = commits["transactions"]
    for _ in range(5):
        await router.ainvoke(ask())
    assert commits["transactions"] - before == 2 * 5


async def test_the_engine_runs_three_nodes_for_a_request() -> None:
    router = instant_router(NoLedger())
    parts = [part async for part in router.astream(ask(), stream_mode="updates")]
    assert [name for part in parts for name in part] == [
        "budget_check",
        "attempt_instant",
        "record_cost",
    ]
