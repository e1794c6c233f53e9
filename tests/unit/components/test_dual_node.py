"""One body of a node: run by sync and async hosts alike, with its graph in the drawing."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict, override

from aegis_graph.components.dual_node import DualCall, dual_node
from aegis_graph.concurrency.inline_node import InlineNode


class State(TypedDict):
    word: str


class Shouter:
    """Two forms of a function, which say which of them ran."""

    def __init__(self) -> None:
        self.forms: list[str] = []

    def shout(self, word: str) -> str:
        self.forms.append("sync")
        return word.upper()

    async def ashout(self, word: str) -> str:
        self.forms.append("async")
        await asyncio.sleep(0)
        return word.upper()


async def _shout_twice(target: Shouter, word: str, config: RunnableConfig, call: DualCall) -> str:
    words = [await call(target.shout, target.ashout, one) for one in (word, word)]
    return f"{' '.join(words)} {config['metadata']['mark']}"


async def test_a_sync_and_an_async_host_run_the_same_body() -> None:
    shouter = Shouter()
    node = dual_node(shouter, _shout_twice)
    config: RunnableConfig = {"metadata": {"mark": "!"}}

    # Within a running loop, as an application's sync code may be.
    assert node.invoke("ab", config) == "AB AB !"
    assert shouter.forms == ["sync", "sync"]

    assert await node.ainvoke("ab", config) == "AB AB !"
    assert shouter.forms == ["sync", "sync", "async", "async"]


async def test_a_body_may_catch_what_a_call_raises() -> None:
    def fail() -> str:
        raise KeyError("sync")

    async def afail() -> str:
        raise KeyError("async")

    async def caught(target: None, state: str, config: RunnableConfig, call: DualCall) -> str:
        try:
            return await call(fail, afail)
        except KeyError as error:
            return f"{state} {error.args[0]}"

    async def uncaught(target: None, state: str, config: RunnableConfig, call: DualCall) -> str:
        return await call(fail, afail)

    node = dual_node(None, caught)
    assert node.invoke("no") == "no sync"
    assert await node.ainvoke("no") == "no async"
    with pytest.raises(KeyError, match="sync"):
        dual_node(None, uncaught).invoke("no")
    with pytest.raises(KeyError, match="async"):
        await dual_node(None, uncaught).ainvoke("no")


def test_a_body_that_waits_for_something_else_is_refused_by_a_sync_host() -> None:
    async def waits(target: None, state: str, config: RunnableConfig, call: DualCall) -> str:
        await asyncio.sleep(0)
        return state

    with pytest.raises(RuntimeError, match="awaited something else than its call"):
        dual_node(None, waits).invoke("ab")


def test_the_drawing_shows_a_graph_that_the_body_calls() -> None:
    inner = StateGraph(State).add_node("inside", lambda state: state).add_edge(START, "inside")

    async def run(target: Any, state: State, config: RunnableConfig, call: DualCall) -> Any:
        return await call(target.invoke, target.ainvoke, state)

    outer = StateGraph(State).add_node("outside", dual_node(inner.compile(), run))
    graph = outer.add_edge(START, "outside").compile()
    assert "outside:inside" in graph.get_graph(xray=True).nodes
    assert graph.invoke({"word": "ab"}) == {"word": "ab"}


def one_node(node: Runnable[Any, Any]) -> Any:
    builder = StateGraph(State)
    builder.add_node("only", node)
    builder.add_edge(START, "only")
    return builder.compile()


async def test_an_inline_node_stays_on_the_thread_of_its_host() -> None:
    threads: list[int] = []

    def shout(state: State) -> dict[str, str]:
        threads.append(threading.get_ident())
        return {"word": state["word"].upper()}

    host = one_node(InlineNode(shout))
    assert await host.ainvoke({"word": "ab"}) == host.invoke({"word": "ab"}) == {"word": "AB"}
    assert threads == [threading.get_ident()] * 2


async def test_an_inline_node_with_much_to_do_leaves_the_loop_to_others() -> None:
    threads: list[bool] = []

    def shout(state: State) -> dict[str, str]:
        threads.append(threading.current_thread() is threading.main_thread())
        return {"word": state["word"].upper()}

    host = one_node(InlineNode(shout, is_short=lambda state: len(state["word"]) < 3))
    assert await host.ainvoke({"word": "ab"}) == {"word": "AB"}
    assert await host.ainvoke({"word": "abc"}) == {"word": "ABC"}
    assert threads == [True, False]


class Runs(AsyncCallbackHandler):
    """Counts what a trace would show."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @override
    async def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
        self.names.append(kwargs["name"])


async def test_a_trace_shows_a_node_once() -> None:
    async def body(target: None, state: State, config: RunnableConfig, call: DualCall) -> State:
        return {"word": state["word"].upper()}

    for node in (dual_node(None, body), InlineNode(lambda state: {"word": state["word"].upper()})):
        runs = Runs()
        await one_node(node).ainvoke({"word": "ab"}, {"callbacks": [runs]})
        assert runs.names == ["LangGraph", "only"]
