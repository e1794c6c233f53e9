"""Which sentences of numbered passages answer a question, and which one supports a claim.

Words are weighed by how rare they are among the sentences at hand. A question that the passages
hardly speak of gets no sentence at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aegis_graph.passages import NumberedPassage
from aegis_graph.sentences import Sentence, split_sentences
from aegis_graph.words import closeness, topic_words, words

ENOUGH = 0.55
"""Share of a question's weight that the chosen sentences must match."""

ENOUGH_ALONE = 0.35
"""Share that the best sentence must match in its own words."""

_CONTEXT = 0.6
"""What a match in a sentence's heading counts, compared with one in the sentence."""
_NEW = 0.12
"""Share of a question's weight that a further sentence must add."""
_EQUAL = 0.93
"""A further sentence that adds nothing must score this much of the best one."""
_QUANTITY = re.compile(
    r"\b(how (much|many|long|often|high|large|big)|when|price|costs?|limit"
    r"|wie ?viele?|wie (lange|oft|hoch|groß|teuer)|wann|preise?|kostet|kosten)\b",
    re.IGNORECASE,
)
_DEFINITION = re.compile(r"\s*(what (is|are|does)|was (ist|sind|bedeutet|heißt))\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a passage."""

    n: int
    """Number of the passage."""
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class _Candidate:
    quote: Quote
    matches: Mapping[str, float]
    """Closeness of each word of the question to the sentence and, reduced, its context."""
    direct: float
    """Weight that the sentence itself matches."""
    bonus: float


def answering(question: str, passages: Sequence[NumberedPassage], *, limit: int = 3) -> list[Quote]:
    """The sentences that answer a question, at most ``limit``; none where nothing does."""
    asked = list(dict.fromkeys(topic_words(question)))
    sentences = [
        Quote(passage.n, sentence)
        for passage in passages
        for sentence in split_sentences(passage.text)
        if sentence.kind != "heading"
    ]
    if not asked or not sentences:
        return []
    weights = _weights(asked, [set(words(quote.sentence.text)) for quote in sentences])
    total = sum(weights.values())
    candidates = [_candidate(question, quote, weights) for quote in sentences]
    best = max(candidates, key=lambda one: _score(one, weights))
    if best.direct < ENOUGH_ALONE * total:
        return []
    chosen = _extend([best], candidates, weights, limit)
    covered = _value(_union(chosen), weights)
    return _in_order(chosen) if covered >= ENOUGH * total else []


def supporting(claim: str, text: str) -> str:
    """The sentence of a text that best supports a claim; an exact piece of the text."""
    sentences = split_sentences(text)
    pool = [one for one in sentences if one.kind != "heading"] or sentences
    if not pool:
        return text.strip()
    claimed = set(topic_words(claim)) or set(words(claim))
    found = [set(topic_words(one.text)) or set(words(one.text)) for one in pool]
    weights = _weights(claimed, found)

    def support(index: int) -> float:
        said = found[index]
        hit = _value({word: _closest(word, said) for word in claimed}, weights)
        extra = sum(1 for word in said if not _closest(word, claimed))
        return hit - 0.1 * extra if hit else -1.0

    return pool[max(range(len(pool)), key=support)].text


def _weights(asked: Iterable[str], sentences: Sequence[set[str]]) -> dict[str, float]:
    """Weight of each word: between 1 for a common one and 2.5 for a rare or missing one."""
    weights = {}
    for word in asked:
        frequency = sum(1 for said in sentences if _closest(word, said))
        weights[word] = min(2.5, max(1.0, math.log((len(sentences) + 1) / (frequency + 0.5))))
    return weights


def _closest(word: str, said: set[str]) -> float:
    return 1.0 if word in said else max((closeness(word, other) for other in said), default=0.0)


def _candidate(question: str, quote: Quote, weights: Mapping[str, float]) -> _Candidate:
    sentence = quote.sentence
    said = words(sentence.text)
    around = set(words(sentence.context))
    own = {word: _closest(word, set(said)) for word in weights}
    matches = {word: max(own[word], _CONTEXT * _closest(word, around)) for word in weights}
    bonus = -0.01 * quote.n - 0.004 * max(0, len(said) - 30) - 0.08 * max(0, 4 - len(said))
    if sentence.kind == "code" or sentence.text.endswith(("?", ":")):
        bonus -= 0.5
    if _QUANTITY.search(question) and any(letter.isdigit() for letter in sentence.text):
        bonus += 0.4
    if _DEFINITION.match(question) and any(_closest(word, set(said[:4])) for word in weights):
        bonus += 0.3
    return _Candidate(quote, matches, _value(own, weights), bonus)


def _score(candidate: _Candidate, weights: Mapping[str, float]) -> float:
    return _value(candidate.matches, weights) + 0.5 * candidate.direct + candidate.bonus


def _value(matches: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum(weights[word] * match for word, match in matches.items())


def _union(chosen: Sequence[_Candidate]) -> dict[str, float]:
    return {word: max(one.matches[word] for one in chosen) for word in chosen[0].matches}


def _extend(
    chosen: list[_Candidate],
    candidates: Sequence[_Candidate],
    weights: Mapping[str, float],
    limit: int,
) -> list[_Candidate]:
    """Add what covers more of the question, or answers it as well as the best does."""
    total, best = sum(weights.values()), _score(chosen[0], weights)
    shown = {_plain(chosen[0])}
    ranked = sorted(candidates, key=lambda one: -_score(one, weights))
    for one in ranked:
        if len(chosen) == limit:
            break
        gain = _value(_union([*chosen, one]), weights) - _value(_union(chosen), weights)
        adds = gain >= _NEW * total and one.direct >= ENOUGH_ALONE * total
        if _plain(one) not in shown and (adds or _score(one, weights) >= _EQUAL * best):
            chosen = [*chosen, one]
            shown.add(_plain(one))
    return chosen


def _plain(candidate: _Candidate) -> str:
    return " ".join(words(candidate.quote.sentence.text))


def _in_order(chosen: Sequence[_Candidate]) -> list[Quote]:
    """The best sentence's passage first, then each passage's sentences as they stand there."""
    passages = list(dict.fromkeys(one.quote.n for one in chosen))
    quotes = [one.quote for one in chosen]
    return sorted(quotes, key=lambda quote: (passages.index(quote.n), quote.sentence.start))
