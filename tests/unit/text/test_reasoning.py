"""Reasoning goes, up to the last mark that ends it, and nothing else does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.text.reasoning import SpokenStream, spoken_part

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
        *(
            f"<{name}>{DRAFT}</{name}>\n{PLAN}"
            for name in ("thoughts", "reason", "analysis", "antThinking", "inner_monologue", "cot")
        ),
        f"<mm:think>{DRAFT}</mm:think>{PLAN}",
        f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>"
        f"<|begin_of_solution|>{PLAN}<|end_of_solution|>",
        f"<|think_start|>{DRAFT}<|think_end|>{PLAN}",
        f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{PLAN}<|END_RESPONSE|>",
        f"<|channel>thought\n{DRAFT}<channel|>{PLAN}",
        f"<unused94>thought\n{DRAFT}<unused95>{PLAN}",
        f"analysisThe user asks. {DRAFT}assistantfinal{PLAN}",
        f"<think>{DRAFT}</think><final_answer>{PLAN}</final_answer>",
        f"{PLAN}<|im_end|>",
        f"{PLAN}</s>",
        f"{PLAN} <think>Is it?</think>",
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
        "Qwen thinks between <think> and </think>. [1]",
        "It costs <s>5</s>",
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


STREAMED = [
    "Ulm.",
    "<think>Hm.</think> Ulm.",
    "<think>Hm.",
    "\n<think>\na\n</think>\n\nUlm is big. [1] a < b and x[3].",
    "It ends with `</think>`.",
    "```\n</think>\n```\nend",
    "<think>a</think>x\n\n```py\nif a<b: pass\n<think>\n```\nq",
    "<think>a</think>\n\n<answer>\nUlm and\n</answer>\n",
    "<think>a</think>Ulm<|im_end|>",
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Ulm [1].",
    "[THINK]x[/THINK]Hi [1] [2].",
    "Hello there.\n<think>open end",
    "\u25c1think\u25b7a\u25c1/think\u25b7Ulm",
    "a <b>bold</b> <i",
    'The tag "</think>" ends. See <http://x.de>.',
    "</think>Ulm",
    "x <",
    "Ulm.<|eot_id|>",
    "<unused94>thought\na<unused95>Ulm",
    "<|channel>thought\na<channel|>Ulm",
    "<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>Ulm<|end_of_solution|>",
    "It stands between <think> and </think>, always.",
]


def streamed(pieces: list[str]) -> str:
    stream = SpokenStream()
    return "".join([*map(stream.feed, pieces), stream.end()])


@given(st.sampled_from(STREAMED), st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_a_stream_shows_what_is_spoken_in_the_end(text: str, sizes: list[int]) -> None:
    pieces, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        pieces.append(text[at : at + size])
        at, turn = at + size, turn + 1
    assert streamed(pieces).strip() == spoken_part(text).strip()


@given(st.lists(st.text(alphabet="ab <>[]/`\n\u25c1|1", max_size=6), max_size=30))
def test_a_stream_loses_nothing_of_a_text_without_marks(pieces: list[str]) -> None:
    assert streamed(pieces) == "".join(pieces)


def test_thoughts_that_no_mark_has_begun_are_seen_until_one_ends_them() -> None:
    stream = SpokenStream()
    assert [stream.feed(one) for one in ("Hm. ", "</thi", "nk>\n", "Ulm")] == [
        "Hm. ",
        "",
        "",
        "Ulm",
    ]
