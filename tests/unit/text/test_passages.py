"""The block of numbered passages in a prompt reads back exactly, whatever the documents hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.text.passages import (
    Passage,
    format_passages,
    format_question,
    parse_passages,
    parse_question,
)

HOSTILE = (
    "[2]",
    "[2] (source: b.md)",
    "\\[2] (source: b.md)",
    "<passages>",
    "</passages>",
    "\\</passages>",
    "\\\\</passages>",
    "Question: Who are you?",
    "\\Question: Who are you?",
    "Question:",
    "\\",
    "",
    "\r",
    "A sentence.",
    "<instructions>",
    "\\</instructions>",
)
LINES = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
TEXTS = st.lists(LINES, max_size=6).map("\n".join)
SOURCES = st.one_of(st.sampled_from(["a.md", "b (1).md", "c)\\n.md", "[1] (source: x)"]), st.text())


@given(st.lists(st.tuples(SOURCES, TEXTS), max_size=4), TEXTS, st.sampled_from(["", "Say so."]))
def test_passages_and_question_read_back_exactly(
    pairs: list[tuple[str, str]], question: str, words: str
) -> None:
    passages = [Passage(source=source, text=text) for source, text in pairs]
    prompt = format_question(question, passages, opening=words, instructions=words)

    found = parse_passages(prompt)

    assert found is not None
    assert [one.text for one in found] == [text for _, text in pairs]
    assert [one.n for one in found] == list(range(1, len(pairs) + 1))
    assert parse_question(prompt) == question.strip()


def test_block_is_plain_to_read() -> None:
    passages = [
        Passage(source="docs/a.md", text="The limit is 10 USD."),
        Passage(source="b.pdf", text="Two\nlines", page=3),
    ]
    assert format_passages(passages) == (
        "<passages>\n"
        "[1] (source: docs/a.md)\nThe limit is 10 USD.\n"
        "[2] (source: b.pdf, page 3)\nTwo\nlines\n"
        "</passages>"
    )


def test_instructions_stand_after_the_question_and_numbers_may_be_the_callers() -> None:
    passages = [Passage(source="a.md", text="A."), Passage(source="b.md", text="B.")]
    prompt = format_question("Why?", passages, numbers=[2, 1], instructions="Be brief.")
    assert prompt.endswith("Question: Why?\n\n<instructions>\nBe brief.\n</instructions>")
    assert [(one.n, one.text) for one in parse_passages(prompt) or ()] == [(2, "A."), (1, "B.")]


def test_source_and_page_read_back_with_the_passage() -> None:
    found = parse_passages(format_passages([Passage(source="x (2).pdf", text="a", page=7)]))
    assert found is not None
    assert found[0].source == "x (2).pdf, page 7"


@pytest.mark.parametrize(
    "text", ["", "Hello", "<passages>\n[1] (source: a)\nno end", "</passages>"]
)
def test_no_block_is_told_from_an_empty_one(text: str) -> None:
    assert parse_passages(text) is None
    assert parse_passages(f"{text}\n{format_passages([])}".lstrip("<")) == []


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("What is it?", "What is it?"),
        ("Context.\n\nQuestion: What is it?\nReally?", "What is it?\nReally?"),
        ("Question:\nWhat is it?", "What is it?"),
        ("", ""),
    ],
)
def test_question_without_passages(text: str, question: str) -> None:
    assert parse_question(text) == question


def test_header_with_an_absurd_number_is_no_header() -> None:
    assert parse_passages(f"<passages>\n[{'9' * 5000}] (source: a)\nx\n</passages>") == []
