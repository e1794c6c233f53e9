"""Questions that ask for several things, and what of them can be looked up alone."""

from __future__ import annotations

import pytest

from aegis_graph.text.question_parts import parts_of, separate_parts


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "What does a berth cost, and at which hour does the harbour open?",
            ["What does a berth cost", "at which hour does the harbour open?"],
        ),
        (
            "Wer leitet das Museum und seit wann hat das Archiv geschlossen?",
            ["Wer leitet das Museum", "seit wann hat das Archiv geschlossen?"],
        ),
        (
            "Who built the mill, when did the dam break, and where is the lock?",
            ["Who built the mill, when did the dam break", "where is the lock?"],
        ),
    ],
)
def test_each_part_has_a_question_word_of_its_own(question: str, parts: list[str]) -> None:
    assert parts_of(question) == parts
    assert separate_parts(question) == parts


@pytest.mark.parametrize(
    "question",
    [
        "Which bread and butter does the baker sell?",
        "Why and how?",
        "Wie heißen Bäcker und Müller?",
        "Who pays and what and when and where and how?",
        "",
    ],
)
def test_what_asks_once_stays_whole(question: str) -> None:
    assert parts_of(question) == [question]
    assert separate_parts(question) == []


@pytest.mark.parametrize(
    "question",
    [
        "Which firm builds the mixer, and how heavy is it?",
        "Who founded the brewery, and where was he born?",
        "What does the port charge its guests, and what does it pay the pilots?",
        "Wer gründete die Brauerei, und wo liegt ihr Sitz?",
    ],
)
def test_a_part_that_points_back_is_not_looked_up_alone(question: str) -> None:
    assert len(parts_of(question)) == 2
    assert separate_parts(question) == []
