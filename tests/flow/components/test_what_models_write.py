"""Reasoning, halves of characters and cut answers lose nothing that was paid for, and show nothing
that is no answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import HumanMessage

from aegis_graph import create_image_describer, create_query_decomposer
from aegis_graph.components.answer_generator.graph import create_answer_generator
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.components.extraction_support import answer_on, make_extractor, people, triples
from tests.flow.support import drawn, make_config, open_router, provider

DOCUMENTS = [
    Document("The limit is 10 USD a month. It is a hard limit.", metadata={"source": "a.md"}),
    Document("Weeks begin on Monday.", metadata={"source": "b.md"}),
]
QUESTION = "What is the limit, and when do weeks begin?"
STEPS = ["What is the limit of Acme?", "When do weeks begin?"]
PLAN = json.dumps({"kind": "compound", "steps": STEPS})
DRAFT = json.dumps({"kind": "compound", "steps": ["Draft one?", "Draft two?"]})
HALF = "\\ud83d"


def answers(server: LoopbackServer, db: Path, *, kind: Any = "ollama", **more: Any) -> Any:
    only = [provider(server, kind, max_retries=0)]
    return create_answer_generator(open_router(make_config(server, db, providers=only)), **more)


def decomposer(server: LoopbackServer, db: Path, **more: Any) -> Any:
    only = [provider(server, "ollama", max_retries=0)]
    router = open_router(make_config(server, db, providers=only))
    return create_query_decomposer(router, lambda question: [], structured=False, **more)


@pytest.mark.parametrize(
    "thought",
    ["<think>Is it [2]?</think>\n\n", "Is it [2]?\n</think>\n", "<reasoning>\n[2]</reasoning>"],
)
async def test_the_reader_is_shown_no_reasoning(
    server: LoopbackServer, db: Path, thought: str
) -> None:
    server.script("ollama", Reply(f"{thought}The limit is 10 USD a month. [1]"))
    result = await answers(server, db).ainvoke({"question": QUESTION, "documents": DOCUMENTS})
    assert result["answer"] == "The limit is 10 USD a month. [1]"
    assert [one["n"] for one in result["citations"]] == [1]


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("kind", ["ollama", "openai"])
async def test_no_reasoning_is_streamed(
    server: LoopbackServer, db: Path, kind: Any, streams: bool
) -> None:
    thought = "<think>Is it [2], or is it a < b?\n</think>\n\n"
    server.script(kind, Reply(f"{thought}The limit is 10 USD a month. [1]"))
    graph = answers(server, db, kind=kind)
    shown: list[str] = []

    def show(mode: str, data: Any) -> None:
        if mode == "messages":
            shown.append(data[0].text)

    asked: Any = {"question": QUESTION, "documents": DOCUMENTS}
    modes: Any = ["messages", "values"]
    if streams:
        async for _, mode, data in graph.astream(asked, stream_mode=modes, subgraphs=True):
            show(mode, data)
    else:
        for _, mode, data in graph.stream(asked, stream_mode=modes, subgraphs=True):
            show(mode, data)
    assert "".join(shown) == "The limit is 10 USD a month. [1]"
    assert len([one for one in shown if one]) > 3


@pytest.mark.parametrize("text", ["<think>So far, so", "Hm.</think>", "<think>a</think>\n"])
async def test_reasoning_alone_is_no_answer(server: LoopbackServer, db: Path, text: str) -> None:
    server.script("ollama", Reply(text))
    result = await answers(server, db).ainvoke({"question": QUESTION, "documents": DOCUMENTS})
    assert result["degraded"]
    assert [one["error_type"] for one in result["attempts"]] == ["UnfitAnswerError"]


@pytest.mark.parametrize(
    "text",
    [
        "[2]",
        "[1, 2].",
        "(Source 2)",
        "\u30102\u2020b.md\u3011",
        "<think>b.md</think>[2]",
        "**[1]** [2]",
    ],
)
async def test_a_citation_without_words_is_no_answer(
    server: LoopbackServer, db: Path, text: str
) -> None:
    server.script("ollama", Reply(text))
    server.script("openai", Reply("Weeks begin on Monday. [2]"))
    rows = [provider(server, "ollama", max_retries=0), provider(server, "openai")]
    graph = create_answer_generator(open_router(make_config(server, db, providers=rows)))
    result = await graph.ainvoke({"question": QUESTION, "documents": DOCUMENTS})
    assert result["answer"] == "Weeks begin on Monday. [2]"
    assert [one["error_type"] for one in result["attempts"]] == ["UnfitAnswerError", None]


async def test_a_list_of_numbers_is_an_answer_where_no_passages_were_shown(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Reply("[2]"))
    router = open_router(make_config(server, db, providers=[provider(server, "ollama")]))
    result = await router.ainvoke({"messages": [HumanMessage("Give me [2] as JSON.")]})
    assert result["messages"][-1].text == "[2]"


async def test_a_sentence_of_a_document_without_a_number_is_cited_by_rule(
    server: LoopbackServer, db: Path
) -> None:
    said = "Weeks begin  on **Monday**. The limit is 10 USD a month. [1]"
    server.script("ollama", Reply(said))
    result = await answers(server, db).ainvoke({"question": QUESTION, "documents": DOCUMENTS})
    assert result["answer"] == said.replace("**.", "**. [2]")
    assert [one.get("added", False) for one in result["sentences"]] == [True, False]
    assert [(one["n"], one.get("added", False)) for one in result["citations"]] == [
        (2, True),
        (1, False),
    ]


@pytest.mark.parametrize(
    "reply",
    [f"<think>{DRAFT}</think>{PLAN}", f"{DRAFT}\n</think>\n{PLAN}", f"Hm.</think>```\n{PLAN}\n```"],
)
async def test_a_draft_is_not_the_plan(server: LoopbackServer, db: Path, reply: str) -> None:
    server.script("ollama", Reply(reply))
    result = await decomposer(server, db).ainvoke({"question": QUESTION})
    assert [one["question"] for one in result["steps"]] == STEPS
    assert not result["degraded"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (PLAN[:-15], "length"),
        (PLAN[:-15], "stop"),
        (f"1. {STEPS[0]}\n2. {STEPS[1]}\n3. What", "length"),
        (PLAN.removesuffix("]}"), "length"),
        (f"<think>{DRAFT}</think>{PLAN[:-15]}", "length"),
    ],
)
async def test_of_a_plan_that_was_cut_nothing_is_looked_up(
    server: LoopbackServer, db: Path, reply: str, reason: str
) -> None:
    server.script("ollama", Reply(reply, finish_reason=reason))
    result = await decomposer(server, db).ainvoke({"question": QUESTION})
    assert [one["question"] for one in result["steps"]] == [QUESTION]
    assert (result["planned_by"], result["degraded"]) == ("fallback", True)
    assert "it was cut off" in result["degraded_reason"]


async def test_a_whole_plan_is_followed_where_the_cap_cut_what_came_after(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Reply(f"{PLAN}\nThis plan", finish_reason="length"))
    result = await decomposer(server, db).ainvoke({"question": QUESTION})
    assert [one["question"] for one in result["steps"]] == STEPS


async def test_half_a_character_in_a_plan_is_replaced(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Reply(PLAN.replace("weeks", f"weeks {HALF}")))
    result = await decomposer(server, db).ainvoke({"question": QUESTION})
    assert result["steps"][1]["question"] == "When do weeks \ufffd begin?"


def test_half_a_character_loses_no_extraction(server: LoopbackServer, db: Path) -> None:
    broken = answer_on(0, 1).replace('"aliases": []', f'"aliases": ["x{HALF}"]', 1)
    server.always("openai", Reply(broken))
    result = make_extractor(server, db).invoke({"documents": people(2)})
    assert len(triples(result)) == 2
    json.dumps(result["entities"], ensure_ascii=False).encode()


@pytest.mark.parametrize("where", ["description", "text", "objects", "colours"])
async def test_half_a_character_loses_no_description(
    server: LoopbackServer, db: Path, tmp_path: Path, where: str
) -> None:
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(drawn(100 + n, 60))
    said = {"description": "A cat.", "text": "Hi", "objects": ["cat"], "colours": ["grey"]}
    good, odd = json.dumps(said), json.dumps({**said, where: "x\ud83d"})
    server.script("dashscope", Reply(good), Reply(odd), Reply(good))
    row = {"name": "eye", "model": "qwen3-vl-30b-a3b-instruct", "images": True}
    rows = [provider(server, "dashscope", **row)]
    graph = create_image_describer(open_router(make_config(server, db, providers=rows)))
    result = await graph.ainvoke({"paths": [str(tmp_path)]})
    assert [one["error"] for one in result["results"]] == [None] * 3
    assert sum("\ufffd" in json.dumps(one, ensure_ascii=False) for one in result["results"]) == 1


async def test_half_a_character_loses_no_verdict(server: LoopbackServer, db: Path) -> None:
    verdict = f'{{"verdicts": [{{"n": 1, "supported": true}}], "note": "{HALF}",}}'
    server.script("ollama", Reply("The limit is 10 USD a month. [1]"), Reply(verdict))
    graph = answers(server, db, verify="model")
    result = await graph.ainvoke({"question": QUESTION, "documents": DOCUMENTS})
    assert result["answer"] == "The limit is 10 USD a month. [1]"


async def test_half_a_character_loses_no_tool_call(server: LoopbackServer, db: Path) -> None:
    server.script("openai", Reply(tool_calls=({"name": "find", "args": {"city": "\ud83d"}},)))
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
    asked = {"messages": [HumanMessage("Find it.")], "options": {"tools": [tool]}}
    result = await router.ainvoke(asked)
    assert result["messages"][-1].tool_calls[0]["args"] == {"city": "\ufffd"}
