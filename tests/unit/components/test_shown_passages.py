"""What a prompt shows: what the model's context leaves, best first and last, in whole sentences."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aegis_graph.components.answer_generator.shown_passages import (
    LEAST_PIECE,
    MOST_FOR_SMALL,
    Room,
    is_small,
    room_of,
    shown_passages,
)
from aegis_graph.config.price_specs import PriceSpec
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.text.passages import Passage, format_question
from aegis_graph.text.sentences import split_sentences

FREE = PriceSpec(input_usd_per_mtok=Decimal(0), output_usd_per_mtok=Decimal(0))
SHORT = [Passage(source=f"{n}.md", text=f"Fact {n} is short.") for n in range(1, 8)]
LONG = Passage(source="long.md", text=" ".join(f"Sentence {n} says little." for n in range(400)))


def row(name: str, **more: Any) -> Provider:
    given = {"kind": "ollama", "model": "qwen3:8b", "location": "local", "price": FREE, **more}
    return create_provider(ProviderSpec(name=name, **given), source="the test")


def test_what_fits_is_shown_whole_and_the_second_best_stands_last() -> None:
    shown = shown_passages("Which fact?", SHORT, Room(size=100_000))
    assert [one.n for one in shown] == [1, 3, 4, 5, 6, 7, 2]
    assert [one.passage for one in shown] == [SHORT[n - 1] for n in (1, 3, 4, 5, 6, 7, 2)]
    assert [one.n for one in shown_passages("Which?", SHORT[:4], Room())] == [1, 2, 3, 4]


def test_a_small_model_is_shown_the_best_few() -> None:
    question = "Which facts are 1, 2, 3, 4, 5 and 6?"
    shown = shown_passages(question, SHORT, Room(most=MOST_FOR_SMALL))
    assert [one.n for one in shown] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("question", "texts", "numbers"),
    [
        # The rent of another thing, and a thing of the same name.
        (
            "What is the rent of the mill?",
            ["The rent of the mill is 9 EUR.", "The mill is old.", "The rent of the boat is 4."],
            [1, 2],
        ),
        # What only the third has.
        (
            "Who runs the mill, and who repairs the dam?",
            ["Ada runs the mill.", "Bo runs the old mill.", "Cy repairs the dam.", "A mill runs."],
            [1, 2, 3],
        ),
        # A form of a word counts as the word, and a heading as the text.
        (
            "Welche Mühlen mahlen Roggen?",
            ["Die Mühle mahlt Weizen.", "Eine Mühle.", "Roggen mahlt die alte.", "Alte Mühlen."],
            [1, 2, 3],
        ),
        # Between two languages words cannot tell.
        (
            "Was kostet die Mühle?",
            ["Die Mühle ist alt.", "Die Mühle steht da.", "The mill costs 4 EUR.", "Eine Mühle."],
            [1, 2, 3],
        ),
        # Without a word of its own nothing tells the others apart.
        ("Why?", ["One.", "Two.", "Three."], [1, 2]),
    ],
)
def test_a_small_model_is_shown_a_further_passage_for_what_is_new_in_it(
    question: str, texts: list[str], numbers: list[int]
) -> None:
    passages = [Passage(source=f"{n}.md", text=text) for n, text in enumerate(texts)]
    shown = shown_passages(question, passages, Room(most=MOST_FOR_SMALL))
    assert [one.n for one in shown] == numbers
    assert len(shown_passages(question, passages, Room())) == len(texts)


@pytest.mark.parametrize("size", [700, 2_000, 8_000])
def test_a_prompt_keeps_within_the_room_and_cuts_between_sentences(size: int) -> None:
    middle = LONG.text.replace("Sentence 250 says little", "The zebra sleeps at noon")
    passages = [Passage(source="long.md", text=middle), *SHORT]
    question = "When does the zebra sleep?"
    shown = shown_passages(question, passages, Room(size=size), beside=["Be brief."])
    prompt = format_question(
        question,
        [one.passage for one in shown],
        numbers=[one.n for one in shown],
        instructions="Be brief.",
    )
    assert len(prompt.encode()) <= size + 120, "the frame around the passages is not counted"
    cut = shown[0].passage
    assert "The zebra sleeps at noon." in cut.text
    assert middle[cut.start : cut.start + len(cut.text)] == cut.text
    whole = {one.text for one in split_sentences(middle)}
    assert {one.text for one in split_sentences(cut.text)} <= whole


def test_where_there_is_little_room_fewer_passages_are_shown() -> None:
    many = [Passage(source=f"{n}.md", text=LONG.text) for n in range(9)]
    assert len(shown_passages("Why?", many, Room(size=3 * LEAST_PIECE + 10))) == 3
    assert len(shown_passages("Why?", many, Room(size=1))) == 1, "a question alone asks nothing"


def test_the_smallest_context_of_those_that_may_be_asked_counts() -> None:
    small = row("small", options={"num_ctx": 2048}, max_output_tokens=500)
    cloud = row("cloud", options={"num_ctx": 1024}, max_output_tokens=500, location="cloud")
    assert room_of([small, cloud], {}).size == 3 * (1024 - 500)
    assert room_of([small, cloud], {"sensitivity": "pii"}).size == 3 * (2048 - 500)
    assert room_of([small], {"max_output_tokens": 48}).size == 3 * 2000
    assert room_of([row("unknown")], {}) == Room(None, None)
    assert room_of([], {}) == Room(None, None)


def test_a_models_name_says_whether_it_is_small() -> None:
    small = ["qwen2.5-coder-1.5b", "llama3.2:3b", "Phi-4B-instruct", "gemma-0.5b-q4"]
    others = ["qwen3:8b", "gpt-4o", "qwen3:30b-a3b", "claude-opus-4", "mixtral-8x7b", "b2b"]
    assert [one for one in small if not is_small(one)] == []
    assert [one for one in others if is_small(one)] == []
    assert room_of([row("little", model="llama3.2:3b")], {}).most == MOST_FOR_SMALL
