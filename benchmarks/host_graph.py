"""A host graph around a node that answers, and every way in which a host runs; also for peers."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any

from host_ways import STREAMS
from langchain_core.messages import AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import TypedDict
from worker import PROMPT, Contestant

Graph = CompiledStateGraph[Any, Any, Any, Any]
Close = Callable[[], Awaitable[Any]]


class HostState(TypedDict):
    """What most hosts keep."""

    messages: Annotated[list[AnyMessage], add_messages]


@dataclass(frozen=True)
class HostNode:
    """One node, in the form that a host run by ``invoke`` needs, and for ``ainvoke``."""

    sync: Any
    asynchronous: Any
    close: Close | None = None


async def host(
    node: HostNode, *, checkpoints: str = "none", folder: str = "", nodes: int = 1
) -> Contestant:
    """Put a node into a host, and give every way in which that runs.

    Args:
        node: What answers.
        checkpoints: One of ``host_ways.CHECKPOINTS``.
        folder: Where SQLite's file is.
        nodes: How often the node stands in the host, one after the other.
    """
    stack = AsyncExitStack()
    if node.close is not None:
        stack.push_async_callback(node.close)
    sync_saver, saver = await _savers(checkpoints, folder, stack)
    sync_graph = _chain([node.sync] * nodes).compile(checkpointer=sync_saver)
    graph = _chain([node.asynchronous] * nodes).compile(checkpointer=saver)
    kept = checkpoints != "none"
    numbers = itertools.count(1)

    def run() -> tuple[Any, Any]:
        """A question, and a thread of its own where threads are kept."""
        config = {"configurable": {"thread_id": str(next(numbers))}} if kept else None
        return {"messages": [HumanMessage(PROMPT)]}, config

    async def ainvoke() -> Any:
        return await graph.ainvoke(*run())

    async def invoke() -> Any:
        return sync_graph.invoke(*run())

    async def stream() -> AsyncIterator[Any]:
        # Without ``subgraphs`` a host is shown no token of a subgraph.
        async for _, event in graph.astream(*run(), stream_mode="messages", subgraphs=True):
            if event[0].content:
                yield event

    ways = {"ainvoke": ainvoke, "invoke": invoke}
    ways |= {name: _streamed(graph, run, mode) for name, mode in STREAMS.items()}
    return Contestant(ainvoke, stream, stack.aclose, ways)


def three_nodes(middle: Any, nothing: Any) -> Graph:
    """A subgraph that does nothing before and after its middle node."""
    return _chain([nothing, middle, nothing]).compile()


def _streamed(
    graph: Graph, run: Callable[[], tuple[Any, Any]], mode: dict[str, Any]
) -> Callable[[], Awaitable[Any]]:
    async def heard() -> Any:
        async for _ in graph.astream(*run(), **mode):
            pass

    return heard


def _chain(nodes: list[Any]) -> StateGraph[HostState]:
    builder = StateGraph(HostState)
    names = [f"node_{number}" for number in range(len(nodes))]
    for name, node in zip(names, nodes, strict=True):
        builder.add_node(name, node)
    for start, end in itertools.pairwise([START, *names, END]):
        builder.add_edge(start, end)
    return builder


async def _savers(checkpoints: str, folder: str, stack: AsyncExitStack) -> tuple[Any, Any]:
    """The checkpointers of the sync host and of the async one."""
    if checkpoints == "none":
        return None, None
    if checkpoints == "memory":
        from langgraph.checkpoint.memory import InMemorySaver  # noqa: PLC0415  only where asked for

        return InMemorySaver(), InMemorySaver()
    from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver  # noqa: PLC0415

    path = f"{folder}/checkpoints-{os.getpid()}"
    connection = sqlite3.connect(f"{path}-sync.db", check_same_thread=False)
    stack.callback(connection.close)
    saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(f"{path}.db"))
    return SqliteSaver(connection), saver
