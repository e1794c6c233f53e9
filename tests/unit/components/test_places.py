"""A citation says where its quote stands in the file, and leads there."""

from pathlib import Path

import pytest

from aegis_graph.components.answer_generator.citations import cite
from aegis_graph.components.answer_generator.places import place_of
from aegis_graph.components.documents.files import read_passages
from aegis_graph.components.documents.langchain import document_of, passages_of
from aegis_graph.text.passages import Passage

ROWS = "\n".join(f"| item {n:03} | {n} EUR | a remark about item {n:03} |" for n in range(80))
MARKDOWN = f"""---
title: Prices
---

# Fees

The fee is due in March.
It is paid
in one sum.

## Items

| name | price | remark |
|---|---|---|
{ROWS}

## Ending

A contract ends after four weeks.
"""


@pytest.mark.parametrize(
    ("claim", "heading"),
    [
        ("The fee is due in March.", "Fees"),
        ("It is paid in one sum.", "Fees"),
        ("item 003 | 3 EUR | a remark about item 003", "Items"),
        ("item 077 | 77 EUR | a remark about item 077", "Items"),
        ("A contract ends after four weeks.", "Ending"),
    ],
)
def test_the_lines_are_those_of_the_file(tmp_path: Path, claim: str, heading: str) -> None:
    file = tmp_path / "my prices.md"
    file.write_text(MARKDOWN)
    # Through documents, as a retriever gives them.
    passages = passages_of([document_of(one) for one in read_passages([tmp_path])])
    bare = " ".join(claim.split()[:6])
    [n] = [n for n, one in enumerate(passages, 1) if bare in " ".join(one.text.split())][:1]
    [citation] = cite(f"{claim} [{n}]", passages).citations
    assert citation["lines"] is not None
    first, last = citation["lines"]
    lines = file.read_text().split("\n")[first - 1 : last]
    assert " ".join(citation["quote"].split()) in " ".join(" ".join(lines).split())
    assert citation["heading"] == heading
    span = f"L{first}" if first == last else f"L{first}-L{last}"
    assert citation["link"] == f"my%20prices.md#{span}"


@pytest.mark.parametrize(
    ("passage", "link"),
    [
        (Passage(source="a.pdf", text="It is.", page=3), "a.pdf#page=3"),
        (Passage(source="a/ü#1.pdf", text="It is.", page=1), "a/%C3%BC%231.pdf#page=1"),
        (Passage(source="a.pptx", text="It is.", slide=2), "a.pptx"),
        (Passage(source="https://a.b/c?d=1#e", text="It is.", lines=(1, 1)), "https://a.b/c?d=1#e"),
        (Passage(source="a.md", text="It is.", lines=(4, 4)), "a.md#L4"),
        (Passage(source="a.md", text="It is."), "a.md"),
    ],
)
def test_a_link_leads_to_the_place(passage: Passage, link: str) -> None:
    place = place_of(passage, 0, len(passage.text))
    assert place["link"] == link
    assert (place["page"], place["slide"]) == (passage.page, passage.slide)


def test_the_copied_head_of_a_table_has_the_line_of_the_first_row_at_least() -> None:
    passage = Passage(source="a.md", text="| a |\n|---|\n| 8 |\n| 9 |", lines=(11, 12))
    assert place_of(passage, 0, 5)["lines"] == [11, 11]
    assert place_of(passage, 12, 17)["lines"] == [11, 11]
    assert place_of(passage, 18, 23)["lines"] == [12, 12]
