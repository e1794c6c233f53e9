"""Which sentences of numbered passages answer a question, and which ones support a claim.

Words are weighed by how rare they are among the sentences at hand. A question that the passages
hardly speak of gets no sentence at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from aegis_graph.text.passages import NumberedPassage, replace_citations
from aegis_graph.text.sentences import Sentence, split_sentences
from aegis_graph.text.words import detect_language, max_closeness, topic_words, words

ENOUGH = 0.5
"""Share of a question's weight that the chosen sentences must match together."""

ENOUGH_ALONE = 0.4
"""Share that the best sentence must match with what it stands under."""

ENOUGH_DIRECT = 0.3
"""Share that every chosen sentence must match in its own words."""

_RARE, _MISSING = 2.5, 2.75
"""Weights of a word that hardly any sentence has, and of one that none has; a common one has 1.

One rare word that is there does not make up for one that is missing.
"""

_CONTEXT = 0.6
"""What a match in a sentence's heading counts, compared with one in the sentence."""
_FOREIGN = 0.7
"""What a sentence in another language than the question counts."""
_NEW = 0.2
"""Share of a question's weight that a further sentence must add."""
_EQUAL = 0.93
"""A further sentence that adds nothing must score this much of the best one."""
_QUANTITY = re.compile(
    r"\b(how (much|many|long|often|high|large|big)|when|price|costs?|limit"
    r"|wie ?viele?|wie (lange|oft|hoch|groß|teuer)|wann|preise?|kostet|kosten)\b",
    re.IGNORECASE,
)
_REFERS_BACK = re.compile(
    r"(this|these|that|those|it|its|they|their|he|she|such|dies\w*|es|sie|er|ihr\w*|sein\w*)\b",
    re.IGNORECASE,
)
_LONGEST_LIST = 6
_MOST_WORDS = 40
"""Words of a question that are looked at, so that a pasted page does not hold up the loop."""
_DEFINITION = re.compile(r"\s*(what (is|are|does)|was (ist|sind|bedeutet|heißt))\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a passage."""

    n: int
    """Number of the passage."""
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class _Candidate:
    index: int
    quote: Quote
    matches: Mapping[str, float]
    """Closeness of each word of the question to the sentence and, reduced, its context."""
    value: float
    """Weight that these make up."""
    direct: float
    """Weight that the sentence itself matches."""
    score: float


def answer_sentences(
    question: str, passages: Sequence[NumberedPassage], *, limit: int = 3
) -> list[Quote]:
    """The sentences that answer a question, best passage first; none where nothing does.

    They are at most ``limit``, where a sentence that leads into a list counts with its list.
    """
    # Without a set: its order differs between processes, and the cap must keep the same words.
    asked = list(dict.fromkeys(topic_words(question)))[:_MOST_WORDS]
    quotes = [
        Quote(passage.n, sentence)
        for passage in passages
        for sentence in split_sentences(passage.text)
        # A heading answers nothing; it counts as the context of the sentences below it.
        if sentence.kind != "heading"
    ]
    if not asked or not quotes:
        return []
    weights = _weights(asked, [set(words(_with_table_head(quote.sentence))) for quote in quotes])
    total = sum(weights.values())
    candidates = [_candidate(question, quotes, index, weights) for index in range(len(quotes))]
    best = max(candidates, key=lambda one: one.score)
    # Its own words have to match too: below a fitting heading every sentence would be an answer.
    if best.direct < ENOUGH_DIRECT * total or best.value < ENOUGH_ALONE * total:
        return []
    chosen = _extended(best, candidates, weights, limit)
    if _value(_union(chosen), weights) < ENOUGH * total:
        return []
    return _in_order(_with_neighbours(chosen, quotes, limit), quotes)


def quoted_lines(question: str, passages: Sequence[NumberedPassage]) -> list[str]:
    """An answer made of quotes: a line for each sentence, with the number of its passage.

    White space is one space, and a number in square brackets that the document itself has becomes
    ``[...]``, because it would read as one of ours. A table's row comes after its table's head.
    """
    lines: list[str] = []
    for quote in answer_sentences(question, passages):
        head = quote.sentence.table_head
        for text in ([head] if head else []) + [quote.sentence.text]:
            line = f"{_shown(text)} [{quote.n}]"
            if line not in lines:
                lines.append(line)
    return lines


def rank_by_support(claim: str, texts: Sequence[str]) -> list[int]:
    """Places of the texts, the one that supports a claim best first."""
    claimed = set(topic_words(claim)) or set(words(claim))
    found = [set(topic_words(text)) or set(words(text)) for text in texts]
    weights = _weights(claimed, found)

    def support(index: int) -> float:
        present = found[index]
        hit = _value({word: max_closeness(word, present) for word in claimed}, weights)
        extra = sum(1 for word in present if not max_closeness(word, claimed))
        # Of two sentences with the claim's words, the one that says less besides is the better
        # quote.
        return hit - 0.1 * extra if hit else -math.inf

    return sorted(range(len(texts)), key=support, reverse=True)


def _shown(text: str) -> str:
    return replace_citations(" ".join(text.split()), lambda mark, _: f"{mark['space']}[...]")


def _weights(asked: Iterable[str], sentences: Sequence[set[str]]) -> dict[str, float]:
    """Weight of each word, by the share of sentences that have it."""
    weights = {}
    for word in asked:
        frequency = sum(1 for present in sentences if max_closeness(word, present))
        # The half keeps the logarithm finite for a word that no sentence has.
        weight = math.log((len(sentences) + 1) / (frequency + 0.5))
        weights[word] = min(_RARE if frequency else _MISSING, max(1.0, weight))
    return weights


def _with_table_head(sentence: Sentence) -> str:
    """What a sentence says; a table's row means nothing without its head."""
    return f"{sentence.table_head}\n{sentence.text}"


def _candidate(
    question: str, quotes: Sequence[Quote], index: int, weights: Mapping[str, float]
) -> _Candidate:
    sentence = quotes[index].sentence
    present, around = set(words(_with_table_head(sentence))), set(words(sentence.context))
    before = _before(quotes, index)
    if before is not None:
        around.update(words(before.sentence.text))
    own = {word: max_closeness(word, present) for word in weights}
    matches = {word: max(own[word], _CONTEXT * max_closeness(word, around)) for word in weights}
    value, direct = _value(matches, weights), _value(own, weights)
    score = value + 0.5 * direct + _bonus(question, quotes, index, weights)
    if {detect_language(question), detect_language(sentence.text)} == {"en", "de"}:
        score *= _FOREIGN
    return _Candidate(index, quotes[index], matches, value, direct, score)


def _bonus(
    question: str, quotes: Sequence[Quote], index: int, weights: Mapping[str, float]
) -> float:
    """What speaks for a sentence beside the words it shares with the question."""
    quote, spoken = quotes[index], words(quotes[index].sentence.text)
    text = quote.sentence.text
    # The passages come best first. A long sentence shares words by chance; one of a word or two is
    # a fragment.
    bonus = -0.01 * quote.n - 0.004 * max(0, len(spoken) - 30) - 0.08 * max(0, 4 - len(spoken))
    leads_nowhere = text.endswith(":") and not _list_below(quotes, index)
    if quote.sentence.kind == "code" or text.endswith("?") or leads_nowhere:
        bonus -= 0.5
    if _QUANTITY.search(question) and any(letter.isdigit() for letter in text):
        bonus += 0.4
    if any(max_closeness(word, spoken[:4]) for word in weights):
        bonus += 0.3 if _DEFINITION.match(question) else 0.1
    return bonus


def _before(quotes: Sequence[Quote], index: int) -> Quote | None:
    """The sentence that this one refers back to, where it begins with such a word."""
    this, before = quotes[index], quotes[index - 1] if index else None
    # Under another heading the word refers to something else.
    if before is None or before.n != this.n or before.sentence.context != this.sentence.context:
        return None
    return before if _REFERS_BACK.match(this.sentence.text) else None


def _list_below(quotes: Sequence[Quote], index: int) -> list[int]:
    """The first sentences of the list that a sentence leads into."""
    this = quotes[index]
    below = range(index + 1, min(len(quotes), index + 1 + _LONGEST_LIST))
    return list(
        takewhile(
            lambda at: (
                quotes[at].n == this.n
                and quotes[at].sentence.kind == "bullet"
                and quotes[at].sentence.context.endswith(this.sentence.text)
            ),
            below if this.sentence.text.endswith(":") else (),
        )
    )


def _value(matches: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum(weights[word] * match for word, match in matches.items())


def _union(chosen: Sequence[_Candidate]) -> dict[str, float]:
    return {word: max(one.matches[word] for one in chosen) for word in chosen[0].matches}


def _extended(
    best: _Candidate,
    candidates: Sequence[_Candidate],
    weights: Mapping[str, float],
    limit: int,
) -> list[_Candidate]:
    """The best, and what covers more of the question or answers it about as well."""
    total, chosen, shown = sum(weights.values()), [best], {_plain(best)}
    for one in sorted(candidates, key=lambda one: -one.score):
        if len(chosen) == limit:
            break
        gain = _value(_union([*chosen, one]), weights) - _value(_union(chosen), weights)
        adds = gain >= _NEW * total and one.direct >= ENOUGH_DIRECT * total
        # Documents repeat themselves: the same words again would use up the limit.
        if _plain(one) not in shown and (adds or one.score >= _EQUAL * best.score):
            chosen.append(one)
            shown.add(_plain(one))
    return chosen


def _plain(candidate: _Candidate) -> str:
    return " ".join(words(candidate.quote.sentence.text))


def _with_neighbours(
    chosen: Sequence[_Candidate], quotes: Sequence[Quote], limit: int
) -> list[int]:
    """Places of the chosen sentences, of those they refer back to, and of their lists."""
    places: list[int] = []
    lists: list[int] = []
    for one in chosen:
        before = [one.index - 1] if _before(quotes, one.index) else []
        new = [at for at in [*before, one.index] if at not in places]
        # A sentence and the one that it refers back to come together or not at all.
        if len(places) + len(new) > limit:
            break
        places += new
        lists += _list_below(quotes, one.index)
    return list(dict.fromkeys([*places, *lists]))


def _in_order(places: Sequence[int], quotes: Sequence[Quote]) -> list[Quote]:
    """The best sentence's passage first, then each passage's sentences as they stand there."""
    passages = list(dict.fromkeys(quotes[at].n for at in places))
    return [quotes[at] for at in sorted(places, key=lambda at: (passages.index(quotes[at].n), at))]
