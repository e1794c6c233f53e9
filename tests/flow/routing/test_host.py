"""The router as a node of somebody else's graph, under every durability that LangGraph offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import ask, make_config, open_router

THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.mark.parametrize("own", [None, False], ids=["the host's", "none"])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_the_router_runs_in_a_host_with_a_checkpointer(
    server: LoopbackServer, db: Path, durability: Any, own: Any
) -> None:
    # LangGraph itself fails on a subgraph that has no checkpointer in a host that runs with "sync".
    server.always("ollama", Reply("It is."))
    router = open_router(make_config(server, db), checkpointer=own)
    builder = StateGraph(MessagesState).add_node("llm", router)
    host = builder.add_edge(START, "llm").compile(checkpointer=InMemorySaver())
    result: Any = await host.ainvoke(ask(), THREAD, durability=durability)
    assert result["messages"][-1].text == "It is."
    result = host.invoke(ask(), THREAD, durability=durability)
    assert len(result["messages"]) == 4
