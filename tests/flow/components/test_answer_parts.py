"""Questions that ask for several things, put to a small model and to a larger one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.components.test_answer_generator import asked, build, instructions_of
from tests.flow.support import provider

QUESTION = "What is the limit, and when do weeks begin?"
GERMAN = "Was ist das Limit, und wann beginnt die Woche?"


def model(server: LoopbackServer, name: str) -> Any:
    return [provider(server, "ollama", model=name)]


def prompt_of(server: LoopbackServer) -> str:
    return str(server.calls("ollama")[-1].body["messages"][-1]["content"])


@pytest.mark.parametrize(
    ("question", "instructions", "parts"),
    [
        (QUESTION, "Answer each part", "- What is the limit\n- when do weeks begin?\n"),
        (GERMAN, "Beantworte jeden Teil", "- Was ist das Limit\n- wann beginnt die Woche?\n"),
    ],
)
async def test_a_small_model_is_shown_the_parts(
    server: LoopbackServer, db: Path, question: str, instructions: str, parts: str
) -> None:
    server.always("ollama", Reply("The limit is 10 USD a month. Weeks begin on Monday."))
    result = await build(server, db, rows=model(server, "small:3b")).ainvoke(asked(question))
    assert result["answer"] == "The limit is 10 USD a month. [1] Weeks begin on Monday. [2]"
    assert not result["degraded"]
    assert instructions_of(server).startswith(instructions)
    assert f"{parts}\nQuestion: {question}" in prompt_of(server)
    await build(server, db, rows=model(server, "large:70b")).ainvoke(asked(question))
    assert parts not in prompt_of(server)


async def test_what_answers_one_part_alone_says_so(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", Reply("The limit is 10 USD a month. Weeks begin at 25 USD."))
    result = await build(server, db, rows=model(server, "small:3b")).ainvoke(asked())
    assert result["answer"] == (
        "The limit is 10 USD a month. [1] The documents do not answer a part of the question."
    )
    assert result["degraded"]
    assert "a part of the question" in result["degraded_reason"]
    assert [one["supported"] for one in result["sentences"]] == [True]


async def test_a_users_prompt_for_small_models_holds_for_several_questions(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    server.always("ollama", Reply("The limit is 10 USD a month. Weeks begin on Monday."))
    small = model(server, "small:3b")
    for name, text in (
        ("answer_generator", "Briefly."),
        ("answer_generator_small", "In a word."),
        ("answer_generator_small_parts", "One by one."),
    ):
        (tmp_path / f"{name}.en.md").write_text(text)
        await build(server, db, rows=small, prompts_folder=tmp_path).ainvoke(asked())
        assert instructions_of(server) == text
