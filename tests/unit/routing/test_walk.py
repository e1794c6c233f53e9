"""A walk gives a graph's nodes, and its caller, what LangGraph's engine would give them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import add
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.channels import EphemeralValue, UntrackedValue
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Overwrite, RetryPolicy, Send
from typing_extensions import TypedDict

from aegis_graph.concurrency.inline_node import InlineNode
from aegis_graph.routing.events import no_writer
from aegis_graph.routing.hosts.langchain_internals import RUNTIME_KEY
from aegis_graph.routing.walking.walk import WalkPlan, awalk, walk

NAMES = ("one", "two", "three", "four")
LIMIT = 6


class Asked(TypedDict, total=False):
    last: str
    brief: Annotated[str, EphemeralValue]
    joined: Annotated[list[str], add]


class Given(TypedDict, total=False):
    joined: Annotated[list[str], add]
    last: str
    table: Annotated[dict[str, str], lambda left, right: {**left, **right}]


class Whole(Asked, Given, total=False):
    loose: Annotated[str, UntrackedValue]


class Part(TypedDict, total=False):
    """What one of the nodes is given."""

    last: str
    sent: str


@dataclass(frozen=True)
class Node:
    """What a node writes, and where it goes on to."""

    writes: frozenset[str] = frozenset()
    goto: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    fails: bool = False
    is_inline: bool = True


@dataclass
class Written:
    """A graph whose nodes note what they are given."""

    nodes: Mapping[str, Node]
    edges: frozenset[tuple[str, str]]
    seen: list[str] = field(default_factory=list)

    def run(self, name: str, state: Any) -> Any:
        node = self.nodes[name]
        self.seen.append(f"{name} {list(state.items())}")
        if node.fails:
            raise KeyError(name)
        mark = f"{name}{len(state)}"
        values: dict[str, Any] = {
            "last": mark,
            "brief": mark,
            "loose": mark,
            "joined": [mark],
            "table": {name: mark},
            "anew": Overwrite([mark]),
            "unknown": mark,
        }
        update = {("joined" if key == "anew" else key): values[key] for key in sorted(node.writes)}
        if not node.goto and not node.sends:
            return update or None
        sends = [Send(target, {"sent": mark}) for target in node.sends]
        return Command(update=update, goto=[*node.goto, *sends])

    def compiled(self) -> Any:
        builder: Any = StateGraph(Whole, input_schema=Asked, output_schema=Given)
        for name, node in self.nodes.items():

            def run(state: Any, name: str = name) -> Any:
                return self.run(name, state)

            async def arun(state: Any, name: str = name) -> Any:
                return self.run(name, state)

            body = InlineNode(run) if node.is_inline else RunnableLambda(run, arun)
            builder.add_node(name, body, input_schema=Part if name == "four" else Whole)
        builder.add_edge(START, "one")
        for start, end in sorted(self.edges):
            builder.add_edge(start, end)
        return builder.compile()


targets = st.lists(st.sampled_from((*NAMES, END)), max_size=2).map(tuple)
nodes = st.builds(
    Node,
    writes=st.frozensets(
        st.sampled_from(("last", "brief", "loose", "joined", "table", "anew", "unknown"))
    ),
    goto=targets,
    sends=st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
    fails=st.sampled_from((False,) * 7 + (True,)),
    is_inline=st.booleans(),
)
graphs = st.builds(
    Written,
    nodes=st.fixed_dictionaries(dict.fromkeys(NAMES, nodes)),
    edges=st.frozensets(
        st.tuples(st.sampled_from(NAMES), st.sampled_from((*NAMES, END))), max_size=2
    ),
)
# A key of the output, because the engine gives None where no node ever wrote one.
requests = st.fixed_dictionaries(
    {"last": st.just("x")}, optional={key: st.just("x") for key in ("brief", "unknown")}
)


def config() -> RunnableConfig:
    runtime: Runtime[None] = Runtime(stream_writer=no_writer)
    return {"configurable": {RUNTIME_KEY: runtime}, "recursion_limit": LIMIT}


def outcome(written: Written, run: Any) -> list[Any]:
    """What a run gave, and what its nodes were given in it."""
    written.seen.clear()
    try:
        given = run()
    except Exception as error:  # noqa: BLE001  what a caller gets is compared, whatever it is
        # Which of two that fail at once is reported is chance, and so is what else began.
        return [type(error), str(error) if not isinstance(error, KeyError) else ""]
    return [given, sorted(written.seen)]


@given(graphs, requests)
@settings(max_examples=200)
def test_a_walk_is_what_the_engine_does(written: Written, asked: Any) -> None:
    graph = written.compiled()
    plan = WalkPlan.of(graph)
    assert plan is not None
    limit: Any = {"recursion_limit": LIMIT}
    by_engine = outcome(written, lambda: graph.invoke(asked, limit))
    assert outcome(written, lambda: walk(plan, asked, config())) == by_engine
    assert outcome(written, lambda: asyncio.run(awalk(plan, asked, config()))) == by_engine


def special(**more: Any) -> Any:
    builder: Any = StateGraph(Whole)
    builder.add_node("one", InlineNode(lambda state: {}), **more)
    return builder.add_edge(START, "one")


def test_what_only_the_engine_can_do_has_no_plan() -> None:
    assert WalkPlan.of(special().compile()) is not None
    branched = special().add_conditional_edges("one", lambda state: END)
    joined = special().add_node("two", InlineNode(lambda state: {})).add_edge(["one"], "two")
    retried = special(retry_policy=RetryPolicy())
    late = special(defer=True)
    for builder in (branched, joined, retried, late):
        assert WalkPlan.of(builder.compile()) is None


async def test_a_node_that_fails_ends_the_others_of_its_step() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def waits(state: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def fails(state: Any) -> None:
        await begun.wait()
        raise KeyError("gone")

    builder: Any = StateGraph(Whole).add_node("waits", waits).add_node("fails", fails)
    graph = builder.add_edge(START, "waits").add_edge(START, "fails").compile()
    plan = WalkPlan.of(graph)
    assert plan is not None
    with pytest.raises(KeyError, match="gone"):
        await awalk(plan, {}, config())
    assert ended.is_set()


async def test_a_run_that_is_cancelled_ends_its_nodes() -> None:
    begun, ended = asyncio.Semaphore(0), []

    async def waits(state: Any) -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(state)

    builder: Any = StateGraph(Whole).add_node("first", waits).add_node("second", waits)
    graph = builder.add_edge(START, "first").add_edge(START, "second").compile()
    plan = WalkPlan.of(graph)
    assert plan is not None
    running = asyncio.create_task(awalk(plan, {}, config()))
    for _ in range(2):
        await begun.acquire()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(ended) == 2
