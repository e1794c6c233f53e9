"""Citations are read in the forms that models write; code and data are left alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.text.citation_marks import find_citations, replace_citations, without_links

CITED = [
    ("A [1].", "A<1>."),
    ("A [1, 2] B", "A<1+2> B"),
    ("A[1][2]", "A<1><2>"),
    ("`rows[0]` and [2]", "`rows[0]` and<2>"),
    ("A [Source 1, Source 2].", "A<1+2>."),
    ("A [source 1; source 2].", "A<1+2>."),
    ("A [1 and 2] B [1 und 2].", "A<1+2> B<1+2>."),
    ("A [1, and 2].", "A<1+2>."),
    ("A [1-2], [1\u20132], [1 to 2].", "A<1+2>,<1+2>,<1+2>."),
    ("A [doc 2], [Doc. 2], [doc2], [doc_2], [document: 2].", "A<2>,<2>,<2>,<2>,<2>."),
    ("A [#2].", "A<2>."),
    ("A [cite: 1, 2].", "A<1+2>."),
    ("[cite_start]A [cite: 2]", "<>A<2>"),
    ("A (Source 2) (Sources 1 and 2) (Quelle 1).", "A<2><1+2><1>."),
    ("A (see [1]) ([1], [2]).", "A<1><1+2>."),
    ("\u5468\u4e00\uff3b\uff12\uff3d\u3002", "\u5468\u4e00<2>\u3002"),
    ("A [1\uff0c2] [1\u30012].", "A<1+2><1+2>."),
    ("A \u30104:2\u2020b.md\u3011.", "A<2>."),
    ("A \u30102\u2020L10-L12\u3011 [2\u2020source].", "A<2><2>."),
    (r"A \[2\].", "A<2>."),
    ("A [^1] [[2]].", "A<1><2>."),
    ("A [[1], [2]].", "A<1+2>."),
    ("Monday.\u00b2 Limit\u00b9", "Monday.<2> Limit<1>"),
    ("A <sup>2</sup>", "A<2>"),
    ("A [2](https://x.y/a) [1](b.md).", "A<2><1>."),
    ("A [1] (source: a.md)", "A<1>"),
    ("A [Source 2: b.md, p. 3] [1, p. 3] [1: a.md].", "A<2><1><1>."),
    ("| **[1]** | _[2]_ |", "| **<1>** | _<2>_ |"),
    ("10 USD[1]. Monday[2].", "10 USD<1>. Monday<2>."),
    ("\u6708\u66dc\u65e5[2]\u3068[1]\u3002", "\u6708\u66dc\u65e5<2>\u3068<1>\u3002"),
    ("[2] Weeks. [1] Limit.", "<2> Weeks.<1> Limit."),
    ("A [7].", "A<7>."),
    ("A [^1^] ^1^ [1.].", "A<1><1><1>."),
    ("A [see 1] [siehe Quelle 2].", "A<1><2>."),
    ("A [Source 1 / Source 2] [Source 1 | Source 2].", "A<1+2><1+2>."),
    ("A [Source 1 (a.md)] [1 (b.md)] [Source 2 - b.md].", "A<1><1><2>."),
    ("A [1, lines 3-5] [2, \u00a7 3] [1, Abschnitt 2].", "A<1><2><1>."),
    ("A [[1](https://x.y)] [2]().", "A<1><2>."),
    ("A <source>1</source> <citation>2</citation> <ref name='1'/>.", "A<1><2><1>."),
    ("A <sup>[1](#1)</sup>.", "A<1>."),
    (r"A \cite{1,2} $^{1}$.", "A<1+2><1>."),
    ("Monday.\u00b9\u207b\u00b2 Limit\u207d\u00b9\u207e [\u00b2]", "Monday.<1+2> Limit<1><2>"),
    ("A [Fuente 1] [Fonte 2] [\ucd9c\ucc98 1] [\u6765\u6e90\uff1a2].", "A<1><2><1><2>."),
    ("It isn't[1]. Acme's[2] costs 2.5[1].", "It isn't<1>. Acme's<2> costs 2.5<1>."),
    ("It is hard (1). It is soft (1, 2).", "It is hard<1>. It is soft<1+2>."),
    ("It is hard. (1) It is soft. (2)", "It is hard.<1> It is soft.<2>"),
]
LEFT = [
    "[x] [] [1.5] [12345] [2024]",
    "first = items[0]",
    "The list is [10, 20, 30], a score lies in [0, 1] and [3-9].",
    "A score lies in the range [1, 5], a value in the interval [1, 2].",
    "It is 10^2^ and mc^2^.",
    "See f (1).",
    "Es gilt \u00a7 3 Abs. (1).",
    "There are two (2).",
    "Choose (1) or (2).",
    "[from 1 to 2] [in 2 days]",
    "np.zeros([64]) and f([1]) and f[1](x)",
    "rows = [1]",
    '{"ids": [1, 2]}',
    "[10, 20, 30][0] and d['a'][1] and a_b[1] and self.x[1]",
    "```\na [1]\n```",
    "~~~~\na [1]\n```\nb [2]\n~~~~",
    "````\n```\na [1]\n```\nb [1]\n````",
    "So:\n\n    a = b [1]\n\tc [2]\n",
    "`` a ` [1] ``",
    "5 m\u00b2, x\u00b2, 10 km\u00b2 and 10\u00b9",
    "(1) first, (2) second, step (1)",
    "https://x.y/[1] and www.x.y/[1]",
    "(Document 2 of 5)",
    "x[1:2] and [1:2]",
    "[Section 2] [page 2]",
]


def shown(text: str, count: int | None = 2) -> str:
    return replace_citations(
        text, lambda mark, numbers: f"<{'+'.join(map(str, numbers))}>", count=count
    )


@pytest.mark.parametrize(("text", "replaced"), CITED)
def test_every_form_of_a_citation_is_read(text: str, replaced: str) -> None:
    assert shown(text) == replaced


@pytest.mark.parametrize("text", LEFT)
def test_what_is_no_citation_stays(text: str) -> None:
    assert shown(text) == text
    # Also in a text that has one, which sets its citations off.
    assert shown(f"{text}\n\nIt is so. [1]") == f"{text}\n\nIt is so.<1>"


def test_where_citations_are_set_off_what_sticks_to_a_word_is_an_index() -> None:
    assert shown("The loop reads items[1] first. [2]") == "The loop reads items[1] first.<2>"


def test_a_paragraph_in_a_list_is_no_code() -> None:
    assert shown("- One\n\n    goes on. [1]\n") == "- One\n\n    goes on.<1>\n"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("On [Monday [2]](https://x.y).", "On Monday [2]."),
        ("[[2] Monday](https://x.y)", "[2] Monday"),
        ("[Monday](https://x.y) [2]", "[Monday](https://x.y) [2]"),
        ("`[a [2]](https://x.y)`", "`[a [2]](https://x.y)`"),
        ("![a [2]](https://x.y)", "![a [2]](https://x.y)"),
    ],
)
def test_a_link_around_a_citation_is_its_text(text: str, plain: str) -> None:
    assert without_links(text) == plain


PIECES = ["[", "]", "1", "2", "9", ", ", "-", "(", ")", "Source ", "`", "```", "\n", " ", "a", "."]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60))
def test_citations_are_pieces_in_order(text: str) -> None:
    position = 0
    for mark in find_citations(text, count=2):
        assert position <= mark.start < mark.end <= len(text)
        position = mark.end


@pytest.mark.parametrize(
    "text", ["[" * 50_000, "[1," * 20_000, "(Source " * 20_000, " " * 90_000 + "[1]", "`" * 50_000]
)
def test_no_text_holds_the_reader_up(text: str) -> None:
    began = time.process_time()
    find_citations(text, count=2)
    without_links(text)
    assert time.process_time() - began < 20
