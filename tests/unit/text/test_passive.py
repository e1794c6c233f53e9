"""Sentences in the passive, in English and German."""

from __future__ import annotations

import pytest

from aegis_graph.text.mentions import find_mentions
from aegis_graph.text.passive import is_done_by

PASSIVE = [
    ("Nordwind was acquired by Suedlicht.", "acquired"),
    ("Nordwind, which was acquired last May by the old Suedlicht, grew.", "acquires"),
    ("The mills of Nordwind are supplied with salt by Suedlicht.", "supplies"),
    ("Nordwind has been founded by its rival Suedlicht.", "founded"),
    ("Nordwind wurde im Mai von der Reederei Suedlicht beliefert.", "beliefert"),
    ("Nordwind wird durch Suedlicht geleitet.", "leitet"),
]
ACTIVE = [
    ("Nordwind acquired Suedlicht.", "acquired"),
    ("Nordwind was employed by Suedlicht.", "works for"),
    ("Nordwind was bought by Suedlicht.", "acquired"),
    ("Nordwind was founded in 1990. It is led by Suedlicht.", "founded"),
    ("Nordwind was acquired by a trust that Suedlicht once led.", "acquired"),
    ("Nordwind was acquired by the owner of Suedlicht.", "acquired"),
    ("Nordwind wurde gegründet; Suedlicht beliefert es.", "beliefert"),
]


@pytest.mark.parametrize(("sentence", "verb"), PASSIVE)
def test_what_is_done_by_another(sentence: str, verb: str) -> None:
    one, other = find_mentions("Nordwind", sentence), find_mentions("Suedlicht", sentence)
    assert is_done_by(sentence, verb, one, other)
    assert not is_done_by(sentence, verb, other, one)


@pytest.mark.parametrize(("sentence", "verb"), ACTIVE)
def test_what_is_not(sentence: str, verb: str) -> None:
    one, other = find_mentions("Nordwind", sentence), find_mentions("Suedlicht", sentence)
    assert not is_done_by(sentence, verb, one, other)
    assert not is_done_by(sentence, verb, other, one)
    assert not is_done_by(sentence, verb, [], [])
