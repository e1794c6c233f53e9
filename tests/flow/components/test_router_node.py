"""A component's node around the router: outcome or error, sync and async, drawn and resumed."""

from __future__ import annotations

from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph

from aegis_graph.components.router_node import (
    CommonInput,
    RouterCall,
    RouterOutcome,
    ask_router,
    cost_usd,
    options_of,
)
from aegis_graph.errors import AllProvidersFailedError, LedgerError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import flat_price, locked, make_config, open_router, provider, rows


class State(CommonInput, total=False):
    question: str
    text: str
    error: str
    attempts: list[Any]


def conclude(state: State, outcome: RouterOutcome) -> dict[str, Any]:
    if outcome.error is not None:
        return {"text": "", "error": type(outcome.error).__name__, "attempts": outcome.attempts}
    assert outcome.answer is not None
    return {"text": outcome.answer.text, "attempts": outcome.attempts}


def build(router: Any, checkpointer: Any = None) -> Any:
    node = ask_router(
        router,
        prepare=lambda state: RouterCall(
            messages=[HumanMessage(state["question"])], task="extract", options=options_of(state)
        ),
        conclude=conclude,
    )
    builder = StateGraph(State).add_node("llm", node).add_edge(START, "llm")
    return builder.compile(checkpointer=checkpointer)


async def test_an_answer_and_its_choices(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Reply("Yes."), Reply("Yes."))
    graph = build(open_router(make_config(server, db)))
    asked: Any = {"question": "Is it?", "sensitivity": "pii", "user_id": "ada"}
    for result in (await graph.ainvoke(asked), graph.invoke(asked)):
        assert (result["text"], len(result["attempts"])) == ("Yes.", 1)
        assert result["attempts"][0]["task"] == "extract"
    kept = [(row["task"], row["sensitivity"], row["user_id"]) for row in rows(db)]
    assert kept == [("extract", "pii", "ada")] * 2


async def test_a_refusal_reaches_the_component_with_what_was_spent(
    server: LoopbackServer, db: Path
) -> None:
    cheap = provider(server, "openai", **flat_price("0.25"))
    server.script("openai", Reply("Yes.", output_tokens=1), Fault.status(500), Fault.status(500))
    graph = build(open_router(make_config(server, db, providers=[cheap])))
    paid = await graph.ainvoke({"question": "Is it?"})
    assert cost_usd(paid["attempts"]) == Decimal("0.25")
    failed = await graph.ainvoke({"question": "Is it?"})
    assert failed["error"] == AllProvidersFailedError.__name__
    assert [one["status"] for one in failed["attempts"]] == ["failed", "failed"]


def test_the_drawing_opens_the_router(server: LoopbackServer, db: Path) -> None:
    graph = build(open_router(make_config(server, db)))
    assert "llm:attempt_ollama" in graph.get_graph(xray=True).nodes


def test_a_failed_settlement_is_resumed_without_a_second_call(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    router = open_router(make_config(server, db, ledger={"busy_timeout_s": 0.1}))
    thread: Any = {"configurable": {"thread_id": "t"}}
    with ExitStack() as other, SqliteSaver.from_conn_string(str(tmp_path / "saved.db")) as saver:
        # Another program takes the ledger for itself while the provider thinks.
        server.script(
            "ollama", Reply("Yes.", latency_s=lambda: other.enter_context(locked(db)) or 0.0)
        )
        graph = build(router, saver)
        with pytest.raises(LedgerError, match="is locked by another program"):
            graph.invoke({"question": "Is it?"}, thread)
        other.close()
        result = graph.invoke(None, thread)
    assert result["text"] == "Yes."
    assert len(server.calls()) == 1
    assert [row["status"] for row in rows(db)] == ["answered"]
