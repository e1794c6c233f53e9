"""A hedged request under a checkpointer: nothing is bought twice, and no settlement is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph import LedgerError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    ask,
    assert_sound,
    dust_settles,
    flat_price,
    make_config,
    open_router,
    provider,
    rows,
)

ENDED = [("openai", "cancelled", "held"), ("dashscope", "answered", "reported")]
PARIS = Reply("Paris", output_tokens=1)


@pytest.fixture
def lock(db: Path) -> Iterator[sqlite3.Connection]:
    """Another program's connection."""
    with closing(
        sqlite3.connect(db, timeout=30, isolation_level=None, check_same_thread=False)
    ) as connection:
        yield connection


def hedged(server: LoopbackServer, db: Path, **more: Any) -> Any:
    chain = [provider(server, kind, **flat_price("1")) for kind in ("openai", "dashscope")]
    config = make_config(
        server, db, providers=chain, routing={"hedge_after_s": 0.02},
        ledger={"busy_timeout_s": 0.2},
    )  # fmt: skip
    return open_router(config, **more)


def outline(db: Path) -> list[tuple[str, str, str]]:
    return [(row["provider"], row["status"], row["cost_basis"]) for row in rows(db)]


async def test_a_ledger_that_fails_in_the_end_is_resumed_with_both_settlements(
    server: LoopbackServer, db: Path, lock: sqlite3.Connection
) -> None:
    def take() -> float:
        lock.execute("BEGIN IMMEDIATE")
        return 0.0

    server.always("openai", Fault.hang())
    server.always("dashscope", Reply("Paris", output_tokens=1, latency_s=take))
    router = hedged(server, db, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t"}}
    with pytest.raises(LedgerError):
        await router.ainvoke(ask(), thread)
    lock.execute("ROLLBACK")
    result = await router.ainvoke(None, thread)
    assert result["messages"][-1].text == "Paris"
    assert len(server.calls()) == 2, "nothing is bought twice"
    await dust_settles(db)
    assert outline(db) == ENDED
    assert_sound(db)


async def test_both_settlements_wait_in_the_state_between_two_nodes(
    server: LoopbackServer, db: Path
) -> None:
    """A run that stops before ``record_cost`` has them settled all the same, and once."""
    server.always("openai", Fault.hang())
    server.always("dashscope", PARIS)
    saver = InMemorySaver()
    router = hedged(server, db)
    paused = router.builder.compile(checkpointer=saver, interrupt_before=["record_cost"])
    thread: Any = {"configurable": {"thread_id": "t"}}
    await paused.ainvoke(ask(), thread)
    (pending, route) = _pending(await paused.aget_state(thread))
    assert [one["status"] for one in pending] == ["cancelled", "answered"]
    assert route["hedged"]
    await dust_settles(db)
    assert outline(db) == ENDED
    result = await paused.ainvoke(None, thread)
    assert [one["status"] for one in result["attempts"]] == ["cancelled", "answered"]
    assert outline(db) == ENDED
    assert_sound(db)
    assert len(server.calls()) == 2


def _pending(snapshot: Any) -> tuple[Any, Any]:
    route = snapshot.values["route"]
    return route["pending"], route


async def test_a_host_that_is_cancelled_right_after_leaves_no_hold(
    server: LoopbackServer, db: Path
) -> None:
    for kind in ("openai", "dashscope"):
        server.always(kind, Fault.hang())
    builder = StateGraph(MessagesState)
    builder.add_node("llm", hedged(server, db))
    builder.add_edge(START, "llm")
    host = builder.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    task = asyncio.create_task(host.ainvoke({"messages": [HumanMessage("Which?")]}, config))
    await asyncio.to_thread(server.wait_for_calls, 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await dust_settles(db)
    assert {row["status"] for row in rows(db)} == {"cancelled"}
    assert_sound(db)
