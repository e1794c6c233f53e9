"""What stands in a host graph: the router, the bare client, an empty subgraph around it."""

from __future__ import annotations

from typing import Any

from contestants import default_model, new_router, open_client
from host_graph import HostNode, HostState, host, three_nodes
from langchain_core.language_models import BaseChatModel
from worker import PROMPT, Contestant


async def routed_host(
    *,
    kind: str,
    url: str,
    ledger: str | None,
    folder: str,
    checkpoints: str = "none",
    nodes: int = 1,
) -> Contestant:
    """The router as the node."""
    router = new_router(kind, url, ledger)
    return await host(HostNode(router, router), checkpoints=checkpoints, folder=folder, nodes=nodes)


async def bare_host(
    *, kind: str, url: str, folder: str, checkpoints: str = "none", nodes: int = 1
) -> Contestant:
    """The client that the router calls, as a node; the default one where calls are sync."""
    node = _client_node(kind, url)
    return await host(node, checkpoints=checkpoints, folder=folder, nodes=nodes)


async def default_host(*, kind: str, url: str, folder: str) -> Contestant:
    """LangChain's client as it comes, as a node."""
    model = default_model(kind, url)
    return await host(_node(model, model), folder=folder)


async def empty_host(*, kind: str, url: str, folder: str, checkpoints: str = "none") -> Contestant:
    """A subgraph of three nodes as the node, of which the middle one calls the client."""
    client = _client_node(kind, url)

    def nothing(state: HostState) -> dict[str, Any]:
        return {}

    async def nothing_async(state: HostState) -> dict[str, Any]:
        return {}

    node = HostNode(
        three_nodes(client.sync, nothing),
        three_nodes(client.asynchronous, nothing_async),
        client.close,
    )
    return await host(node, checkpoints=checkpoints, folder=folder)


def bare_alone(*, kind: str, url: str) -> Contestant:
    """Both clients without any graph."""
    node = _client_node(kind, url)
    question: Any = {"messages": [PROMPT]}

    async def ainvoke() -> Any:
        return await node.asynchronous(question)

    async def invoke() -> Any:
        return node.sync(question)

    return Contestant(ainvoke, close=node.close, ways={"ainvoke": ainvoke, "invoke": invoke})


def _client_node(kind: str, url: str) -> HostNode:
    opened, options = open_client(kind, url)
    # The router's client has no synchronous half: sync callers share its event loop.
    return _node(default_model(kind, url), opened.model, opened.aclose, **options)


def _node(
    sync_model: BaseChatModel, model: BaseChatModel, close: Any = None, **options: Any
) -> HostNode:
    """A model as a node; the options are those of its asynchronous calls."""

    def answer(state: HostState) -> dict[str, Any]:
        return {"messages": [sync_model.invoke(state["messages"])]}

    async def answer_async(state: HostState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"], **options)]}

    return HostNode(answer, answer_async, close)
