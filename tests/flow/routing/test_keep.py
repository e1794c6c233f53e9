"""An answer is in its caller's hands before the ledger has its cost, whatever runs the nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph import create_embeddings
from aegis_graph.routing.observer import RunObserver, with_observer
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    KEYS,
    ask,
    assert_sound,
    dust_settles,
    make_config,
    open_router,
    provider,
    rows,
)
from tests.flow.test_embeddings import embedder

PARIS = Reply("Paris")
RUNNERS = ["the fast path", "the engine", "a host"]


async def run(router: Any, observer: RunObserver, by: str) -> None:
    """One request, whose nodes are run by the fast path, LangGraph's engine or that in a host."""
    if by == "the fast path":
        await router.ainvoke(ask(), with_observer(observer))
        return
    if by == "the engine":
        async for _ in router.astream(ask(), with_observer(observer)):
            pass
        return

    async def node(state: MessagesState) -> dict[str, Any]:
        await router.ainvoke({"messages": state["messages"]}, with_observer(observer))
        return {}

    host = StateGraph(MessagesState).add_node("n", node).add_edge(START, "n").compile()
    await host.ainvoke(ask())


@pytest.mark.parametrize("by", RUNNERS)
async def test_it_is_kept_once_and_before_its_cost(
    server: LoopbackServer, db: Path, by: str
) -> None:
    server.always("openai", PARIS)
    kept: list[tuple[str, Any, list[str]]] = []

    def keep(answer: AIMessage) -> None:
        states = [row["status"] for row in rows(db)]
        kept.append((answer.text, answer.response_metadata["provider"], states))

    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    await run(router, RunObserver(keep=keep), by)

    assert kept == [("Paris", "openai", ["reserved"])]
    assert [row["status"] for row in rows(db)] == ["answered"]
    assert_sound(db)


@pytest.mark.parametrize("by", RUNNERS)
async def test_an_answer_that_could_not_be_kept_is_paid_and_not_asked_for_again(
    server: LoopbackServer, db: Path, by: str
) -> None:
    server.always("openai", PARIS)
    server.always("ollama", PARIS)

    def keep(answer: AIMessage) -> None:
        raise OSError("no space left")

    chain = [provider(server, "openai"), provider(server, "ollama")]
    router = open_router(make_config(server, db, providers=chain))
    with pytest.raises(OSError, match="no space left"):
        await run(router, RunObserver(keep=keep), by)

    await dust_settles(db)
    (row,) = rows(db)
    assert (row["status"], row["cost_basis"]) == ("answered", "reported")
    assert row["cost_nano_usd"] > 0
    assert len(server.calls()) == 1
    assert_sound(db)


async def test_an_attempt_that_failed_has_nothing_to_keep(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Fault.status(503))
    server.always("ollama", PARIS)
    kept: list[str] = []
    chain = [provider(server, "openai", max_retries=0), provider(server, "ollama")]
    router = open_router(make_config(server, db, providers=chain))
    observer = RunObserver(keep=lambda answer: kept.append(answer.response_metadata["provider"]))
    await run(router, observer, "the fast path")
    assert kept == ["ollama"]


async def test_each_batch_of_vectors_is_kept_with_its_texts(
    server: LoopbackServer, db: Path
) -> None:
    config = make_config(server, db, embeddings=[embedder(server, "dashscope")])
    embeddings = create_embeddings(config, environ=KEYS)
    texts = [f"text {number}" for number in range(12)]
    kept: dict[str, list[float]] = {}
    reserved: list[int] = []

    def keep(batch: Any, vectors: Any) -> None:
        kept.update(zip(batch, vectors, strict=True))
        reserved.append(sum(row["status"] == "reserved" for row in rows(db)))

    found = await embeddings.aembed(texts, keep=keep)

    assert [kept[text] for text in texts] == found.vectors
    assert len(reserved) == 2
    assert all(reserved)
