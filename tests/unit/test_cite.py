"""Citations of an answer point at passages that exist, and quote them exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.components.citations import cite
from aegis_graph.text.passages import Passage

PASSAGES = [
    Passage(source="a.md", text="# Limits\n\nThe limit is 10 USD a month. It is a hard limit."),
    Passage(source="b.pdf", text="Weeks begin on\nMonday. Months begin on the first.", page=2),
    Passage(source="c.md", text="Ollama is free."),
]


def test_quote_is_the_sentence_that_supports_the_answer() -> None:
    text, citations = cite("A week starts with Monday [2]. The limit is hard. [1]", PASSAGES)
    assert text == "A week starts with Monday [2]. The limit is hard. [1]"
    assert citations == [
        {"n": 2, "source": "b.pdf, page 2", "quote": "Weeks begin on\nMonday."},
        {"n": 1, "source": "a.md", "quote": "It is a hard limit."},
    ]


@pytest.mark.parametrize(
    ("answer", "shown", "numbers"),
    [
        ("Free. [3]", "Free. [3]", [3]),
        ("Free [9].", "Free.", []),
        ("Free [0] [3] [4].", "Free [3].", [3]),
        ("Free [1, 9, 3].", "Free [1, 3].", [1, 3]),
        ("Free [3; 1].", "Free [3, 1].", [3, 1]),
        ("Free [3][1].", "Free [3][1].", [3, 1]),
        ("Free [3, 3]. Ollama is free [3].", "Free [3]. Ollama is free [3].", [3]),
        ("Use `rows[7]` [3].", "Use `rows[7]` [3].", [3]),
        ("Nothing to cite.", "Nothing to cite.", []),
        ("", "", []),
        ("[3]", "[3]", [3]),
    ],
)
def test_numbers_are_checked(answer: str, shown: str, numbers: list[int]) -> None:
    text, citations = cite(answer, PASSAGES)
    assert text == shown
    assert [one["n"] for one in citations] == numbers


def test_passage_cited_for_two_claims_is_quoted_twice() -> None:
    _, citations = cite("It is 10 USD a month [1]. It is hard [1]. Hard [1].", PASSAGES)
    assert [one["quote"] for one in citations] == [
        "The limit is 10 USD a month.",
        "It is a hard limit.",
    ]


def test_no_passages_leave_no_citation() -> None:
    assert cite("Free. [1]", []) == ("Free.", [])


@given(st.text(alphabet="a. [1,2;]9\n`", max_size=60), st.lists(st.text(max_size=40), max_size=3))
def test_every_quote_is_an_exact_piece_of_its_passage(answer: str, texts: list[str]) -> None:
    passages = [Passage(source=str(n), text=text) for n, text in enumerate(texts, start=1)]
    text, citations = cite(answer, passages)
    for citation in citations:
        assert citation["quote"] in texts[citation["n"] - 1]
        assert citation["source"] == str(citation["n"])
    assert cite(text, passages)[0] == text


def test_a_claim_that_stands_in_the_passage_is_its_own_quote() -> None:
    table = "All output is billed as output.\n\n| model | output |\n|---|---|\n| m | 2.00 |"
    _, citations = cite("model | output [1]", [Passage(source="a.md", text=table)])
    assert [citation["quote"] for citation in citations] == ["model | output"]
