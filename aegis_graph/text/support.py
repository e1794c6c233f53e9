"""Whether a text supports a claim, by rule: its words, its numbers, and whether it says no.

It is a comparison of words, which errs on the careful side: a paraphrase in other words counts as
unsupported.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Literal, NamedTuple

from aegis_graph.text.quotes import rank_by_support
from aegis_graph.text.sentences import split_sentences
from aegis_graph.text.words import detect_language, max_closeness, topic_words, words

Verdict = Literal["supported", "words", "numbers", "negation"]
"""``supported``, or what the text lacks: the claim's words, one of its numbers, its yes or no."""

ENOUGH = 0.8
"""Share of a claim's words that a quote must have, in any form: three of four are too few."""

LONGEST_QUOTE = 3
"""Sentences of a quote, at most."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_AMOUNT = re.compile(rf"(?<![^\W_]){_NUMBER.pattern}")
"""A number by itself, or with a unit behind it; in ``RFC7519`` it is a part of the name."""
_GROUPED = re.compile(r"\d{1,3}(?:\.\d{3})+")
_NOT = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot|\w+n['\u2019]t"
    r"|nicht|nie|niemals|niemand|nichts|kein\w*|weder|ohne)\b",
    re.IGNORECASE,
)


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
        >>> judge("The limit is 20 USD.", "A limit of 10 USD holds.")
        'numbers'
        >>> judge("The limit is not hard.", "The limit is hard.")
        'negation'
    """
    if shared_words(claim, text) < ENOUGH:
        return "words"
    if not _numbers(claim) <= _numbers(text):
        return "numbers"
    if is_negative(claim) != is_negative(text):
        return "negation"
    return "supported"


def shared_words(claim: str, text: str) -> float:
    """Share of a claim's words that a text has in some form; 0 where the claim has no word.

    Numbers and what says no are judged by themselves.
    """
    # Both are judged on their own, so that a missing number is not hidden among matching words.
    plain = _NOT.sub(" ", _AMOUNT.sub(" ", claim))
    return _share(set(topic_words(plain)) or set(words(claim)), text)


def relevance(question: str, text: str) -> float:
    """Share of a question's words and numbers that a text has in some form.

    1 where words cannot tell: the question has none that carries a topic, or the text is in
    another language.
    """
    asked = set(topic_words(_NOT.sub(" ", question)))
    if not asked or {detect_language(question), detect_language(text)} == {"en", "de"}:
        return 1.0
    return _share(asked, text)


def best_evidence(claim: str, text: str) -> Evidence:
    """The piece of a text that supports a claim best: the fewest sentences that do.

    Where none does, it is the sentence that shares most with the claim, and the verdict says what
    it lacks. ``text[quote.start:quote.end]`` is the quote; it is empty only if the text is.
    """
    # Word for word needs no judgement, and may be less than a sentence.
    at = text.find(claim) if claim else -1
    if at >= 0:
        return Evidence(at, at + len(claim), "supported")
    sentences = split_sentences(text)
    # A text may hold nothing but headings.
    pool = [one for one in sentences if one.kind != "heading"] or sentences
    if not pool:
        return Evidence(*_trimmed(text), "words")
    best, *_ = rank_by_support(claim, [one.text for one in pool])
    spans = [(one.start, one.start + len(one.text)) for one in pool]
    # Short spans first: the first that supports the claim is the shortest.
    for size in range(1, LONGEST_QUOTE + 1):
        for first in range(max(0, best - size + 1), min(best, len(spans) - size) + 1):
            start, end = spans[first][0], spans[first + size - 1][1]
            if judge(claim, text[start:end]) == "supported":
                return Evidence(start, end, "supported")
    start, end = spans[best]
    return Evidence(start, end, judge(claim, text[start:end]))


def is_negative(text: str) -> bool:
    """Whether a text says no.

    Example:
        >>> is_negative("It is not hard."), is_negative("It is hard.")
        (True, False)
    """
    return _NOT.search(text) is not None


def _share(wanted: Set[str], text: str) -> float:
    present = set(words(text))
    found = sum(1 for word in wanted if max_closeness(word, present))
    return found / len(wanted) if wanted else 0.0


def _numbers(text: str) -> set[str]:
    """The numbers of a text, in one spelling: 1,000 and 1.000 are 1000, and 0,5 is 0.5."""
    found = (number.replace(",", ".") for number in _NUMBER.findall(text))
    return {number.replace(".", "") if _GROUPED.fullmatch(number) else number for number in found}


def _trimmed(text: str) -> tuple[int, int]:
    start = len(text) - len(text.lstrip())
    return start, max(start, len(text.rstrip()))
