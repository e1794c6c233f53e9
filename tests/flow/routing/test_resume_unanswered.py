"""A request that ended without an answer is asked again when its run is resumed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph.errors import AllProvidersFailedError, BudgetExceededError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import ask, assert_sound, flat_price, made, make_config, provider
from tests.flow.support import open_router as open_routed

THREAD: Any = {"configurable": {"thread_id": "t"}}
PARIS = Reply("Paris", input_tokens=1, output_tokens=1)


@pytest.fixture(params=["alone", "as a node"])
def graph(request: pytest.FixtureRequest, server: LoopbackServer, db: Path) -> Any:
    row = provider(server, "openai", **flat_price("0.01"), max_retries=0)
    config = make_config(server, db, providers=[row], budgets={"total": "0"})
    if request.param == "alone":
        return open_routed(config, checkpointer=InMemorySaver())
    builder = StateGraph(MessagesState).add_node("llm", open_routed(config))
    return builder.add_edge(START, "llm").compile(checkpointer=InMemorySaver())


async def raise_budget(graph: Any) -> None:
    router = (
        graph if hasattr(graph.builder, "nodes_around") else graph.builder.nodes["llm"].runnable
    )
    await router.builder.nodes_around.services.ledger.set_budget("total", "month", Decimal(1))


async def test_more_money_is_enough_to_go_on(graph: Any, server: LoopbackServer) -> None:
    with pytest.raises(BudgetExceededError):
        await graph.ainvoke(ask(), THREAD)
    with pytest.raises(BudgetExceededError):
        await graph.ainvoke(None, THREAD)
    server.script("openai", PARIS)
    await raise_budget(graph)
    result = await graph.ainvoke(None, THREAD)
    assert result["messages"][-1].text == "Paris"
    assert len(server.calls()) == 1


async def test_a_provider_that_failed_is_asked_again(
    graph: Any, server: LoopbackServer, db: Path
) -> None:
    await raise_budget(graph)
    server.script("openai", Fault.status(503), PARIS)
    with pytest.raises(AllProvidersFailedError):
        await graph.ainvoke(ask(), THREAD)
    result = await graph.ainvoke(None, THREAD)
    assert result["messages"][-1].text == "Paris"
    assert [(row["attempt"], row["status"]) for row in made(db)] == [(1, "failed"), (2, "answered")]
    assert_sound(db)
