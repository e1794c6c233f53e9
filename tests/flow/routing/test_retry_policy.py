"""A host that asks the router again: LangGraph's ``RetryPolicy`` on the router's node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Checkpointer, RetryPolicy

from aegis_graph import RoutedMessagesState
from aegis_graph.errors import (
    AllProvidersFailedError,
    BudgetExceededError,
    NoProviderError,
    RequestRejectedError,
)
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    ask,
    assert_sound,
    flat_price,
    make_config,
    open_router,
    provider,
    rows,
    spent,
)

THREAD = {"configurable": {"thread_id": "t"}}


def policy(**more: Any) -> RetryPolicy:
    return RetryPolicy(
        retry_on=AllProvidersFailedError, initial_interval=0.001, jitter=False, **more
    )


def host(
    server: LoopbackServer,
    db: Path,
    retry: RetryPolicy,
    *,
    checkpointer: Checkpointer = None,
    **sections: Any,
) -> Any:
    row = provider(server, "openai", max_retries=0, **flat_price("1"))
    router = open_router(make_config(server, db, providers=[row], **sections))
    builder = StateGraph(RoutedMessagesState).add_node("llm", router, retry_policy=retry)
    return builder.add_edge(START, "llm").compile(checkpointer=checkpointer)


@pytest.mark.parametrize("remembers", [False, True])
@pytest.mark.parametrize("sync", [False, True])
async def test_a_node_is_asked_again_and_each_try_is_recorded(
    server: LoopbackServer, db: Path, remembers: bool, sync: bool
) -> None:
    half = Fault.cut(Reply("half an answer", input_tokens=0, output_tokens=1), after_chunks=1)
    server.script("openai", half, Fault.status(503), Reply("yes", input_tokens=0, output_tokens=1))
    graph = host(server, db, policy(), checkpointer=MemorySaver() if remembers else None)
    asked = ask(run_id="r1")
    result = graph.invoke(asked, THREAD) if sync else await graph.ainvoke(asked, THREAD)
    assert result["messages"][-1].text == "yes"
    # The state has the last try, the ledger all of them.
    assert [one["status"] for one in result["attempts"]] == ["answered"]
    assert [(row["status"], row["cost_nano_usd"]) for row in rows(db)] == [
        ("failed", 1_000_000_000),
        ("failed", 0),
        ("answered", 1_000_000_000),
    ]
    assert len({row["route_id"] for row in rows(db)}) == 3
    assert spent(db, "run:r1") == 2_000_000_000
    assert_sound(db)


async def test_all_tries_share_the_envelope_of_their_run(server: LoopbackServer, db: Path) -> None:
    half = Fault.cut(Reply("half an answer", input_tokens=0, output_tokens=1), after_chunks=1)
    server.always("openai", half)
    graph = host(server, db, policy(max_attempts=10), health={"failures": 99})
    with pytest.raises(BudgetExceededError):
        await graph.ainvoke(ask(run_id="r1", max_cost_usd="2.5"))
    assert len(server.calls()) == 2
    assert spent(db, "run:r1") == 2_000_000_000


async def test_what_another_try_cannot_help_is_tried_once(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Fault.status(400))
    with pytest.raises(RequestRejectedError):
        await host(server, db, policy()).ainvoke(ask())
    assert len(server.calls()) == 1
    with pytest.raises(NoProviderError):
        await host(server, db, policy()).ainvoke(ask(sensitivity="pii"))
    assert len(server.calls()) == 1


async def test_the_default_policy_asks_once(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Fault.status(503))
    with pytest.raises(AllProvidersFailedError):
        await host(server, db, RetryPolicy()).ainvoke(ask())
    assert len(server.calls()) == 1
