"""The passage index finds by words, in English and German, the same way every time."""

import logging
import random
import time

import pytest

from aegis_graph.components.retriever.bm25 import PassageIndex
from aegis_graph.text.passages import Passage

TEXTS = [
    "Budgets are hard limits on spending.",
    "Das Monatsbudget gilt für jeden Anbieter.",
    "The ledger records every call.",
    "Ollama runs on this machine.",
]


def passages(*texts: str) -> list[Passage]:
    return [Passage(source=f"{n}.md", text=text) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What is a limit?", "0.md"),
        ("Which calls does the ledger record?", "2.md"),
        ("Was gilt für die Anbieter?", "1.md"),
        ("OLLAMA", "3.md"),
    ],
)
def test_best_passage_comes_first(question: str, first: str) -> None:
    assert PassageIndex(passages(*TEXTS)).search(question)[0].source == first


def test_part_of_a_compound_finds_it_and_the_other_way_round() -> None:
    index = PassageIndex(passages(*TEXTS))
    assert {one.source for one in index.search("Budget")} == {"0.md", "1.md"}
    assert PassageIndex(passages("Ein Budget gilt.")).search("Monatsbudget")


@pytest.mark.parametrize("question", ["", "   ", "?", "What is it?", "giraffe", "\0", "1" * 10_000])
def test_question_about_nothing_finds_nothing(question: str) -> None:
    assert PassageIndex(passages(*TEXTS)).search(question) == []


def test_what_is_no_word_is_found_whole_and_in_time() -> None:
    """A million letters without a space, such as an encoded file, have no other forms."""
    blob = "ab" * 500_000
    assert [one.source for one in PassageIndex(passages(*TEXTS, blob)).search(blob)] == ["4.md"]


@pytest.mark.parametrize("texts", [[], [""], ["the of"], ["?!"]])
def test_index_without_words_is_searched_in_vain(texts: list[str]) -> None:
    assert PassageIndex(passages(*texts)).search("budget") == []


def test_limit_and_ties() -> None:
    index = PassageIndex(passages(*["The same budget."] * 9))
    assert [one.source for one in index.search("budget")] == [f"{n}.md" for n in range(6)]
    assert [one.source for one in index.search("budget", 2)] == ["0.md", "1.md"]
    assert index.search("budget", 0) == []


def test_heading_is_searched_too() -> None:
    found = PassageIndex([Passage(source="a", text="It is hard.", heading="Budgets")])
    assert found.search("budget")


def test_ten_thousand_passages_build_in_seconds_and_silence(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dice = random.Random(7)
    vocabulary = ["".join(dice.choices("aeinrstlmk", k=dice.randint(3, 9))) for _ in range(20_000)]
    texts = [" ".join(dice.choices(vocabulary, k=120)) for _ in range(10_000)]
    begin = time.process_time()
    with caplog.at_level(logging.DEBUG):
        index = PassageIndex(passages(*texts))
        first = index.search(f"{vocabulary[0]} {vocabulary[1]}")
    assert time.process_time() - begin < 20
    assert first == index.search(f"{vocabulary[0]} {vocabulary[1]}")
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
