"""A source that an answer names in brackets is the number of its passage."""

from __future__ import annotations

import pytest

from aegis_graph.components.answer_generator.citations import cite
from aegis_graph.text.passages import Passage

PASSAGES = [
    Passage(source="docs/a.md", text="The limit is 10 USD a month."),
    Passage(source="b.pdf", text="Weeks begin on Monday.", page=3),
    Passage(source="docs/a.md", text="A hold is settled at the end."),
]


@pytest.mark.parametrize(
    ("answer", "text", "numbers"),
    [
        ("The limit is 10 USD [docs/a.md].", "The limit is 10 USD [1].", [1]),
        ("A hold is settled (source: a.md).", "A hold is settled [3].", [3]),
        ("Weeks begin on Monday [Source: b.pdf, page 3].", "Weeks begin on Monday [2].", [2]),
        ("Weeks begin on Monday [b.pdf](b.pdf).", "Weeks begin on Monday [2].", [2]),
        ("According to source 2, weeks begin.", "According to [2], weeks begin.", [2]),
        ("Laut Quelle 1, 10 USD.", "Laut [1], 10 USD.", [1]),
        ("Weeks begin [2] (b.pdf).", "Weeks begin [2] (b.pdf).", [2]),
        ("Read `[b.pdf]` and (c.md).", "Read `[b.pdf]` and (c.md).", []),
        ("According to source 7, no.", "According to source 7, no.", []),
    ],
)
def test_a_name_is_a_number(answer: str, text: str, numbers: list[int]) -> None:
    cited = cite(answer, PASSAGES)
    assert cited.text == text
    assert [one["n"] for one in cited.citations] == numbers
