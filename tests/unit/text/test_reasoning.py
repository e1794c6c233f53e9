"""Reasoning goes, up to the last mark that ends it, and nothing else does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.text.reasoning import spoken_part

PLAN = '{"kind": "compound", "steps": []}'
DRAFT = '{"kind": "simple", "steps": ["Draft?"]}'


@pytest.mark.parametrize(
    "text",
    [
        PLAN,
        f"<think>{DRAFT}</think>{PLAN}",
        f"{DRAFT}\n</think>\n{PLAN}",
        f"```json\n{DRAFT}\n```\n</think>\n\n{PLAN}",
        f"{DRAFT}</think>{DRAFT}</think>{PLAN}",
        f'{{"kind": "sim</think>{PLAN}',
        f"<thinking>{DRAFT}</thinking>{PLAN}",
        f"<reasoning>\n{DRAFT}\n</reasoning>\n{PLAN}",
        f"<thought>{DRAFT}</thought>{PLAN}",
        f"<THINK>{DRAFT}</Think >{PLAN}",
        f"Hm.<think>a <think>b</think> c</think>{PLAN}",
        f"<think>The mark `</think>` ends it.</think>{PLAN}",
        f"[THINK]{DRAFT}[/THINK]{PLAN}",
        f"\u25c1think\u25b7{DRAFT}\u25c1/think\u25b7{PLAN}",
        f"<|START_THINKING|>{DRAFT}<|END_THINKING|>{PLAN}",
        f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{PLAN}<|return|>",
        f"<think>{DRAFT}</think>\n<answer>\n{PLAN}\n</answer>",
    ],
)
def test_everything_up_to_the_last_end_of_reasoning_goes(text: str) -> None:
    assert spoken_part(text) == PLAN


@pytest.mark.parametrize(
    "text",
    ["<think>Hm.", "\n<think>", "<reasoning> so", "a</think><think>b", "[THINK]x", "x</think>"],
)
def test_reasoning_without_an_end_leaves_nothing(text: str) -> None:
    assert spoken_part(text) == ""


def test_an_answer_that_begins_to_think_again_ends_there() -> None:
    assert spoken_part("It is 10 USD. [1]\n<think>Wait") == "It is 10 USD. [1]"


@pytest.mark.parametrize(
    "text",
    [
        "It is 10 USD. [1]",
        " Kept as it is.\n",
        "The mark <think> begins a thought.",
        "Close it with `</think>`. [1]",
        'It ends at "</think>" always. [1]',
        "Write:\n```\n<think>\n</think>\n```\n[1]",
        '{"note": "it ends with </think>"}',
        '```json\n{"note": "</think>"}\n```',
    ],
)
def test_a_mark_that_is_part_of_the_answer_stays(text: str) -> None:
    assert spoken_part(text) == text
    assert spoken_part(f"<think>Hm.</think>{text}") == text.strip()


def test_halves_of_characters_are_replaced_and_pairs_joined() -> None:
    assert spoken_part("ok \ud83d!") == "ok \ufffd!"
    assert spoken_part("\ud83d\ude00") == "\U0001f600"


PIECES = st.sampled_from(["<think>", "</think>", "`", "```", "\n", "{", '"', "a", " ", "}", "[1]"])


@given(st.lists(PIECES, max_size=30).map("".join) | st.text())
def test_whatever_comes_is_read_and_nothing_is_read_twice(text: str) -> None:
    spoken = spoken_part(text)
    assert spoken == text or spoken.strip() == spoken
    spoken.encode()


@given(st.text(alphabet="ab <>/{}[]\n`"), st.dictionaries(st.text(max_size=5), st.text()))
def test_the_value_behind_reasoning_is_the_value(thought: str, value: dict[str, str]) -> None:
    # With the marks of a thought in its own texts as well.
    value["mark"] = "</think>"
    said = spoken_part(f"<think>{thought}</think>{json.dumps(value)}")
    assert json.loads(said) == value
