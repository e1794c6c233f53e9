"""Precision, recall and F1 of relations by the names of their ends, exact once normalised."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
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
    """The relations in a plain answer: any JSON list or object with a list, fenced or not.

    Empty where there is no JSON: what a program that uses the plain prompt would have.
    """
    value = _first_json(answer)
    if isinstance(value, dict):
        lists = [one for one in value.values() if isinstance(one, list)]
        value = value.get("relations", lists[0] if lists else [value])
    rows = value if isinstance(value, list) else []
    keys = ("head", "relation", "tail")
    return [
        (row["head"], row["relation"], row["tail"])
        for row in rows
        if isinstance(row, dict) and all(isinstance(row.get(key), str) for key in keys)
    ]


def _first_json(answer: str) -> Any:
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[\[{]", answer):
        try:
            return decoder.raw_decode(answer, match.start())[0]
        except ValueError:
            continue
    return None


def _name(text: str) -> str:
    words = " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))
    return _ARTICLES.sub("", words)
