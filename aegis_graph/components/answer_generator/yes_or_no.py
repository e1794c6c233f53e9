"""A yes or a no, and the sentence of a passage that speaks of the question.

Its words tell nothing: whether it is right shows in whether that sentence says no as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from aegis_graph.text.passages import Passage
from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.support import is_negative, rank_by_support, relevance
from aegis_graph.text.words import words

SPEAKS = 0.5
"""Share of a question's words that a sentence must have, with its heading, to speak of it."""

_YES_OR_NO = frozenset(words("yes no ja nein"))
_BEGINS = re.compile(r"(?:yes|no|ja|nein)\b\s*(?:[,.;:!\u2013\u2014-]|$)", re.IGNORECASE)


class SpeakingSentence(NamedTuple):
    """The sentence of a passage that speaks of the question most."""

    n: int
    """The passage's number."""
    text: str


def begins_with_yes_or_no(claim: str) -> bool:
    """Whether a claim confirms or denies what is asked.

    Example:
        >>> begins_with_yes_or_no("No, never."), begins_with_yes_or_no("No water.")
        (True, False)
    """
    return _BEGINS.match(claim.lstrip("*_ ")) is not None


def is_yes_or_no(claim: str) -> bool:
    """Whether a claim says nothing else."""
    return set(words(claim)) <= _YES_OR_NO


def speaking_sentences(question: str, passages: Sequence[Passage]) -> list[SpeakingSentence]:
    """The sentences that speak of a question most, one of a passage; none where none does.

    Example:
        >>> speaking_sentences("Is it red?", [Passage(source="a", text="Red it is not. Buy it.")])
        [SpeakingSentence(n=1, text='Red it is not.')]
    """
    found: list[tuple[float, SpeakingSentence]] = []
    for n, one in enumerate(passages, start=1):
        said = [each.text for each in split_sentences(one.text) if each.kind in ("prose", "bullet")]
        for at in rank_by_support(question, said)[:1]:
            share = relevance(question, f"{one.source}\n{one.heading}\n{said[at]}")
            found.append((share, SpeakingSentence(n, said[at])))
    most = max((share for share, _ in found), default=0.0)
    return [one for share, one in found if share == most >= SPEAKS]


def agrees(claim: str, sentence: SpeakingSentence) -> bool:
    """Whether both say no, or both do not."""
    return is_negative(sentence.text) == is_negative(claim)
