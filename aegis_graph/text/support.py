"""Whether a text supports a claim, by rule: words, numbers, of what it is said, yes or no.

It is a comparison of words, which errs on the careful side: a paraphrase in other words counts as
unsupported. It judges the whole sentences around what it finds, so that no quote cuts a "not" off.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Literal, NamedTuple

from aegis_graph.text.amounts import agree, amounts, without_amounts
from aegis_graph.text.moments import in_one_spelling
from aegis_graph.text.negation import judged_language, no_words, says_no
from aegis_graph.text.opposites import are_opposed, are_opposite_words
from aegis_graph.text.scripts import is_unspaced
from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.subjects import is_said_of_another
from aegis_graph.text.words import (
    closeness,
    detect_language,
    folded,
    max_closeness,
    maybe_related,
    topic_words,
    words,
)

Verdict = Literal["supported", "words", "numbers", "subject", "negation", "language"]
"""``supported``, or what the text lacks: the claim's words, one of its numbers with its sign and
unit, its yes or no. ``subject``: the text says it of another name. ``language``: the words match,
and the language's words for no are not known, so that only a whole sentence, word for word, is
``supported``."""

ENOUGH = 0.8
"""Share of a claim's words that a quote must have, in any form: three of four are too few."""

LONGEST_QUOTE = 3
"""Sentences of a quote, at most."""

_RARE, _MISSING = 2.5, 2.75
"""Weights of a word that hardly any text has, and of one that none has; a common one has 1.

One rare word that is there does not make up for one that is missing.
"""

_CLAUSE = re.compile(
    r";\s+|[,\u2014\u2013]\s+(?:and|but|yet|while|whereas|und|aber|sondern|jedoch|w\u00e4hrend)\s+"
    r"(?!(?:that|whether|if|dass|ob|wenn)\b)",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"(?<=unless)\b|(?<=except when)\b|(?<=except if)\b|(?<=es sei denn)\b|(?<=au\u00dfer wenn)\b",
    re.I,
)
_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+")


class Evidence(NamedTuple):
    """A piece of a text, and whether it supports a claim."""

    start: int
    end: int
    verdict: Verdict


def judge(claim: str, text: str) -> Verdict:
    """Whether a text as a whole supports a claim.

    Example:
        >>> judge("The limit is 10 USD.", "A limit of 10 USD holds.")
        'supported'
        >>> judge("The limit is not hard.", "The limit is hard.")
        'negation'
    """
    # A text says what it says, in whichever of its clauses.
    if claim == text and words(claim):
        return "supported"
    claim, text = in_one_spelling(claim, text)
    if shared_words(claim, text) < ENOUGH:
        return "words"
    if not agree(claim, text):
        return "numbers"
    if is_said_of_another(claim, text):
        return "subject"
    if are_opposed(claim, text):
        return "negation"
    language = judged_language(f"{claim}\n{text}")
    if language is None:
        return "supported" if _same_words(claim, text) else "language"
    denies = says_no(claim, language)
    # Where the whole text does not say no, none of its clauses does.
    said = says_no(text, language) and says_no(_clause_of(claim, text), language)
    return "supported" if said == denies else "negation"


def word_for_word(claim: str, text: str) -> Evidence | None:
    """The sentences of a text that have all words of a claim, one behind the other.

    Only as whole words, and only where the sentences around them support the claim.
    """
    return next((one for one in _around(claim, text) if one.verdict == "supported"), None)


def shared_words(claim: str, text: str) -> float:
    """Share of a claim's words that a text has in some form; 1 where it has numbers and no word.

    Numbers and what says no are judged by themselves.
    """
    # Both are judged on their own, so that a missing number is not hidden among matching words.
    language = judged_language(claim)
    plain = without_amounts(claim)
    plain = no_words(language).sub(" ", plain) if language else plain
    topics = set(topic_words(plain))
    if not topics and amounts(claim):
        return 1.0
    return _share(topics or set(words(claim)), text)


def relevance(question: str, text: str) -> float:
    """Share of a question's words and numbers that a text has in some form.

    1 where words cannot tell: the question has none that carries a topic, or the text is in
    another language.
    """
    asked = set(topic_words(no_words("en").sub(" ", question)))
    if not asked or {detect_language(question), detect_language(text)} == {"en", "de"}:
        return 1.0
    present = set(words(text))
    found = sum(1 for word in asked if max_closeness(word, present))
    return found / len(asked)


def rank_by_support(claim: str, texts: Sequence[str]) -> list[int]:
    """Places of the texts, the one that supports a claim best first.

    Words are weighed by how rare they are among the texts.
    """
    claimed = set(topic_words(claim)) or set(words(claim))
    found = [set(topic_words(text)) or set(words(text)) for text in texts]
    weights = _weights(claimed, found)

    def support(index: int) -> float:
        present = found[index]
        hit = sum(weights[word] * max_closeness(word, present) for word in claimed)
        if not hit:
            return -math.inf
        # Of two sentences with the claim's words, the one that says less besides is the better
        # quote.
        return hit - 0.1 * sum(1 for word in present if not max_closeness(word, claimed))

    return sorted(range(len(texts)), key=support, reverse=True)


def best_evidence(claim: str, text: str) -> Evidence:
    """The piece of a text that supports a claim best: the fewest sentences that do.

    Where none does, it is the sentence that shares most with the claim, and the verdict says what
    it lacks. ``text[quote.start:quote.end]`` is the quote; it is empty only if the text is.
    """
    if (same := word_for_word(claim, text)) is not None:
        return same
    sentences = split_sentences(text)
    # A text may hold nothing but headings.
    pool = [one for one in sentences if one.kind != "heading"] or sentences
    if not pool:
        start = len(text) - len(text.lstrip())
        end = max(start, len(text.rstrip()))
        return Evidence(start, end, judge(claim, text[start:end]))
    best = rank_by_support(claim, [one.text for one in pool])[0]
    spans = [(one.start, one.start + len(one.text)) for one in pool]
    first, last = max(0, best - LONGEST_QUOTE + 1), min(len(spans), best + LONGEST_QUOTE) - 1
    if _may_support(claim, text[spans[first][0] : spans[last][1]]):
        for start, end in _quotes_around(best, spans):
            if judge(claim, text[start:end]) == "supported":
                return Evidence(start, end, "supported")
    start, end = spans[best]
    return Evidence(start, end, judge(claim, text[start:end]))


def is_supported(claim: str, text: str) -> bool:
    """Whether ``best_evidence`` finds a piece of a text that supports a claim, said sooner."""
    return _may_support(claim, text) and best_evidence(claim, text).verdict == "supported"


def _may_support(claim: str, text: str) -> bool:
    """Whether any piece of a text may support a claim: what all of it lacks, no piece has."""
    lacking = ("words", "numbers", "subject")
    return claim in text or judge(claim, text) not in lacking


def _quotes_around(best: int, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The runs of sentences with the best one among them, the short ones first."""
    for size in range(1, LONGEST_QUOTE + 1):
        for first in range(max(0, best - size + 1), min(best, len(spans) - size) + 1):
            yield spans[first][0], spans[first + size - 1][1]


def is_negative(text: str) -> bool:
    """Whether a text in English or German says no.

    Example:
        >>> is_negative("It is not hard."), is_negative("It is hard.")
        (True, False)
    """
    return says_no(text, "en")


def _weights(asked: Iterable[str], sentences: Sequence[set[str]]) -> dict[str, float]:
    """Weight of each word, by the share of sentences that have it."""
    weights = {}
    for word in asked:
        frequency = sum(1 for present in sentences if max_closeness(word, present))
        # The half keeps the logarithm finite for a word that no sentence has.
        weight = math.log((len(sentences) + 1) / (frequency + 0.5))
        weights[word] = min(_RARE if frequency else _MISSING, max(1.0, weight))
    return weights


def _around(claim: str, text: str) -> Iterator[Evidence]:
    """Each place with the claim's words, as the sentences that it lies in, judged."""
    wanted = [word for word, _, _ in _tokens(claim)]
    tokens = _tokens(text)
    found = [word for word, _, _ in tokens]
    if not wanted or " ".join(wanted) not in " ".join(found):
        return
    spans = [(one.start, one.start + len(one.text)) for one in split_sentences(text)]
    for at in range(len(found) - len(wanted) + 1):
        if found[at] != wanted[0] or found[at : at + len(wanted)] != wanted:
            continue
        first, last = tokens[at][1], tokens[at + len(wanted) - 1][2]
        within = [span for span in spans if span[0] < last and first < span[1]]
        # A table's head is no sentence.
        start = min([span[0] for span in within], default=first)
        end = max([span[1] for span in within], default=last)
        yield Evidence(start, end, judge(claim, text[start:end]))


def _tokens(text: str) -> list[tuple[str, int, int]]:
    """The words of a text with their places; of scripts without spaces, the characters."""
    if text.isascii():
        return [(match[0], *match.span()) for match in _TOKEN.finditer(folded(text))]
    tokens: list[tuple[str, int, int]] = []
    for match in _TOKEN.finditer(text):
        if _is_unspaced(match[0]):
            tokens += (
                (char, match.start() + n, match.start() + n + 1) for n, char in enumerate(match[0])
            )
        else:
            tokens += ((word, *match.span()) for word in words(match[0])[:1])
    return tokens


def _same_words(claim: str, text: str) -> bool:
    """Whether a claim is a whole sentence of a text, or all of it."""
    wanted = [word for word, _, _ in _tokens(claim)]
    pieces = [one.text for one in split_sentences(text)]
    return any([word for word, _, _ in _tokens(one)] == wanted for one in (text, *pieces))


def _clause_of(claim: str, text: str) -> str:
    """The clause that has all of a claim; the text where several have it together."""
    # What a condition says itself, it does not deny: "unless Ada gives notice".
    denied, *conditions = _CONDITION.split(text)
    clauses = [one for one in (*_CLAUSE.split(denied), *conditions) if one]
    whole = [one for one in clauses if shared_words(claim, one) == 1 and agree(claim, one)]
    return whole[0] if len(whole) == 1 else text


def _share(wanted: Set[str], text: str) -> float:
    present = {one for word in words(text) for one in _units(word)}
    wanted = {one for word in wanted for one in _units(word)}
    found = sum(1 for word in wanted if _is_among(word, present))
    return found / len(wanted) if wanted else 0.0


def _units(word: str) -> Iterable[str]:
    """A word; of a script without spaces, where a whole clause reads as one, its characters."""
    return word if _is_unspaced(word) else (word,)


def _is_unspaced(word: str) -> bool:
    return not word.isascii() and any(map(is_unspaced, word))


def _is_among(word: str, others: Set[str]) -> bool:
    """Whether a word is there in some form that is not its opposite."""
    return word in others or any(
        closeness(word, other) and not are_opposite_words(word, other)
        for other in maybe_related(word, others)
    )
