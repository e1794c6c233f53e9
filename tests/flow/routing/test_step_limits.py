"""A limit of steps is the host's: it ends no request between an answer and its cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver

from aegis_graph import RoutedChatModel
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.hosts import host
from tests.flow.support import ask, made, make_config, open_router, provider

FAILING = 13
"""More than the 25 steps that LangChain fills in are enough for."""


def router_of(server: LoopbackServer, db: Path, failing: int) -> Any:
    """A chain of so many providers that cannot answer, and one that does."""
    server.always("openai", Fault.status(400, error_code="context_length_exceeded"))
    server.always("ollama", Reply("It is."))
    chain = [provider(server, "openai", name=f"p{number}") for number in range(failing)]
    config = make_config(server, db, providers=[*chain, provider(server, "ollama")])
    return open_router(config)


@pytest.mark.parametrize("limit", [2, 3, 5])
@pytest.mark.parametrize("way", ["node", "kept", "model", "streamed"])
async def test_the_steps_of_a_host_do_not_end_a_request(
    server: LoopbackServer, db: Path, way: str, limit: int
) -> None:
    router = router_of(server, db, failing=2)
    agent: Any = create_agent(RoutedChatModel(router=router), tools=[])
    hosts = {
        "node": host(router).compile(),
        "kept": host(router).compile(checkpointer=InMemorySaver()),
        "model": agent,
        "streamed": agent,
    }
    graph = hosts[way]
    config: Any = {"recursion_limit": limit, "configurable": {"thread_id": "1"}}
    if way == "streamed":
        parts = [part async for part in graph.astream(ask(), config, stream_mode="values")]
        result = parts[-1]
    else:
        result = await graph.ainvoke(ask(), config)

    assert result["messages"][-1].text == "It is."
    assert [row["status"] for row in made(db)] == ["failed", "failed", "answered"]


async def test_a_chain_of_langchain_s_knows_no_limit_for_a_request(
    server: LoopbackServer, db: Path
) -> None:
    router = router_of(server, db, failing=FAILING)
    chain: Any = RunnableLambda(lambda text: ask(text)) | router

    parts = [part async for part in chain.astream("Which city?")]

    assert parts[-1]["record_cost"]["messages"][-1].text == "It is."
    assert len(made(db)) == FAILING + 1
