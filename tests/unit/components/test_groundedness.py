"""Answers of a small model that no passage bears out, by what the question asks for."""

from __future__ import annotations

import pytest

from aegis_graph.components.answer_generator.citations import cite
from aegis_graph.components.answer_generator.groundedness import is_borne_out
from aegis_graph.text.passages import Passage

PASSAGES = [
    Passage(source="tarn.md", text="The hose of the Tarn 40 is 7.5 metres long. It costs 24 EUR."),
    Passage(source="api.md", text="A key may send 90 requests.", heading="API of version 3"),
    Passage(source="news.md", text="This release is called Kingfisher.", heading="3.6"),
    Passage(source="api.md", text="Version 2 still answers."),
    Passage(
        source="trips.md", text="Flights are allowed after ten hours; Aldmoor Travel books them."
    ),
    Passage(source="minutes.md", text="The council voted, and Joris abstained. Wim signs."),
    Passage(source="miete.md", text="Die Miete beträgt 900 Euro. Der Aufzug trägt 700 kg."),
]


def is_kept(question: str, draft: str) -> bool:
    return is_borne_out(question, cite(draft, PASSAGES), PASSAGES)


@pytest.mark.parametrize(
    ("question", "kept", "made_up"),
    [
        # A measure of another kind.
        ("How much does the hose cost?", "It costs 24 EUR.", "It costs 7.5 metres."),
        ("How long is the hose?", "The hose is 7.5 metres long.", "The hose is 24 EUR."),
        ("Wie hoch ist die Miete?", "Die Miete beträgt 900 Euro.", "Die Miete beträgt 700 kg."),
        ("Was kostet der Aufzug?", "Er kostet 900 Euro.", "Er kostet 700 kg."),
        ("Wie viel wiegt der Aufzug?", "Er wiegt 700 kg.", "Er wiegt 900 Euro."),
        # What another one did.
        ("Who abstained in the vote?", "Joris abstained.", "Wim abstained in the vote."),
        # So many of a thing where a weight is asked for.
        ("How heavy is the key?", "The key weighs 700 kg.", "The key weighs 90 requests."),
        ("What does a key weigh?", "A key weighs 700 kg.", "A key weighs 2 versions."),
        ("Wie viel wiegt der Aufzug?", "Er wiegt 700 kg.", "Er wiegt 900 Mieten."),
        # Another one of its kind.
        (
            "How many requests does version 3 allow?",
            "A key may send 90 requests.",
            "A key may send 91 requests.",
        ),
        # A name where one of a kind is asked for that the passages do not name.
        (
            "Which company books flights?",
            "Aldmoor Travel books flights.",
            "The flights are allowed after ten hours.",
        ),
        (
            "Which company do the flights of Aldmoor like?",
            "Kingfisher is what the flights of Aldmoor like.",
            "The flights of Aldmoor Travel are allowed after ten hours.",
        ),
    ],
)
def test_an_answer_is_of_the_kind_that_is_asked_for(question: str, kept: str, made_up: str) -> None:
    assert is_kept(question, kept)
    assert not is_kept(question, made_up)


def test_another_versions_number_is_no_answer() -> None:
    draft = "90 requests."
    assert is_kept("How many requests does version 3 allow?", draft)
    assert not is_kept("How many requests does version 2 allow?", draft)
    assert is_kept("How many requests does release 2 allow?", draft), "no passage numbers those"


def test_what_is_asked_by_its_number_has_to_be_there() -> None:
    draft = "It is called Kingfisher."
    assert is_kept("What is release 3.6 called?", draft)
    assert not is_kept("What is release 3.7 called?", draft)
    assert not is_kept("What does the error E24 say?", "It says Kingfisher.")
    assert is_kept("What is called Kingfisher after 3.5 hours?", draft), "an amount is no name"


def test_a_unit_of_another_spelling_is_no_word_that_the_passages_lack() -> None:
    assert is_kept("How long is the hose?", "7.5 meters.")
    assert not is_kept("How long is the hose?", "8.5 meters.")


def test_a_yes_or_no_repeats_what_it_denies() -> None:
    question = "May employees take flights to holidays?"
    assert is_kept(question, "No, employees cannot take flights to holidays.")
    assert not is_kept(question, "The employees take holidays after ten hours.")


@pytest.mark.parametrize(
    ("question", "kept", "made_up"),
    [
        (
            "Wie viele Anfragen erlaubt ein Schlüssel je Minute?",
            "Ein Schlüssel erlaubt 90 Anfragen.",
            "Ein Schlüssel erlaubt 91 Anfragen.",
        ),
        (
            "Was kostet der Schlauch des Geräts?",
            "Der Schlauch des Geräts kostet 24 Euro.",
            "Der Schlauch des Geräts kostet 7,5 Meter.",
        ),
        (
            "How many kilograms does the elevator of this building carry?",
            "The elevator of this building carries 700 kg.",
            "The elevator of this building carries many kilograms.",
        ),
    ],
)
def test_amounts_bear_out_what_is_asked_in_another_language(
    question: str, kept: str, made_up: str
) -> None:
    assert is_kept(question, kept)
    assert not is_kept(question, made_up)
