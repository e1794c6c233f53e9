"""The scorers of the quality benchmark, against cases worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from scoring.citations import CitationScore, answer_match, judge_by_words, score_citations
from scoring.formats import GoldEntity, Paragraph, RelationExample
from scoring.questions import exact_match, f1, recall_at, without_citations
from scoring.relations import Score, score_relations

TEXT = "Ada lives in Ulm . Bob lives in Bonn ."
GOLD = RelationExample(
    "1",
    TEXT,
    [
        GoldEntity("Peop", frozenset({(0, 3)})),
        GoldEntity("Loc", frozenset({(13, 16)})),
        GoldEntity("Peop", frozenset({(19, 22)})),
        GoldEntity("Loc", frozenset({(32, 36)})),
    ],
    frozenset({(0, "Live_In", 1), (2, "Live_In", 3)}),
)


def entity(name: str, label: str, *places: tuple[int, int]) -> dict[str, Any]:
    mentions = [{"start": start, "end": end} for start, end in places]
    return {"id": name, "name": name, "type": label, "mentions": mentions}


def relation(head: str, name: str, tail: str) -> dict[str, Any]:
    return {"head_id": head, "relation": name, "tail_id": tail}


PERFECT: dict[str, Any] = {
    "entities": [
        entity("Ada", "Peop", (0, 3)),
        entity("Ulm", "Loc", (13, 16)),
        entity("Bob", "Peop", (19, 22)),
        entity("Bonn", "Loc", (32, 36)),
    ],
    "relations": [relation("Ada", "Live_In", "Ulm"), relation("Bob", "Live_In", "Bonn")],
}


def test_a_perfect_answer_is_perfect() -> None:
    assert score_relations(GOLD, PERFECT) == {
        "entities": Score(4, 4, 4),
        "entities, typed": Score(4, 4, 4),
        "relations": Score(2, 2, 2),
        "relations, typed": Score(2, 2, 2),
    }


def test_types_boundaries_direction_and_names_count() -> None:
    result = {
        "entities": [
            entity("Ada", "Loc", (0, 3)),  # wrong type
            entity("Ulm", "Loc", (13, 16)),
            entity("Bob", "Peop", (19, 28)),  # wrong boundaries
            entity("Bonn", "Loc", (32, 36)),
        ],
        "relations": [
            relation("Ada", "Live_In", "Ulm"),  # right without types only
            relation("Ulm", "Live_In", "Ada"),  # wrong way round
            relation("Bob", "Live_In", "Bonn"),  # an end is wrong
            relation("Ada", "Work_For", "Ulm"),  # another name
        ],
    }
    scores = score_relations(GOLD, result)
    assert scores["entities"] == Score(3, 4, 4)
    assert scores["entities, typed"] == Score(2, 4, 4)
    assert scores["relations"] == Score(1, 4, 2)
    assert scores["relations, typed"] == Score(0, 4, 2)
    assert scores["relations"].precision == 0.25
    assert scores["relations"].recall == 0.5
    assert scores["relations"].f1 == pytest.approx(1 / 3)


def test_two_names_of_one_gold_entity_count_once() -> None:
    gold = RelationExample(
        "1",
        "Ada Lovelace , or Lady Lovelace , knew Bob .",
        [
            GoldEntity("P", frozenset({(0, 12), (18, 31)})),
            GoldEntity("P", frozenset({(39, 42)})),
        ],
        frozenset({(0, "KNOWS", 1)}),
    )
    result = {
        "entities": [
            entity("Ada Lovelace", "P", (0, 12)),
            entity("Lady Lovelace", "P", (18, 31)),
            entity("Bob", "P", (39, 42)),
        ],
        "relations": [
            relation("Ada Lovelace", "KNOWS", "Bob"),
            relation("Lady Lovelace", "KNOWS", "Bob"),
        ],
    }
    scores = score_relations(gold, result)
    assert scores["entities"] == Score(2, 2, 2)
    assert scores["relations, typed"] == Score(1, 1, 1)


def test_micro_averages_add_counts_and_nothing_scores_nothing() -> None:
    total = Score(1, 2, 4) + Score(2, 2, 2)
    assert (total.precision, total.recall, total.f1) == (0.75, 0.5, 0.6)
    nothing = score_relations(GOLD, {"entities": [], "relations": []})
    assert nothing["relations"] == Score(0, 0, 2)
    assert (nothing["relations"].precision, nothing["relations"].f1) == (0.0, 0.0)
    assert Score().f1 == 0.0


@pytest.mark.parametrize(
    ("answer", "golds", "score", "exact"),
    [
        ("The Eiffel Tower", ["eiffel tower"], 1.0, 1.0),
        ("Paris, France", ["Paris"], 2 / 3, 0.0),
        ("in the city of Paris", ["Paris", "City of Paris"], 6 / 7, 0.0),
        ("yes", ["yes"], 1.0, 1.0),
        ("yes, it is", ["yes"], 0.0, 0.0),
        ("no", ["yes"], 0.0, 0.0),
        ("Berlin", ["Paris"], 0.0, 0.0),
        ("", ["Paris"], 0.0, 0.0),
        ("to be to be", ["to be"], 2 / 3, 0.0),
    ],
)
def test_answer_f1(answer: str, golds: list[str], score: float, exact: float) -> None:
    assert f1(answer, golds) == pytest.approx(score)
    assert exact_match(answer, golds) == exact


def test_answers_are_compared_without_their_citations() -> None:
    assert without_citations("Paris [1, 2]. Yes [3]") == "Paris. Yes"


def paragraphs(*names: str) -> list[Paragraph]:
    return [Paragraph(name, f"About {name}.") for name in names]


@pytest.mark.parametrize(
    ("found", "supporting", "recall"),
    [
        ("abcde", "ab", 1.0),
        ("axxxxb", "ab", 0.5),
        ("xyz", "ab", 0.0),
        ("", "ab", 0.0),
        ("aaaa", "ab", 0.5),
        ("ab", "", 0.0),
    ],
)
def test_recall_at_five(found: str, supporting: str, recall: float) -> None:
    assert recall_at(paragraphs(*found), set(paragraphs(*supporting))) == recall


DOCUMENTS = [
    Paragraph("A", "red"),
    Paragraph("B", "blue"),
    Paragraph("C", "red blue"),
    Paragraph("D", "green"),
]


async def has_all_words(text: str, claim: str) -> bool:
    """A judge whose verdicts can be worked out by hand."""
    return set(claim.strip(" .").lower().split()) <= set(text.lower().split())


@pytest.mark.parametrize(
    ("answer", "recall", "precision", "sentences", "citations"),
    [
        ("Red [1].", 1.0, 1.0, 1, 1),
        ("Red. [1]", 1.0, 1.0, 1, 1),
        ("Red. [1] Blue. [2]", 1.0, 1.0, 2, 2),
        ("Red [1]. Blue [1].", 0.5, 0.5, 2, 2),
        ("Red. Blue [2].", 0.5, 1.0, 2, 1),
        ("Red blue [1][2].", 1.0, 1.0, 1, 2),  # neither alone, both needed
        ("Red blue [1, 2].", 1.0, 1.0, 1, 2),
        ("Red [1][4].", 1.0, 0.5, 1, 2),  # [4] neither entails nor is missed
        ("Red [1][3].", 1.0, 1.0, 1, 2),  # each entails alone
        ("Red blue [3][1].", 1.0, 0.5, 1, 2),  # [1] is not needed beside [3]
        ("Green [1][2].", 0.0, 0.0, 1, 2),
        ("Red [9].", 0.0, 0.0, 1, 0),  # points nowhere
        ("Red.", 0.0, 0.0, 1, 0),
        ("", 0.0, 0.0, 0, 0),
        ("Green [1][2][3][4].", 0.0, 0.0, 1, 3),  # no more than three are looked at
    ],
)
async def test_citations(
    answer: str, recall: float, precision: float, sentences: int, citations: int
) -> None:
    score = await score_citations(answer, DOCUMENTS, has_all_words)
    assert score == CitationScore(recall, precision, sentences, citations)


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        ("It is the Eiffel tower [1], of 1889.", 1.0),
        ("It is the Eiffel Tower.", 0.5),
        ("No idea.", 0.0),
    ],
)
def test_answer_match(answer: str, match: float) -> None:
    assert answer_match(answer, [["Eiffel Tower", "La Tour"], ["1889"]]) == match
    assert answer_match(answer, []) is None


async def test_the_judge_by_words_tells_support_from_nonsense() -> None:
    text = "The limit of a budget is 10 USD a month."
    assert await judge_by_words(text, "The limits are 10 USD each month")
    assert not await judge_by_words(text, "Giraffes have long necks")
    assert not await judge_by_words(text, "It is.")
