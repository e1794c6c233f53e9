"""The query decomposer over real protocols: planned, in parallel, one envelope, resumed."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from typing_extensions import override

from aegis_graph.components.query_decomposer.graph import create_query_decomposer
from aegis_graph.components.rag import create_rag
from aegis_graph.components.retriever.base import OPTIONS_KEY
from aegis_graph.components.retriever.retriever import create_retriever
from aegis_graph.errors import InvalidRequestError, LedgerError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.text.passages import Passage
from tests.flow.support import flat_price, locked, made, make_config, open_router, provider, rows

PASSAGES = [
    Passage(source="acme.md", text="Ann Lee founded Acme. Acme is in Bern."),
    Passage(source="ann.md", text="Ann Lee was born in 1970."),
    Passage(source="bob.md", text="Bob Ray was born in 1980."),
]
QUESTION = "When was the founder of Acme born, and where is Acme?"


def plan(*steps: str, kind: str = "multi-hop") -> Reply:
    written = [{"id": n, "question": text, "needs": []} for n, text in enumerate(steps, start=1)]
    return Reply(json.dumps({"kind": kind, "steps": written}))


HOPS = plan("Who founded Acme?", "When was {1} born?", "Where is Acme?")


def build(server: LoopbackServer, db: Path, source: Any = None, **more: Any) -> Any:
    config = make_config(server, db, providers=more.pop("rows", None))
    return create_query_decomposer(
        open_router(config), source or create_retriever(PASSAGES), **more
    )


def asked(question: str = QUESTION, **more: Any) -> Any:
    return {"question": question, **more}


async def test_later_questions_use_earlier_answers(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", HOPS, Reply("Ann Lee [1]"))
    result = await build(server, db).ainvoke(asked())
    assert [(one["question"], one["answer"], one["needs"]) for one in result["steps"]] == [
        ("Who founded Acme?", "Ann Lee", []),
        ("When was Ann Lee born?", None, [1]),
        ("Where is Acme?", None, []),
    ]
    assert (result["plan"]["kind"], result["planned_by"]) == ("multi-hop", "model")
    sources = [one.metadata["source"] for one in result["documents"]]
    assert sources[:2] == ["acme.md", "ann.md"]
    assert len(sources) == len(set(sources))
    assert (result["degraded"], result["degraded_reason"]) == (False, None)
    assert [row["task"] for row in rows(db)] == ["decompose"] * 2
    assert len(result["attempts"]) == 2
    assert len({row["run_id"] for row in rows(db)}) == 1


async def test_independent_questions_are_looked_up_at_the_same_time(
    server: LoopbackServer, db: Path
) -> None:
    everybody = asyncio.Barrier(3)

    async def source(question: str) -> list[Document]:
        # Nobody passes before all are here: one after the other would wait for ever.
        async with asyncio.timeout(20):
            await everybody.wait()
        return [Document(question)]

    server.script("ollama", plan("What is A?", "What is B?", "What is C?", kind="compound"))
    result = await build(server, db, source).ainvoke(asked("What are A, B and C?"))
    assert [one.page_content for one in result["documents"]] == [
        "What is A?",
        "What is B?",
        "What is C?",
    ]
    assert len(server.calls()) == 1


@pytest.mark.parametrize("question", ["What is a hold?", "Who founded Acme?"])
async def test_a_plainly_simple_question_costs_no_call(
    server: LoopbackServer, db: Path, question: str
) -> None:
    result = await build(server, db).ainvoke(asked(question))
    assert (result["planned_by"], result["plan"]["kind"]) == ("rule", "simple")
    assert [one["question"] for one in result["steps"]] == [question]
    assert server.journal == ()


async def test_any_other_simple_question_costs_one_call(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", plan(kind="simple"), plan(kind="simple"))
    result = await build(server, db).ainvoke(asked())
    assert (result["planned_by"], result["plan"]["kind"]) == ("model", "simple")
    assert [one["question"] for one in result["steps"]] == [QUESTION]
    await build(server, db, skip_simple=False).ainvoke(asked("What is a hold?"))
    assert len(server.calls()) == 2


@pytest.mark.parametrize(
    ("structured", "reply", "says"),
    [
        (False, Reply("I would look it up."), "could not be used: there is no list of steps in it"),
        (False, plan("Is {2} it?", "Is {1} it?"), "could not be used: steps 1, 2 wait for each"),
        (True, plan("Is {2} it?", "Is {1} it?"), "could not be used: steps 1, 2 wait for each"),
        (True, Reply('{"kind": "odd"}'), "no plan was made: every provider failed"),
        (True, Fault.status(404), "no plan was made: every provider failed"),
    ],
)
async def test_without_a_usable_plan_the_question_itself_is_looked_up(
    server: LoopbackServer, db: Path, structured: bool, reply: Any, says: str
) -> None:
    server.always("ollama", reply)
    only = [provider(server, "ollama")]
    result = await build(server, db, rows=only, structured=structured).ainvoke(asked())
    assert (result["planned_by"], result["degraded"]) == ("fallback", True)
    assert says in result["degraded_reason"]
    assert [one["question"] for one in result["steps"]] == [QUESTION]
    assert result["documents"][0].metadata["source"] == "acme.md"
    assert result["attempts"]


async def test_a_malformed_plan_is_mended_where_no_schema_is_asked_for(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Reply("1. Where is Acme?\n2. Who founded Acme?"))
    result = await build(server, db, structured=False).ainvoke(asked())
    assert [one["question"] for one in result["steps"]] == ["Where is Acme?", "Who founded Acme?"]
    assert "format" not in server.calls("ollama")[0].body


async def test_a_needed_answer_that_nobody_gives_is_quoted_by_rule(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", HOPS, Fault.status(404))
    only = [provider(server, "ollama")]
    result = await build(server, db, rows=only).ainvoke(asked())
    assert result["steps"][0]["answer"] == "Ann Lee founded Acme."
    assert result["steps"][1]["question"] == "When was Ann Lee founded Acme. born?"
    assert result["degraded_reason"].startswith("step 1 was answered by a quote: every provider")
    assert len(result["attempts"]) == 2


async def test_an_answer_that_is_not_known_leaves_the_question_in_its_place(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", HOPS, Reply("Unknown."))
    result = await build(server, db).ainvoke(asked())
    assert result["steps"][0]["answer"] is None
    assert result["steps"][1]["question"] == "When was (Who founded Acme) born?"


async def test_one_envelope_holds_for_the_whole_run(server: LoopbackServer, db: Path) -> None:
    server.always("openai", HOPS)
    paid = provider(server, "openai", **flat_price("0.4", tokens=5))
    graph = build(server, db, rows=[paid])
    result = await graph.ainvoke(asked(run_id="r", max_cost_usd="0.5"))
    assert len(server.calls()) == 1
    assert "step 1 was answered by a quote: no provider fits" in result["degraded_reason"]
    assert {row["run_id"] for row in made(db)} == {"r"}
    again = await graph.ainvoke(asked(run_id="r", max_cost_usd="0.5"))
    assert again["planned_by"] == "fallback"
    assert len(server.calls()) == 1


async def test_sensitive_questions_reach_no_cloud_and_the_source_hears_of_it(
    server: LoopbackServer, db: Path
) -> None:
    heard: list[Any] = []

    class Source(BaseRetriever):
        @override
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            heard.append(run_manager.metadata[OPTIONS_KEY]["sensitivity"])
            return [Document("Ann Lee founded Acme.")]

    server.always("ollama", Fault.status(503))
    await build(server, db, Source()).ainvoke(asked(sensitivity="hipaa"))
    assert heard == ["hipaa"]
    assert server.calls("openai") == server.calls("dashscope") == ()
    assert {row["sensitivity"] for row in rows(db)} == {"hipaa"}


async def test_a_graph_is_a_source_and_its_answers_are_used(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", HOPS, Reply("Ann Lee. [1]"), Reply("Bern. [1]"), Reply("1970. [1]"))
    router = open_router(make_config(server, db))
    rag = create_rag(router, create_retriever(PASSAGES), decompose=False)
    graph = create_query_decomposer(router, rag)
    result = await graph.ainvoke(asked(sensitivity="pii"))
    said = {one["answer"] for one in result["steps"]}
    assert len(said) == 3
    assert result["steps"][1]["question"].startswith("When was ")
    assert "{1}" not in result["steps"][1]["question"]
    assert [row["task"] for row in result["attempts"]] == ["decompose", *["answer"] * 3]
    assert {row["sensitivity"] for row in rows(db)} == {"pii"}
    assert "find:answer:generate:attempt_ollama" in graph.get_graph(xray=True).nodes


@pytest.mark.parametrize(
    "source",
    [
        lambda question: [Document("Acme is in Bern.")],
        lambda question: "Bern",
        lambda question: {"answer": "Bern", "documents": [{"page_content": "Acme is in Bern."}]},
        RunnableLambda(lambda question: [Document(f"{question} In Bern.")]),
    ],
)
def test_functions_and_runnables_are_sources_and_sync_works(
    server: LoopbackServer, db: Path, source: Any
) -> None:
    result = build(server, db, source).invoke(asked("Where is Acme?"))
    assert result["documents"] or result["steps"][0]["answer"] == "Bern"


async def test_a_source_that_gives_nonsense_is_named(server: LoopbackServer, db: Path) -> None:
    with pytest.raises(InvalidRequestError, match="the retriever gave int"):
        await build(server, db, lambda question: 7).ainvoke(asked("Where is Acme?"))


async def test_events_show_the_plan_and_each_step(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", HOPS, Reply("Ann Lee"))
    graph = build(server, db)
    events = [
        data
        async for _, data in graph.astream(asked(), stream_mode="custom", subgraphs=True)
        if data["event"] in {"plan", "step"}
    ]
    assert events[0]["event"] == "plan"
    assert [step["needs"] for step in events[0]["plan"]["steps"]] == [[], [1], []]
    assert sorted(event["id"] for event in events[1:]) == [1, 2, 3]


async def test_the_prompt_follows_the_language(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", HOPS, Reply("Ann Lee"))
    german = "Wann wurde der Gründer von Acme geboren, und wo ist Acme?"
    await build(server, db, max_steps=3).ainvoke(asked(german))
    said = [message["content"] for message in server.calls("ollama")[0].body["messages"]]
    [system] = [text for text in said if text.startswith("Du planst, wie eine Frage")]
    assert "höchstens 3 Schritte" in system
    assert "{1}" in system


async def test_a_thread_starts_fresh_with_each_question(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", HOPS, Reply("Ann Lee"))
    graph = build(server, db, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke(asked(), thread)
    second = await graph.ainvoke(asked("Where is Acme?"), thread)
    assert [one["question"] for one in second["steps"]] == ["Where is Acme?"]
    assert second["attempts"] == []


async def test_a_step_that_broke_is_resumed_and_the_others_are_not_asked_again(
    server: LoopbackServer, db: Path
) -> None:
    looked_up: list[str] = []
    broken = True

    def source(question: str) -> list[Document]:
        looked_up.append(question)
        if broken and question == "What is B?":
            raise ConnectionError("the index is away")
        return [Document(question)]

    server.script("ollama", plan("What is A?", "What is B?", "What is C?", kind="compound"))
    graph = build(server, db, source, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t"}}
    with pytest.raises(ConnectionError):
        await graph.ainvoke(asked("What are A, B and C?"), thread)
    broken = False
    result = await graph.ainvoke(None, thread)
    assert len(result["documents"]) == 3
    assert len(server.calls()) == 1
    assert looked_up.count("What is B?") == 2


async def test_a_settlement_that_failed_is_resumed_without_another_call(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    config = make_config(server, db, ledger={"busy_timeout_s": 0.1})
    router = open_router(config)
    thread: Any = {"configurable": {"thread_id": "t"}}
    with ExitStack() as other:
        # Another program takes the ledger for itself while the short answer is made.
        note = Reply("Ann Lee", latency_s=lambda: other.enter_context(locked(db)) or 0.0)
        server.script("ollama", HOPS, note)
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "saved.db")) as saver:
            graph = create_query_decomposer(router, create_retriever(PASSAGES), checkpointer=saver)
            with pytest.raises(LedgerError):
                await graph.ainvoke(asked(), thread)
            other.close()
            result = await graph.ainvoke(None, thread)
    assert result["steps"][1]["question"] == "When was Ann Lee born?"
    assert len(server.calls()) == 2
    assert [row["status"] for row in made(db)] == ["answered", "answered"]


def test_the_drawing(server: LoopbackServer, db: Path) -> None:
    graph = build(server, db)
    edges = {(edge.source, edge.target) for edge in graph.get_graph().edges}
    assert edges == {
        ("__start__", "prepare"),
        ("prepare", "plan"),
        ("prepare", "dispatch"),
        ("plan", "dispatch"),
        ("dispatch", "find"),
        ("dispatch", "finish"),
        ("find", "dispatch"),
        ("find", "note"),
        ("note", "dispatch"),
        ("finish", "__end__"),
    }
    assert {"plan:attempt_ollama", "note:attempt_ollama"} <= set(graph.get_graph(xray=True).nodes)
