"""The pipeline: question, sub-questions, documents, cited answer, under one envelope."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk
from langchain_core.retrievers import BaseRetriever
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict, override

from aegis_graph import create_answer_generator, create_embeddings, create_rag, create_retriever
from aegis_graph.components.retriever.base import OPTIONS_KEY
from aegis_graph.errors import InvalidRequestError, LedgerError
from aegis_graph.routing import unclaimed_holds as holds
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.text.passages import Passage
from tests.flow.support import (
    KEYS,
    assert_sound,
    flat_price,
    locked,
    made,
    make_config,
    open_router,
    provider,
    read,
    rows,
    spent,
)
from tests.flow.test_embeddings import embedder

PASSAGES = [
    Passage(source="acme.md", text="Ann Lee founded Acme. Acme is in Bern."),
    Passage(source="ann.md", text="Ann Lee was born in 1970."),
    Passage(source="bob.md", text="Bob Ray was born in 1980."),
]
QUESTION = "When was the founder of Acme born, and where is Acme?"
PLAN = Reply(
    json.dumps(
        {
            "kind": "multi-hop",
            "steps": [
                {"id": 1, "question": "Who founded Acme?", "needs": []},
                {"id": 2, "question": "When was {1} born?", "needs": [1]},
                {"id": 3, "question": "Where is Acme?", "needs": []},
            ],
        }
    ),
    input_tokens=100,
    output_tokens=30,
)
NOTE = Reply("Ann Lee", input_tokens=50, output_tokens=2)
ANSWER = Reply(
    "Ann Lee was born in 1970. [2] Acme is in Bern. [1] [9]", input_tokens=200, output_tokens=20
)


def build(server: LoopbackServer, db: Path, **more: Any) -> Any:
    router = open_router(make_config(server, db, providers=more.pop("rows", None)))
    return create_rag(router, create_retriever(PASSAGES), **more)


def priced(server: LoopbackServer) -> list[Any]:
    """One cloud provider at $1 a million tokens in, $10 out."""
    price = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "10"}
    return [provider(server, "openai", price=price, max_output_tokens=100)]


def asked(question: str = QUESTION, **more: Any) -> Any:
    return {"question": question, **more}


async def test_a_question_becomes_a_cited_answer_with_the_cost_of_each_step(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", PLAN, NOTE, ANSWER)
    result = await build(server, db, rows=priced(server)).ainvoke(asked(max_cost_usd="0.05"))
    assert result["answer"] == "Ann Lee was born in 1970. [2] Acme is in Bern. [1]"
    assert result["removed"] == 1
    for citation in result["citations"]:
        text = result["documents"][citation["n"] - 1].page_content
        assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert [one["source"] for one in result["citations"]] == ["ann.md", "acme.md"]
    assert all(one["supported"] for one in result["sentences"])
    assert result["costs"] == [
        {"task": "decompose", "calls": 2, "cost_usd": "0.00047"},
        {"task": "answer", "calls": 1, "cost_usd": "0.0004"},
    ]
    assert result["cost_usd"] == "0.00087"
    kept = read(db, "SELECT task, sum(cost_nano_usd) AS cost FROM requests GROUP BY task")
    assert {row["task"]: row["cost"] for row in kept} == {"decompose": 470_000, "answer": 400_000}
    assert {row["run_id"] for row in rows(db)} == {result["ledger_run_id"]}
    assert spent(db, f"run:{result['ledger_run_id']}") == 870_000
    assert (result["degraded"], result["refusal"]) == (False, None)
    assert_sound(db)


async def test_what_was_found_on_the_way_is_shown_to_the_model(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", PLAN, NOTE, ANSWER)
    await build(server, db).ainvoke(asked())
    prompt = server.calls("ollama")[-1].body["messages"][-1]["content"]
    noted = "</passages>\n\n- Who founded Acme? Ann Lee\n"
    assert noted in prompt


async def test_only_the_answer_is_streamed_and_then_its_citations(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", PLAN, NOTE, ANSWER)
    tokens, events = "", []
    stream = build(server, db).astream(asked(), stream_mode=["messages", "custom"], subgraphs=True)
    async for _, mode, data in stream:
        if mode == "messages" and isinstance(data[0], AIMessageChunk):
            assert "citations" not in events
            tokens += data[0].text
        elif mode == "custom":
            events.append(data["event"])
    assert tokens == ANSWER.text
    assert [one for one in events if one != "attempt_started"] == [
        *("plan", "step", "step", "step", "citations")
    ]


def test_an_answer_that_dies_is_announced_before_the_next_one_speaks(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Fault.cut(Reply("Nobody knows who it was."), after_chunks=2))
    server.script("openai", Reply("Ann Lee founded Acme. [1]"))
    chain = [provider(server, "ollama"), provider(server, "openai")]
    heard: list[str] = []
    stream = build(server, db, rows=chain).stream(
        asked("Who founded Acme?"), stream_mode=["messages", "custom"], subgraphs=True
    )
    for _, mode, data in stream:
        if mode == "custom" and data["event"] in {"attempt_discarded", "citations"}:
            heard.append(f"<{data['event']}>")
        elif mode == "messages" and isinstance(data[0], AIMessageChunk):
            heard.append(data[0].text)
    assert "".join(heard) == (
        "Nobody knows <attempt_discarded>Ann Lee founded Acme. [1]<citations>"
    )


@pytest.mark.parametrize("question", ["Who founded Acme?", "Wer gründete Acme?"])
async def test_a_simple_question_is_one_call(
    server: LoopbackServer, db: Path, question: str
) -> None:
    server.script("ollama", Reply("Ann Lee founded Acme. [1]"))
    result = await build(server, db).ainvoke(asked(question))
    assert [(one["task"], one["calls"]) for one in result["costs"]] == [("answer", 1)]
    assert len(server.calls()) == 1


def test_without_planning_any_question_is_one_call_and_sync_works(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", ANSWER)
    result = build(server, db, decompose=False).invoke(asked())
    assert (result["plan"]["kind"], result["steps"]) == ("simple", [])
    assert len(server.calls()) == 1


async def test_nothing_in_the_documents_is_said_and_nobody_is_asked(
    server: LoopbackServer, db: Path
) -> None:
    result = await build(server, db).ainvoke(asked("Do giraffes sleep?"))
    assert result["answer"] == "The documents do not answer this question."
    assert (result["relevant"], result["costs"], result["cost_usd"]) == (False, [], "0")
    assert server.journal == ()


async def test_what_speaks_of_a_part_of_the_question_is_relevant(
    server: LoopbackServer, db: Path
) -> None:
    passages = [
        Passage(source="eiger.md", text="The Eiger rises 3967 m above the Bernese Oberland."),
        Passage(source="zugspitze.md", text="The Zugspitze, 2962 m, is the summit of Bavaria."),
    ]
    asks = ["How tall is the Eiger?", "How tall is the Zugspitze?"]
    steps = [{"id": n, "question": one, "needs": []} for n, one in enumerate(asks, start=1)]
    said = Reply("The Eiger rises 3967 m. [1]")
    server.script("ollama", Reply(json.dumps({"kind": "comparison", "steps": steps})), said)
    rag = create_rag(open_router(make_config(server, db)), create_retriever(passages))
    result = await rag.ainvoke(
        asked(
            "Which of the two famous Alpine mountains, the Eiger in Switzerland or the Zugspitze "
            "in Germany, has the taller peak?"
        )
    )
    assert (result["relevant"], result["answer"]) == (True, said.text)


@pytest.mark.parametrize(("envelope", "calls"), [("0", 0), ("1", 1), ("2", 2), ("3", 3)])
async def test_the_envelope_is_never_overdrawn_wherever_it_ends(
    server: LoopbackServer, db: Path, envelope: str, calls: int
) -> None:
    server.script("openai", PLAN, NOTE, ANSWER)
    paid = [provider(server, "openai", **flat_price("1", tokens=30))]
    result = await build(server, db, rows=paid).ainvoke(asked(max_cost_usd=envelope))
    assert len(server.calls()) == calls
    assert Decimal(result["cost_usd"]) <= Decimal(envelope)
    assert result["degraded"] == (calls < 3)
    if calls < 3:
        assert result["refusal"]["error"] == "BudgetExceededError"
        assert "No language model could be asked" in result["answer"]
    for citation in result["citations"]:
        text = result["documents"][citation["n"] - 1].page_content
        assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert_sound(db)


@pytest.mark.parametrize("sensitivity", ["confidential", "pii", "hipaa"])
async def test_sensitive_documents_reach_no_cloud_through_any_step(
    server: LoopbackServer, db: Path, sensitivity: str
) -> None:
    server.always("ollama", Fault.status(503))
    config = make_config(
        server, db, embeddings=[embedder(server, "openai", model="text-embedding-3-small")]
    )
    router = open_router(config)
    embeddings = create_embeddings(config, environ=KEYS)
    retriever = create_retriever(PASSAGES, embeddings=embeddings)
    generator = create_answer_generator(router, verify="model")
    rag = create_rag(router, retriever, generator=generator)
    result = await rag.ainvoke(asked(sensitivity=sensitivity))
    assert {call.protocol for call in server.journal} == {"ollama"}
    assert {row["sensitivity"] for row in rows(db)} == {sensitivity}
    assert "searched by words alone: " in result["degraded_reason"]
    assert result["documents"]


@pytest.mark.parametrize("before", [0, 20], ids=["is cited", "is not even among the documents"])
async def test_one_sensitive_document_pins_every_step_after_it(
    server: LoopbackServer, db: Path, before: int
) -> None:
    heard: list[tuple[str, str | None]] = []

    class Source(BaseRetriever):
        @override
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            heard.append((query, run_manager.metadata[OPTIONS_KEY].get("sensitivity")))
            found = [Document(f"Acme {n}: {query}") for n in range(before)]
            about = {"sensitivity": "pii"} if "founded" in query else {}
            return [*found, Document(f"Acme: {query}", metadata=about)]

    server.script("openai", PLAN)
    server.script("ollama", NOTE, ANSWER)
    chain = [provider(server, "openai"), provider(server, "ollama")]
    router = open_router(make_config(server, db, providers=chain))
    decomposed = create_rag(router, Source(), max_steps=3)
    result = await decomposed.ainvoke(asked(sensitivity="public"))
    assert sorted(heard) == [
        ("When was Ann Lee born?", "pii"),
        ("Where is Acme?", "public"),
        ("Who founded Acme?", "public"),
    ]
    assert [(row["provider"], row["sensitivity"]) for row in made(db)] == [
        ("openai", "public"),
        ("ollama", "pii"),
        ("ollama", "pii"),
    ]
    kept = {document.metadata.get("sensitivity") for document in result["documents"]}
    assert kept == ({None} if before else {None, "pii"})


async def test_embeddings_are_part_of_the_run_and_of_its_costs(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", ANSWER)
    config = make_config(server, db, embeddings=[embedder(server, "ollama", dimensions=1024)])
    retriever = create_retriever(PASSAGES, embeddings=create_embeddings(config, environ=KEYS))
    rag = create_rag(open_router(config), retriever, decompose=False)
    chosen: Any = {
        "run_id": "r",
        "max_cost_usd": "1",
        "sensitivity": "pii",
        "tags": {"team": "ads"},
    }
    result = await rag.ainvoke(asked(**chosen))
    assert [(one["task"], one["calls"]) for one in result["costs"]] == [("embed", 2), ("answer", 1)]
    assert {(row["run_id"], row["sensitivity"]) for row in rows(db)} == {("r", "pii")}
    assert {row["tags"] for row in rows(db)} == {'{"team": "ads"}'}
    assert not result["degraded"]
    server.script("ollama", ANSWER)
    again = await rag.ainvoke(asked())
    assert [one["calls"] for one in again["costs"]] == [1, 1], "documents are embedded once"


async def test_an_empty_passage_spoils_no_search_by_meaning(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", ANSWER)
    config = make_config(
        server, db, providers=priced(server), embeddings=[embedder(server, "ollama")]
    )
    passages = [Passage(source="empty.md", text=" \n", heading="Acme"), *PASSAGES]
    retriever = create_retriever(passages, embeddings=create_embeddings(config, environ=KEYS))
    rag = create_rag(open_router(config), retriever, decompose=False)
    result = await rag.ainvoke(asked())
    assert (result["degraded"], result["relevant"]) == (False, True)
    assert "empty.md" not in [one.metadata["source"] for one in result["documents"]]


async def test_spent_embeddings_leave_the_search_by_words(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", ANSWER)
    config = make_config(
        server,
        db,
        embeddings=[embedder(server, "ollama", dimensions=1024)],
        budgets={"task:embed": "0"},
    )
    retriever = create_retriever(PASSAGES, embeddings=create_embeddings(config, environ=KEYS))
    result = await create_rag(open_router(config), retriever, decompose=False).ainvoke(asked())
    assert result["degraded_reason"].startswith("searched by words alone: no provider fits")
    assert result["citations"]


class Host(TypedDict, total=False):
    question: str
    answer: str
    costs: list[Any]


@pytest.mark.parametrize("broken", [0, 1, 2])
async def test_interrupted_in_a_host_and_resumed_it_buys_nothing_twice(
    server: LoopbackServer, db: Path, tmp_path: Path, broken: int
) -> None:
    config = make_config(server, db, ledger={"busy_timeout_s": 0.1})
    rag = create_rag(open_router(config), create_retriever(PASSAGES))
    host = StateGraph(Host).add_node("rag", rag).add_edge(START, "rag")
    thread: Any = {"configurable": {"thread_id": "t"}}
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "saved.db")) as saver:
        graph: Any = host.compile(checkpointer=saver)
        with ExitStack() as other:
            # Another program takes the ledger for itself during one of the three calls.
            replies = [PLAN, NOTE, ANSWER]
            slow = Reply(
                replies[broken].text,
                latency_s=lambda: other.enter_context(locked(db)) or 0.0,
            )
            server.script("ollama", *replies[:broken], slow, *replies[broken + 1 :])
            with pytest.raises(LedgerError):
                await graph.ainvoke(asked(), thread)
        result = await graph.ainvoke(None, thread)
    assert result["answer"] == "Ann Lee was born in 1970. [2] Acme is in Bern. [1]"
    assert [(one["task"], one["calls"]) for one in result["costs"]] == [
        ("decompose", 2),
        ("answer", 1),
    ]
    assert len(server.calls()) == 3
    assert [row["status"] for row in made(db)] == ["answered"] * 3
    assert len(read(db, "SELECT DISTINCT run_id FROM requests")) == 1


async def test_stopped_after_every_step_it_goes_on_from_there(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    server.script("ollama", PLAN, NOTE, ANSWER)
    router = open_router(make_config(server, db))
    thread: Any = {"configurable": {"thread_id": "t"}}
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "saved.db")) as saver:
        rag = create_rag(router, create_retriever(PASSAGES), checkpointer=saver)
        given = asked(sensitivity="pii")
        for _ in range(3):
            await rag.ainvoke(given, thread, interrupt_after="*")
            given = None
        result = await rag.ainvoke(None, thread)
    assert result["citations"]
    assert len(server.calls()) == 3
    assert {row["sensitivity"] for row in rows(db)} == {"pii"}


def test_any_function_and_graph_settings_of_ones_own(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", ANSWER)
    router = open_router(make_config(server, db))
    generator = create_answer_generator(router, threshold=0)
    rag = create_rag(router, lambda question: [Document("Nothing of it.")], generator=generator)
    assert rag.invoke(asked("Where is Acme?"))["relevant"]


@pytest.mark.parametrize("wrong", [{"question": ""}, {"max_cost_usd": "-1"}, {"user_id": ""}])
def test_wrong_input_is_refused_before_anything(
    server: LoopbackServer, db: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError):
        build(server, db).invoke({**asked(), **wrong})
    assert server.journal == ()


async def test_a_crowd_too_slow_for_its_holds_buys_nothing_twice(
    server: LoopbackServer, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a hold is given back before its node comes, which makes another one."""
    monkeypatch.setattr(holds, "CLAIM_WITHIN_S", 0.0)
    server.always("openai", PLAN)
    rag = build(server, db, rows=priced(server))
    # What listens has LangGraph's engine run the router, which changes tasks between its nodes.
    watched: Any = {"callbacks": [BaseCallbackHandler()]}
    asks = [
        rag.ainvoke(asked(f"Where is Acme, and who founded number {n}?"), watched)
        for n in range(20)
    ]
    results = await asyncio.gather(*asks)

    calls = sum(len(result["attempts"]) for result in results)
    assert (len(server.calls()), len(made(db))) == (calls, calls)
    assert len(rows(db)) > calls, "no hold was given back: this proves nothing"
    assert sum(row["cost_nano_usd"] for row in made(db)) == spent(db)
    assert_sound(db)


def test_the_drawing_opens_every_level(server: LoopbackServer, db: Path) -> None:
    nodes = set(build(server, db).get_graph(xray=True).nodes)
    assert {"decompose:plan:attempt_ollama", "answer:generate:record_cost"} <= nodes
    plain = build(server, db, decompose=False).get_graph()
    assert [node for node in plain.nodes if not node.startswith("__")] == [
        "prepare",
        "retrieve",
        "answer",
    ]
