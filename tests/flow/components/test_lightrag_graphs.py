"""LightRAG as LangGraph nodes: inside a host, streamed, degraded, sync and async."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from langgraph_runtime_inmem.queue import (  # type: ignore[import-untyped]
    _enable_blockbuster,
)
from typing_extensions import TypedDict

from aegis_graph import (
    RoutedLightRAG,
    create_lightrag,
    create_lightrag_insert,
    create_lightrag_query,
)
from aegis_graph.components.lightrag.state import InsertRecord, RetrievedRecord
from aegis_graph.components.router_node import cost_usd
from aegis_graph.errors import InvalidRequestError
from aegis_graph.testing import Fault, LoopbackServer
from aegis_graph.types import AttemptRecord
from tests.flow.components.lightrag_support import (
    DOCUMENTS,
    QUESTION,
    lightrag_config,
    model,
    open_rag,
    operation,
    play,
)
from tests.flow.support import rows, spent


@pytest.fixture
def rag(server: LoopbackServer, db: Path, tmp_path: Path) -> Iterator[RoutedLightRAG]:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as opened:
        yield opened


class Host(TypedDict, total=False):
    """A host's state that has a place for what LightRAG takes and gives."""

    documents: dict[str, str]
    question: str
    mode: str
    answer: str
    insert: InsertRecord
    found: RetrievedRecord
    attempts: list[AttemptRecord]
    degraded: bool


async def test_a_host_inserts_asks_and_streams(rag: RoutedLightRAG, db: Path) -> None:
    builder = StateGraph(Host)
    builder.add_node("lightrag", create_lightrag(rag))
    builder.add_edge(START, "lightrag")
    host = builder.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}

    events: list[Any] = []
    tokens: list[Any] = []
    request: Any = {"documents": DOCUMENTS, "question": QUESTION}
    stream: Any = host.astream(request, config, stream_mode=["custom", "messages"], subgraphs=True)
    async for _, mode, found in stream:
        if mode == "custom":
            events.append(found)
        else:
            tokens.append(found[0])

    state = (await host.aget_state(config)).values
    assert state["insert"]["state"] == "done"
    assert state["answer"].startswith(f"Answer to: {QUESTION}")
    assert {row["file_path"] for row in state["found"]["references"]} == set(DOCUMENTS)
    assert not state["degraded"]
    # The run's cost is the ledger's, to the last nano-USD.
    assert cost_usd(state["attempts"]) * 10**9 == spent(db)
    assert len({row["run_id"] for row in rows(db)}) == 1, "the insert and the question are one run"
    done = [event for event in events if event["event"] == "lightrag_document"]
    assert {event["document"] for event in done if event["status"] == "processed"} == set(DOCUMENTS)
    assert "lightrag_query" in {event["event"] for event in events}
    # Nobody is shown what a model extracted.
    shown = "".join(str(token.content) for token in tokens if token.type.lower().startswith("ai"))
    assert "entity<|#|>" not in shown
    assert "Answer to: " in shown


def test_sync_callers_get_the_same(rag: RoutedLightRAG) -> None:
    inserted = create_lightrag_insert(rag).invoke({"documents": DOCUMENTS})
    assert inserted["insert"]["state"] == "done"
    answered = create_lightrag_query(rag).invoke({"question": QUESTION, "mode": "local"})
    assert answered["answer"].startswith("Answer to: ")
    assert answered["degraded_reason"] is None


def test_retrieval_alone_gives_what_was_found(rag: RoutedLightRAG, server: LoopbackServer) -> None:
    create_lightrag_insert(rag).invoke({"documents": DOCUMENTS})
    found = create_lightrag_query(rag).invoke({"question": QUESTION, "only_retrieve": True})
    assert found["answer"] == ""
    assert not found["degraded"]
    assert found["found"]["entities"]
    assert "answer" not in {operation(call) for call in server.calls()}


def test_an_empty_workspace_says_so_and_asks_nobody(
    rag: RoutedLightRAG, server: LoopbackServer
) -> None:
    found = create_lightrag_query(rag).invoke({"question": "Wer hat das Radium entdeckt?"})
    assert found["answer"] == "Nichts in den Dokumenten gehört zu dieser Frage."
    assert "answer" not in {operation(call) for call in server.calls()}
    with pytest.raises(InvalidRequestError, match="question: empty"):
        create_lightrag_query(rag).invoke({"question": " "})


@pytest.mark.parametrize(
    ("task", "reason", "answered"),
    [
        ("keywords", "the question was searched without keywords: no provider fits", True),
        ("embed", "nothing was searched: no provider fits", False),
        ("answer", "no answer: no provider fits", False),
    ],
)
def test_a_budget_that_is_gone_degrades_by_rule(
    server: LoopbackServer, db: Path, tmp_path: Path, task: str, reason: str, answered: bool
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag", workspace="w") as rich:
        rich.add(DOCUMENTS)
    poor = lightrag_config(server, tmp_path / "poor.db", budgets={f"task:{task}": "0"})
    with open_rag(poor, tmp_path / "rag", workspace="w") as rag:
        found = create_lightrag_query(rag).invoke({"question": QUESTION, "mode": "mix"})
    assert found["degraded"]
    assert found["degraded_reason"].startswith(reason)
    assert bool(found["answer"]) == answered
    assert bool(found["found"]["references"]) == (task != "embed")


def test_an_insert_that_stops_says_so_and_goes_on_when_it_may(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        graph = create_lightrag_insert(rag)
        run = {"documents": DOCUMENTS, "run_id": "job"}
        stopped = graph.invoke({**run, "max_cost_usd": "0.004"})
        assert stopped["insert"]["state"] == "stopped"
        assert stopped["degraded"]
        assert "run:job" in stopped["degraded_reason"]
        assert graph.invoke({**run, "max_cost_usd": "1"})["insert"]["state"] == "done"


def test_the_answer_is_asked_as_private_as_what_it_is_made_of(
    rag: RoutedLightRAG, db: Path
) -> None:
    rag.add(DOCUMENTS, sensitivity="hipaa")
    create_lightrag_query(rag).invoke({"question": QUESTION, "sensitivity": "public"})
    assert {row["sensitivity"] for row in rows(db)} == {"hipaa"}


def test_a_thread_does_not_inherit_what_the_last_question_chose(
    rag: RoutedLightRAG, db: Path
) -> None:
    builder = StateGraph(Host)
    builder.add_node("lightrag", create_lightrag_query(rag))
    builder.add_edge(START, "lightrag")
    host = builder.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    graph = create_lightrag_query(rag)
    rag.add(DOCUMENTS)
    before = len(rows(db))
    for _ in range(2):
        graph.invoke({"question": QUESTION, "user_id": "one"})
        graph.invoke({"question": QUESTION})
    request: Any = {"question": QUESTION, "mode": "naive"}
    host.invoke(request, config)
    users = [row["user_id"] for row in rows(db)[before:]]
    assert set(users) == {"one", "default"}


def test_the_drawing_opens_the_router_without_opening_the_workspace(rag: RoutedLightRAG) -> None:
    drawn = create_lightrag(rag).get_graph(xray=True).draw_mermaid()
    assert "budget_check" in drawn
    assert "attempt_ollama" in drawn


async def test_an_answer_that_fails_is_told_after_its_cost(
    server: LoopbackServer, rag: RoutedLightRAG
) -> None:
    rag.add(DOCUMENTS)
    server.always(
        "ollama", lambda call: Fault.status(500) if operation(call) == "answer" else model(call)
    )
    found = await create_lightrag_query(rag).ainvoke({"question": QUESTION})
    assert found["degraded_reason"].startswith("no answer: every provider failed")
    assert [row["status"] for row in found["attempts"]][-1] == "failed"


async def test_the_watchdog_of_the_development_server_finds_nothing(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    rag = open_rag(lightrag_config(server, db), tmp_path / "rag")
    graph = create_lightrag(rag)
    watchdog = _enable_blockbuster()
    try:
        found = await graph.ainvoke({"documents": DOCUMENTS, "question": QUESTION})
    finally:
        watchdog.deactivate()
    await rag.aclose()
    assert found["insert"]["state"] == "done"
    assert found["answer"].startswith("Answer to: ")


async def test_a_host_that_is_interrupted_and_resumed_buys_nothing_twice(
    rag: RoutedLightRAG, server: LoopbackServer, db: Path
) -> None:
    async def review(state: Host) -> dict[str, Any]:
        return {"question": interrupt("Which question?")}

    builder = StateGraph(Host)
    builder.add_node("insert", create_lightrag_insert(rag))
    builder.add_node("review", review)
    builder.add_node("query", create_lightrag_query(rag))
    builder.add_edge(START, "insert")
    builder.add_edge("insert", "review")
    builder.add_edge("review", "query")
    host = builder.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}

    first: Any = {"documents": DOCUMENTS}
    await host.ainvoke(first, config)
    inserted = len(server.calls())
    found = await host.ainvoke(Command(resume=QUESTION), config)

    assert found["answer"].startswith(f"Answer to: {QUESTION}")
    asked = [operation(call) for call in server.calls()[inserted:]]
    assert sorted(asked) == ["answer", "embed", "keywords"]
    assert len(rows(db)) == len(server.calls())
