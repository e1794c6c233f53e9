"""Citations of an answer point at sources that exist, and quote spans that are there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.components.answer_generator.citations import CheckedAnswer, cite
from aegis_graph.text.passages import Passage

PASSAGES = [
    Passage(source="a.md", text="# Limits\n\nThe limit is 10 USD a month. It is a hard limit."),
    Passage(source="b.pdf", text="Weeks begin on\nMonday. Months begin on the first.", page=2),
    Passage(source="c.md", text="Ollama is free."),
]


def quotes(cited: CheckedAnswer) -> list[str]:
    return [one["quote"] for one in cited.citations]


def test_quote_is_the_span_that_supports_the_answer() -> None:
    cited = cite("A week begins on Monday [2]. The limit is hard. [1]", PASSAGES)
    assert cited.text == "A week begins on Monday [2]. The limit is hard. [1]"
    assert [
        (one["n"], one["source"], one["quote"], one["start"], one["end"]) for one in cited.citations
    ] == [
        (2, "b.pdf, page 2", "Weeks begin on\nMonday.", 0, 22),
        (1, "a.md", "It is a hard limit.", 39, 58),
    ]
    assert [(one["text"], one["citations"], one["supported"]) for one in cited.sentences] == [
        ("A week begins on Monday [2].", [0], True),
        ("The limit is hard. [1]", [1], True),
    ]


@pytest.mark.parametrize(
    ("answer", "shown", "numbers", "removed"),
    [
        ("Free. [3]", "Free. [3]", [3], 0),
        ("Free [9].", "Free.", [], 1),
        ("Free [0] [3] [4].", "Free [3].", [3], 2),
        ("Free [1, 9, 3].", "Free [1, 3].", [1, 3], 1),
        ("Free [3; 1].", "Free [3, 1].", [3, 1], 0),
        ("Free [3][1].", "Free [3][1].", [3, 1], 0),
        ("Free [3, 3]. Ollama is free [3].", "Free [3]. Ollama is free [3].", [3], 0),
        ("Use `rows[7]` [3].", "Use `rows[7]` [3].", [3], 0),
        ("Nothing to cite.", "Nothing to cite.", [], 0),
        ("", "", [], 0),
        ("[3]", "[3]", [3], 0),
        ("Free [^3] [^9].", "Free [3].", [3], 1),
        ("Free [[3]] [[9]].", "Free [3].", [3], 1),
        ("Free [Source 3] [source: 9].", "Free [3].", [3], 1),
        ("Frei [Quelle 3, 1].", "Frei [3, 1].", [3, 1], 0),
        ("Free [1-3].", "Free [1, 2, 3].", [1, 2, 3], 0),
        ("Free [3-9].", "Free [3].", [3], 6),
        ("Free [1-999].", "Free [1].", [1], 1),
        ("Free \u30103\u2020a.md\u3011.", "Free [3].", [3], 0),
        ("Free [3](https://evil.example/1).", "Free [3].", [3], 0),
        ("Free [9](https://evil.example/1).", "Free.", [], 1),
        ("Call f[3](x).", "Call f[3](x).", [], 0),
        ("Free [Source 3, Source 1] (Quelle 3).", "Free [3, 1] [3].", [3, 1], 0),
        ("Free\u30103:3\u2020c.md\u3011.", "Free [3].", [3], 0),
        ("[Free [3]](https://x.y) is it.", "Free [3] is it.", [3], 0),
        ("[9] Free [3].", "Free [3].", [3], 1),
        ("Free [3].\n[9]\nSo it is.", "Free [3].\nSo it is.", [3], 1),
        ("- [9] Free [3].", "- Free [3].", [3], 1),
        ("[3]\nIt is free.", "[3]\nIt is free.", [3], 0),
    ],
)
def test_numbers_are_checked(answer: str, shown: str, numbers: list[int], removed: int) -> None:
    cited = cite(answer, PASSAGES)
    assert (cited.text, cited.removed) == (shown, removed)
    assert [one["n"] for one in cited.citations] == numbers


def test_the_same_quote_is_listed_once_and_pointed_at_twice() -> None:
    cited = cite("It is 10 USD a month [1]. It is hard [1]. A hard limit [1].", PASSAGES)
    assert quotes(cited) == ["The limit is 10 USD a month.", "It is a hard limit."]
    assert [one["citations"] for one in cited.sentences] == [[0], [1], [1]]


def test_a_claim_over_two_sentences_quotes_both() -> None:
    cited = cite("The limit is hard and 10 USD a month. [1]", PASSAGES)
    assert quotes(cited) == ["The limit is 10 USD a month. It is a hard limit."]
    assert cited.sentences[0]["supported"]


def test_a_sentence_that_rests_on_two_sources_is_supported_by_both_together() -> None:
    cited = cite("Ollama [3] is free and weeks begin on Monday [2].", PASSAGES)
    assert [one["n"] for one in cited.citations] == [3, 2]
    assert [one["supported"] for one in cited.sentences] == [True]


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("The limit is 10 USD a month. [1]", "supported"),
        ("The limit is 20 USD a month. [1]", "numbers"),
        ("The limit is not 10 USD a month. [1]", "negation"),
        ("Ollama isn't free. [3]", "negation"),
        ("The monthly limit is soft. [1]", "words"),
        ("Giraffes eat leaves. [1]", "words"),
        ("The limit is 10 USD a month.", "uncited"),
        ("According to [1], the limit is 10 USD a month.", "supported"),
        ("Laut Quelle [1], the limit is 10 USD a month.", "supported"),
        ("As stated in (Source 1), the limit is 20 USD a month.", "numbers"),
    ],
)
def test_each_sentence_says_what_its_verdict_rests_on(sentence: str, reason: str) -> None:
    [judged] = cite(sentence, PASSAGES).sentences
    assert (judged["reason"], judged["supported"]) == (reason, reason == "supported")


def test_lines_of_a_list_and_headings_are_told_apart() -> None:
    cited = cite("## Answer\n\n- Ollama is free [3]\n- Weeks begin on Monday [2]\n", PASSAGES)
    assert [one["text"] for one in cited.sentences] == [
        "Ollama is free [3]",
        "Weeks begin on Monday [2]",
    ]


PYTHON = """```python
first = items[0]
```

~~~
other = [10, 20, 30]
~~~

    np.zeros([64])

The list is [10, 20, 30] by default and a score lies in [0, 1]. [1]"""


def test_code_and_data_are_not_touched() -> None:
    text = "The list is [10, 20, 30] by default and a score lies in [0, 1]."
    cited = cite(PYTHON, [Passage(source="a.md", text=text)])
    assert (cited.text, cited.removed) == (PYTHON, 0)
    assert [(one["n"], one["quote"]) for one in cited.citations] == [(1, text)]
    assert cited.sentences[-1]["supported"]


WEEKS, LIMIT = "Weeks begin on Monday", "The limit is 10 USD a month"


@pytest.mark.parametrize(
    "answer",
    [
        f"{WEEKS}. [2] {LIMIT}. [1]",
        f"[2] {WEEKS}. [1] {LIMIT}.",
        f"[2] {WEEKS}.\n[1] {LIMIT}.",
        f"[2] {WEEKS}\n[1] {LIMIT}",
        f"[2]\n{WEEKS}.\n\n[1]\n{LIMIT}.",
        f"- [2] {WEEKS}\n- [1] {LIMIT}",
        f"1. [2] {WEEKS}.\n2. [1] {LIMIT}.",
        f"I found:\n[2] {WEEKS}.\n[1] {LIMIT}.".replace("I found:\n", ""),
        f"{WEEKS}.\n[2]\n{LIMIT}.\n[1]",
        f"{WEEKS}.\n\n[2]\n\n{LIMIT}.\n\n[1]",
        f"{WEEKS}\n[2]\n\n{LIMIT}\n[1]\n",
        f"- {WEEKS}.\n  [2]\n- {LIMIT}.\n  [1]",
        f"{WEEKS} (Source 2). {LIMIT} (Source 1).",
        f"{WEEKS}.\u00b2 {LIMIT}.\u00b9",
        f"{WEEKS}[2]. {LIMIT}[1].",
        f"{WEEKS} [2]. {LIMIT} [1].\n\nSources:\n[1] a.md\n[2] b.pdf",
        f"{WEEKS} [2]. {LIMIT} [1].\n\n**Sources:** [1], [2]",
        f"{WEEKS} [2]. {LIMIT} [1].\n\n## Quellen\n\n- a.md\n- b.pdf, page 2",
        f"{WEEKS} [^2]. {LIMIT} [^1].\n\n[^1]: a.md\n[^2]: b.pdf",
        f"{WEEKS} [2]. {LIMIT} [1].\n\nReferences:\n1. a.md\n2. https://x.y/b",
    ],
)
def test_each_number_belongs_to_its_sentence(answer: str) -> None:
    cited = cite(answer, PASSAGES)
    said = [
        (one["supported"], [cited.citations[at]["n"] for at in one["citations"]])
        for one in cited.sentences
    ]
    assert said == [(True, [2]), (True, [1])], cited.text
    assert WEEKS in cited.sentences[0]["text"]
    assert LIMIT in cited.sentences[1]["text"]


def test_a_list_that_names_no_source_is_part_of_the_answer() -> None:
    cited = cite("Sources:\n- Ollama is free. [3]\n- Weeks begin on Monday. [2]", PASSAGES)
    assert [one["supported"] for one in cited.sentences[-2:]] == [True, True]


def test_a_notice_is_no_claim() -> None:
    cited = cite("It is free. [3]\n\n(By rule.)", PASSAGES, ignore=["(By rule.)"])
    assert [one["text"] for one in cited.sentences] == ["It is free. [3]"]


def test_no_passages_leave_no_citation() -> None:
    cited = cite("Free. [1]", [])
    assert (cited.text, cited.citations, cited.removed) == ("Free.", [], 1)


def test_a_claim_that_stands_in_the_passage_is_its_own_quote() -> None:
    table = "All output is billed as output.\n\n| model | output |\n|---|---|\n| m | 2.00 |"
    assert quotes(cite("model | output [1]", [Passage(source="a.md", text=table)])) == [
        "model | output"
    ]


FORMS = ["[1]", "[2]", "[9]", " ", "\n", "ab", ". ", "(Source 1)", "[1, 9]", "[0, 1]", "`", "- "]
FORMS += [
    "x[1]",
    "\u3010" + "2\u2020a\u3011",
    "Sources:\n",
    "[b [1]](https://x.y)",
    "\u00b9",
    "```\n",
    "\u3002",
]
ANSWERS = st.text(alphabet="ab. [1,2;]9\n`-#:!?ä0", max_size=80) | st.lists(
    st.sampled_from(FORMS), max_size=14
).map("".join)
TEXTS = st.lists(st.text(alphabet="ab. 12\n|-#ä", max_size=60) | st.text(max_size=40), max_size=3)


@given(ANSWERS, TEXTS)
def test_whatever_comes_spans_are_found_and_numbers_exist(answer: str, texts: list[str]) -> None:
    passages = [Passage(source=str(n), text=text) for n, text in enumerate(texts, start=1)]
    cited = cite(answer, passages)
    for citation in cited.citations:
        text = texts[citation["n"] - 1]
        assert text[citation["start"] : citation["end"]] == citation["quote"]
        assert citation["quote"] or not text.strip()
        assert citation["source"] == str(citation["n"])
    for sentence in cited.sentences:
        assert cited.text[sentence["start"] : sentence["end"]] == sentence["text"]
        assert all(0 <= place < len(cited.citations) for place in sentence["citations"])
        assert sentence["supported"] == (sentence["reason"] == "supported")
    pointed_at = {place for sentence in cited.sentences for place in sentence["citations"]}
    assert pointed_at == set(range(len(cited.citations)))
    again = cite(cited.text, passages)
    assert (again.text, again.removed) == (cited.text, 0)
