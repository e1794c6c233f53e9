"""Hosts of a router, and the sentences of the documentation that must hold in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send

from aegis_graph import RoutedChatModel, RoutedMessagesState, RouterContext
from tests.flow.support import ask

ROOT = Path(__file__).parents[2]
Test = TypeVar("Test", bound=Callable[..., Any])

PROMISES: list[tuple[str, str]] = []
"""Each page with a sentence of it that a test runs in a host."""


def promise(*sentences: str, page: str = "README.md") -> Callable[[Test], Test]:
    """Say which sentences of a page a test runs; the page must have them word by word."""

    def keep(test: Test) -> Test:
        PROMISES.extend((page, sentence) for sentence in sentences)
        return test

    return keep


def host(node: Any, state: Any = RoutedMessagesState, *, name: str = "llm", **more: Any) -> Any:
    """A graph with one node."""
    builder: Any = StateGraph(state, **more)
    return builder.add_node(name, node).add_edge(START, name)


def nested(node: Any, state: Any = RoutedMessagesState, **more: Any) -> Any:
    """A graph in a graph in a graph, with the router at the bottom."""
    inner = host(node, state, name="inner", **more).compile()
    middle = host(inner, state, name="middle", **more).compile()
    return host(middle, state, name="outer", **more).compile()


def crowd(node: Any, size: int) -> Any:
    """A graph that sends so many requests to the router at the same time."""

    def fan_out(state: RoutedMessagesState) -> list[Send]:
        return [Send("llm", {**state, **ask(f"city {n}?")}) for n in range(size)]

    builder: Any = StateGraph(RoutedMessagesState)
    return builder.add_node("llm", node).add_conditional_edges(START, fan_out, ["llm"]).compile()


async def _routed(router: Any, text: str, choices: Mapping[str, Any]) -> Any:
    return await host(router).compile().ainvoke(ask(text, **choices))


async def _nested(router: Any, text: str, choices: Mapping[str, Any]) -> Any:
    return await nested(router).ainvoke(ask(text, **choices))


async def _kept(router: Any, text: str, choices: Mapping[str, Any]) -> Any:
    graph = host(router).compile(checkpointer=InMemorySaver())
    return await graph.ainvoke(ask(text, **choices), {"configurable": {"thread_id": "1"}})


async def _sent(router: Any, text: str, choices: Mapping[str, Any]) -> Any:
    def fan_out(state: RoutedMessagesState) -> list[Send]:
        return [Send("llm", state)]

    builder: Any = StateGraph(RoutedMessagesState).add_node("llm", router)
    builder.add_conditional_edges(START, fan_out, ["llm"])
    return await builder.compile().ainvoke(ask(text, **choices))


async def _bound(router: Any, text: str, choices: Mapping[str, Any]) -> Any:
    bound = router.with_options(**choices)
    return await nested(bound, MessagesState).ainvoke(ask(text))


async def _context(router: Any, text: str, choices: Mapping[str, Any]) -> Any:
    graph = nested(router, MessagesState, context_schema=RouterContext)
    return await graph.ainvoke(ask(text), context=dict(choices))


async def _configured(router: Any, text: str, choices: Mapping[str, Any]) -> Any:
    graph = nested(router, MessagesState)
    return await graph.ainvoke(ask(text), {"configurable": dict(choices)})


async def _agent(router: Any, text: str, choices: Mapping[str, Any]) -> Any:
    agent: Any = create_agent(RoutedChatModel(router=router, **choices), tools=[])
    return await agent.ainvoke(ask(text))


async def _streamed(router: Any, text: str, choices: Mapping[str, Any]) -> Any:
    result: Any = None
    modes = ["messages", "custom", "values"]
    async for path, mode, data in nested(router).astream(
        ask(text, **choices), stream_mode=modes, subgraphs=True
    ):
        if mode == "values" and not path:
            result = data
    return result


HOSTS: Mapping[str, Callable[[Any, str, Mapping[str, Any]], Awaitable[Any]]] = {
    "routed state": _routed,
    "subgraph two levels deep": _nested,
    "checkpointer": _kept,
    "sent": _sent,
    "plain state, bound": _bound,
    "plain state, context": _context,
    "plain state, configuration": _configured,
    "agent": _agent,
    "stream of subgraphs": _streamed,
}
"""Ways to ask one question through a router in a host, with the choices of a request."""
