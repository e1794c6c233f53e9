"""The answer generator over real protocols: cited, judged, streamed, degraded by rule, resumed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessageChunk
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from aegis_graph.components.answer_generator.graph import create_answer_generator
from aegis_graph.errors import ConfigError, InvalidRequestError, LedgerError
from aegis_graph.providers.extractive.notices import MARKER
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    flat_price,
    locked,
    made,
    make_config,
    open_router,
    provider,
    read,
    rows,
)

DOCUMENTS = [
    Document("The limit is 10 USD a month. It is a hard limit.", metadata={"source": "a.md"}),
    Document("Weeks begin on Monday.", metadata={"source": "b.pdf", "page": 1}),
]
QUESTION = "What is the limit, and when do weeks begin?"
ANSWER = "The limit is 10 USD a month. [1] Weeks begin on Monday [2]. [7]"
VERDICTS = '{"verdicts": [{"n": 1, "supported": true}, {"n": 2, "supported": false}]}'
EXTRACTIVE = {"name": "extractive", "kind": "extractive", "model": "best-sentences"}
EXTRACTIVE |= {"location": "local", "price": "free"}


def build(server: LoopbackServer, db: Path, *, rows: Any = None, **more: Any) -> Any:
    router = open_router(make_config(server, db, providers=rows))
    return create_answer_generator(router, **more)


def asked(question: str = QUESTION, **more: Any) -> Any:
    return {"question": question, "documents": DOCUMENTS, **more}


def instructions_of(server: LoopbackServer, call: int = -1) -> str:
    """They come last, after the passages and the question."""
    prompt = str(server.calls("ollama")[call].body["messages"][-1]["content"])
    _, _, below = prompt.rpartition("\n<instructions>\n")
    assert below.endswith("\n</instructions>")
    return below.removesuffix("\n</instructions>")


async def test_an_answer_comes_with_checked_citations_and_sentences(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Reply(ANSWER))
    result = await build(server, db).ainvoke(asked())
    assert result["answer"] == "The limit is 10 USD a month. [1] Weeks begin on Monday [2]."
    assert result["removed"] == 1
    assert [(one["n"], one["source"], one["start"], one["end"]) for one in result["citations"]] == [
        (1, "a.md", 0, 28),
        (2, "b.pdf, page 2", 0, 22),
    ]
    for citation in result["citations"]:
        text = DOCUMENTS[citation["n"] - 1].page_content
        assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert [one["supported"] for one in result["sentences"]] == [True, True]
    assert (result["relevant"], result["degraded"], result["refusal"]) == (True, False, None)
    assert [(row["task"], row["status"]) for row in result["attempts"]] == [("answer", "answered")]
    assert [row["task"] for row in rows(db)] == ["answer"]


def test_sync_callers_and_documents_as_json(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Reply(ANSWER))
    documents = [{"page_content": one.page_content, "metadata": one.metadata} for one in DOCUMENTS]
    result = build(server, db).invoke({"question": QUESTION, "documents": documents})
    assert [one["source"] for one in result["citations"]] == ["a.md", "b.pdf, page 2"]


async def test_tokens_are_streamed_and_then_the_citations(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Reply(ANSWER))
    graph = build(server, db)
    seen: list[tuple[str, Any]] = []
    async for _, mode, data in graph.astream(
        asked(), stream_mode=["messages", "custom"], subgraphs=True
    ):
        if mode == "messages" and isinstance(data[0], AIMessageChunk) and data[0].text:
            seen.append(("token", data[0].text))
        elif mode == "custom" and data["event"] == "citations":
            seen.append(("citations", data))
    kinds = [kind for kind, _ in seen]
    assert kinds.count("token") > 5
    assert kinds.index("citations") == len(kinds) - 1
    assert "".join(text for kind, text in seen if kind == "token") == ANSWER
    event = seen[-1][1]
    assert set(event) == {"event", "answer", "citations", "sentences", "removed"}
    assert [one["n"] for one in event["citations"]] == [1, 2]


@pytest.mark.parametrize("documents", [[], DOCUMENTS])
async def test_without_relevant_documents_nobody_is_asked(
    server: LoopbackServer, db: Path, documents: list[Document]
) -> None:
    graph = build(server, db)
    for question, answer in [
        ("Do giraffes sleep?", "The documents do not answer this question."),
        ("Wie schlafen Giraffen?", "Die Dokumente beantworten diese Frage nicht."),
    ]:
        if documents and "schlafen" in question:
            continue  # Words cannot tell across languages.
        result = await graph.ainvoke({"question": question, "documents": documents})
        assert (result["answer"], result["relevant"]) == (answer, False)
        assert (result["citations"], result["attempts"], result["degraded"]) == ([], [], False)
    assert server.journal == ()


async def test_the_threshold_and_the_measure_can_be_chosen(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", Reply("I cannot tell."))
    unrelated = asked("Do giraffes sleep?")
    assert (await build(server, db, threshold=0).ainvoke(unrelated))["relevant"]
    strict = build(server, db, relevance=lambda question, document: 0.1, threshold=0.2)
    assert not (await strict.ainvoke(asked()))["relevant"]
    assert len(server.calls()) == 1


async def test_the_prompt_follows_the_language_and_the_users_folder(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    server.always("ollama", Reply("10 USD. [1]"))
    german = "Wann beginnt die Woche?"
    await build(server, db).ainvoke(asked(german))
    assert instructions_of(server).startswith("Antworte in einem Satz")
    (tmp_path / "answer_generator.de.md").write_text("Antworte kurz.")
    own = build(server, db, prompts_folder=tmp_path)
    await own.ainvoke(asked(german))
    assert instructions_of(server) == "Antworte kurz."
    await own.ainvoke(asked())
    assert instructions_of(server).startswith("Answer each part of the question in one sentence")
    (tmp_path / "answer_generator_small.de.md").write_text("Kurz!")
    await build(server, db, prompts_folder=tmp_path).ainvoke(asked(german))
    assert instructions_of(server) == "Kurz!"
    (tmp_path / "answer_generator_small.de.md").write_text("Hier:\n---\nKnapp!")
    await build(server, db, prompts_folder=tmp_path).ainvoke(asked(german))
    assert instructions_of(server) == "Knapp!"
    assert str(server.calls("ollama")[-1].body["messages"][-1]["content"]).startswith("Hier:\n\n<p")
    (tmp_path / "answer_verifier.en.md").write_text("$oops")
    with pytest.raises(ConfigError, match=r"answer_verifier\.en\.md: \$oops is unknown"):
        build(server, db, prompts_folder=tmp_path, verify="model")


@pytest.mark.parametrize(
    ("model", "begins"),
    [
        ("llama3.2:3b", "Answer in one sentence"),
        ("qwen3:8b", "Answer from the passages only"),
        ("mistral-small", "Answer from the passages only"),
    ],
)
async def test_a_small_model_is_asked_for_no_numbers_and_is_cited_by_rule(
    server: LoopbackServer, db: Path, model: str, begins: str
) -> None:
    server.always("ollama", Reply("The limit is 10 USD a month."))
    row = provider(server, "ollama", model=model)
    router = open_router(make_config(server, db, providers=[row]))
    result = await create_answer_generator(router).ainvoke(asked("What is the limit?"))
    assert instructions_of(server).startswith(begins)
    assert ("square brackets" in instructions_of(server)) == (model != "llama3.2:3b")
    prompt = str(server.calls("ollama")[-1].body["messages"][-1]["content"])
    opening, _, _ = prompt.partition("<passages>\n")
    assert opening.startswith("Answer from these") == (model == "llama3.2:3b")
    assert [one["n"] for one in result["citations"]]


async def test_a_model_judges_the_sentences_where_asked(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Reply(ANSWER), Reply(f"```json\n{VERDICTS}\n```"))
    graph = build(server, db, verify="model")
    seen: list[str] = []
    result: dict[str, Any] = {}
    async for namespace, mode, data in graph.astream(
        asked(), stream_mode=["messages", "custom", "values"], subgraphs=True
    ):
        if mode == "messages" and isinstance(data[0], AIMessageChunk):
            seen.append(data[0].text)
        if mode == "values" and not namespace:
            result = data
    judged = [(one["supported"], one["reason"]) for one in result["sentences"]]
    assert judged == [(True, "model"), (False, "model")]
    assert (len(result["attempts"]), result["degraded"]) == (2, False)
    assert "".join(seen) == ANSWER, "the verdicts are not streamed"
    shown = server.calls("ollama")[-1].body["messages"][-1]["content"]
    assert '1. The limit is 10 USD a month. [1]\n   Quote: "The limit is 10 USD a month."' in shown


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply("All fine!"), "every provider failed: ollama failed (UnfitAnswerError"),
        (Reply('{"verdicts": []}'), "no verdict on 2 of its sentences"),
        (Reply('{"verdicts": [{"n": 1, "supported": true}]}'), "no verdict on 1 of its sentences"),
        (Fault.status(404), "every provider failed"),
    ],
)
async def test_without_a_models_verdict_the_rule_stands_and_says_so(
    server: LoopbackServer, db: Path, reply: Any, says: str
) -> None:
    server.script("ollama", Reply(ANSWER), reply)
    only = [provider(server, "ollama", max_retries=0)]
    result = await build(server, db, rows=only, verify="model").ainvoke(asked())
    assert [one["supported"] for one in result["sentences"]] == [True, True]
    assert result["degraded"]
    assert result["degraded_reason"].startswith("judged by rule, not by a model: ")
    assert says in result["degraded_reason"]
    assert (len(result["attempts"]), result["refusal"]) == (2, None)


async def test_a_spent_budget_lets_the_embedded_provider_answer(
    server: LoopbackServer, db: Path
) -> None:
    paid = provider(server, "openai", **flat_price("1"))
    result = await build(server, db, rows=[paid, EXTRACTIVE]).ainvoke(asked(max_cost_usd="0.5"))
    assert "The limit is 10 USD a month. [1]" in result["answer"]
    assert result["answer"].endswith(MARKER)
    assert result["degraded"]
    assert "no language model answered; openai not asked (budget run:" in result["degraded_reason"]
    assert result["attempts"][-1]["provider"] == "extractive"
    assert all(one["supported"] for one in result["sentences"])
    assert server.calls() == ()


@pytest.mark.parametrize("question", [QUESTION, "Was ist das Limit, wie hoch, in USD?"])
async def test_with_nobody_left_the_documents_are_quoted_by_rule(
    server: LoopbackServer, db: Path, question: str
) -> None:
    server.always("openai", Fault.status(401))
    only = [provider(server, "openai")]
    result = await build(server, db, rows=only).ainvoke(asked(question))
    notice = "No language model could be asked" if question == QUESTION else "Kein Sprachmodell"
    assert notice in result["answer"]
    assert "The limit is 10 USD a month. [1]" in result["answer"]
    assert result["refusal"]["error"] == "AllProvidersFailedError"
    assert result["degraded"]
    assert result["degraded_reason"] == result["refusal"]["message"]
    assert [row["error_type"] for row in result["attempts"]] == ["AuthenticationError"]
    assert [one["supported"] for one in result["sentences"]] == [True] * len(result["sentences"])


@pytest.mark.parametrize("chain", [[EXTRACTIVE], []])
async def test_what_says_that_there_is_no_answer_is_no_claim(
    server: LoopbackServer, db: Path, chain: list[Any]
) -> None:
    server.always("openai", Fault.status(401))
    graph = build(server, db, rows=chain or [provider(server, "openai")])
    result = await graph.ainvoke(asked("Who sets the limit for giraffes in Africa?"))
    assert (result["citations"], result["sentences"]) == ([], [])
    assert (result["relevant"], result["degraded"]) == (True, True)
    assert "answer" in result["answer"]


@pytest.mark.parametrize("sensitivity", ["confidential", "pii", "hipaa"])
async def test_sensitive_documents_reach_no_cloud(
    server: LoopbackServer, db: Path, sensitivity: str
) -> None:
    server.always("ollama", Fault.status(503))
    graph = build(server, db, verify="model")
    result = await graph.ainvoke(asked(sensitivity=sensitivity))
    assert result["degraded"]
    assert server.calls("openai") == server.calls("dashscope") == ()
    assert {row["code"] for row in result["skipped"]} == {"privacy"}
    assert {row["sensitivity"] for row in rows(db)} == {sensitivity}


async def test_a_sensitive_document_pins_the_request_to_local_providers(
    server: LoopbackServer, db: Path
) -> None:
    private = Document("The limit of Ann Lee is 10 USD.", metadata={"sensitivity": "hipaa"})
    server.always("ollama", Fault.status(503))
    given = asked(sensitivity="public", documents=[*DOCUMENTS, private])
    result = await build(server, db).ainvoke(given)
    assert server.calls("openai") == server.calls("dashscope") == ()
    assert {row["sensitivity"] for row in rows(db)} == {"hipaa"}
    assert result["degraded"]
    odd = Document("The limit is 10 USD.", metadata={"sensitivity": "secret"})
    with pytest.raises(InvalidRequestError, match=r"documents\[0\]: sensitivity 'secret'"):
        await build(server, db).ainvoke(asked(documents=[odd]))


async def test_choices_reach_every_call_and_end_with_the_request(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", *[Reply(ANSWER), Reply(VERDICTS)] * 2)
    graph = build(server, db, verify="model", checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t"}}
    chosen: dict[str, Any] = {
        "sensitivity": "pii",
        "user_id": "ada",
        "run_id": "r1",
        "max_output_tokens": 50,
    }
    await graph.ainvoke(asked(**chosen), thread)
    second = await graph.ainvoke(asked("When do weeks begin?"), thread)
    kept = [(row["sensitivity"], row["user_id"], row["run_id"]) for row in rows(db)]
    assert kept[:2] == [("pii", "ada", "r1")] * 2
    assert {row[:2] for row in kept[2:]} == {("internal", "default")}
    assert "r1" not in {row[2] for row in kept[2:]}
    assert len(second["attempts"]) == 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"question": " "}, "question: empty"),
        ({"documents": "text"}, "documents: must be a list"),
        ({"documents": [7]}, r"documents\[0\]: needs a page_content"),
        ({"documents": [{"page_content": 7}]}, r"documents\[0\]: needs a page_content"),
        ({"sensitivity": "secret"}, "sensitivity: 'secret' is unknown"),
        ({"max_cost_usd": "much"}, "max_cost_usd: 'much'"),
    ],
)
async def test_wrong_input_is_one_clear_line(
    server: LoopbackServer, db: Path, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        await build(server, db).ainvoke(asked(**wrong))
    assert server.journal == ()


class Host(TypedDict, total=False):
    question: str
    documents: list[Document]
    answer: str


def host(graph: Any, checkpointer: Any) -> Any:
    builder = StateGraph(Host).add_node("cited", graph).add_edge(START, "cited")
    return builder.compile(checkpointer=checkpointer)


async def test_interrupted_in_a_host_and_resumed_it_buys_nothing_twice(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    thread: Any = {"configurable": {"thread_id": "t"}}
    config = make_config(server, db, ledger={"busy_timeout_s": 0.1})
    graph = create_answer_generator(open_router(config), verify="model")
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "saved.db")) as saver:
        with ExitStack() as other:
            # Another program takes the ledger for itself while the verdicts are made.
            verdicts = Reply(VERDICTS, latency_s=lambda: other.enter_context(locked(db)) or 0.0)
            server.script("ollama", Reply(ANSWER), verdicts)
            with pytest.raises(LedgerError):
                await host(graph, saver).ainvoke(asked(), thread)
        result = await host(graph, saver).ainvoke(None, thread)
    assert result["answer"].startswith("The limit is 10 USD a month. [1]")
    assert len(server.calls()) == 2
    assert [row["status"] for row in made(db)] == ["answered", "answered"]
    assert len(read(db, "SELECT DISTINCT run_id FROM requests")) == 1


async def test_interrupted_before_the_router_it_is_asked_once(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Reply(ANSWER))
    thread: Any = {"configurable": {"thread_id": "t"}}
    graph = build(server, db, checkpointer=InMemorySaver())
    await graph.ainvoke(asked(sensitivity="pii"), thread, interrupt_before=["generate"])
    await graph.ainvoke(None, thread, interrupt_after=["generate"])
    result = await graph.ainvoke(None, thread)
    assert result["citations"][0]["n"] == 1
    assert len(server.calls()) == 1
    assert [row["sensitivity"] for row in rows(db)] == ["pii"]


def test_the_drawing_opens_the_router(server: LoopbackServer, db: Path) -> None:
    graph = build(server, db, verify="model")
    nodes = graph.get_graph(xray=True).nodes
    assert {"generate:attempt_ollama", "verify:record_cost", "cite", "decline"} <= set(nodes)
    edges = {(edge.source, edge.target) for edge in graph.get_graph().edges}
    assert edges == {
        ("__start__", "prepare"),
        ("prepare", "generate"),
        ("prepare", "decline"),
        ("generate", "cite"),
        ("cite", "verify"),
        ("cite", "__end__"),
        ("verify", "__end__"),
        ("decline", "__end__"),
    }


async def test_what_a_small_model_makes_up_is_no_answer(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", Reply("The limit weighs 70 kilograms. [1]"))
    small = [provider(server, "ollama", model="llama3.2:3b")]
    result = await build(server, db, rows=small).ainvoke(asked())
    assert result["answer"] == "The documents do not answer this question."
    assert (result["citations"], result["sentences"]) == ([], [])
    assert result["degraded_reason"] == "no document bears out what the model answered"
    large = [provider(server, "ollama", model="qwen3:32b")]
    result = await build(server, db, rows=large).ainvoke(asked())
    assert result["answer"] == "The limit weighs 70 kilograms. [1]"
    assert [one["supported"] for one in result["sentences"]] == [False]


async def test_a_missing_number_is_set_by_rule(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", Reply("The limit is 10 USD a month. [2] Weeks begin on Monday."))
    result = await build(server, db).ainvoke(asked())
    assert result["answer"] == "The limit is 10 USD a month. [1] Weeks begin on Monday. [2]"
    assert [one["supported"] for one in result["sentences"]] == [True, True]


async def test_the_documents_are_cut_to_the_context_of_the_row(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", Reply("10 USD. [2]"))
    row = provider(server, "ollama", options={"num_ctx": 1024}, max_output_tokens=256)
    long = Document("Nothing is said here. " * 4000, metadata={"source": "long.md"})
    documents = [long, *DOCUMENTS]
    result = await build(server, db, rows=[row]).ainvoke(asked(documents=documents))
    prompt = server.calls("ollama")[-1].body["messages"][-1]["content"]
    assert len(prompt) < 3 * (1024 - 256) + 200
    assert all(one.page_content in prompt for one in DOCUMENTS)
    assert result["citations"][0]["source"] == "a.md"
