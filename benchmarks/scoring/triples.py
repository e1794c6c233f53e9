"""Precision, recall and F1 of relations by the names of their ends, exact once normalised."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from scoring.figures import Scores
from scoring.own_data import OwnSentence

Triple = tuple[str, str, str]
_ARTICLES = re.compile(r"^(?:the|an?|der|die|das|den|dem|eine?)\s+")


def score_triples(sentence: OwnSentence, said: Iterable[Iterable[str]]) -> Scores:
    """Score what was extracted from one sentence."""
    gold = {normal_triple(*one) for one in sentence.relations}
    predicted = {normal_triple(*one) for one in said}
    right, many = len(gold & predicted), len(gold) + len(predicted)
    return {
        "precision": (right, len(predicted)),
        "recall": (right, len(gold)),
        "F1": (2 * right, many),
        "nothing said where nothing is": (float(not gold and not predicted), float(not gold)),
    }


def normal_triple(head: str, relation: str, tail: str) -> Triple:
    """A relation without what is a matter of taste: capitals, articles, marks, underscores."""
    return _name(head), re.sub(r"[\s_\-]+", "", relation).casefold(), _name(tail)


def read_triples(answer: str) -> list[Triple]:
    """The relations in a plain answer: all that stands in it as JSON, fenced or not.

    Empty where there is no JSON: what a program that uses the plain prompt would have.
    """
    return list(_triples(list(_json_values(answer))))


def _triples(value: Any) -> Iterator[Triple]:
    """Every object with the three keys, however deep it lies."""
    if isinstance(value, dict):
        head, relation, tail = (value.get(key) for key in ("head", "relation", "tail"))
        if isinstance(head, str) and isinstance(relation, str) and isinstance(tail, str):
            yield head, relation, tail
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _triples(one)


def _json_values(answer: str) -> Iterator[Any]:
    decoder, place = json.JSONDecoder(), 0
    while match := re.compile(r"[\[{]").search(answer, place):
        place = match.end()
        # What only looks like JSON is passed over.
        with suppress(ValueError):
            value, place = decoder.raw_decode(answer, match.start())
            yield value


def _name(text: str) -> str:
    words = " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))
    return _ARTICLES.sub("", words)
