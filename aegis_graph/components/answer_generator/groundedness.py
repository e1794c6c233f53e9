"""Tells an answer that no passage bears out, by what the question asks for.

A small model answers what the passages do not say from a number nearby: the price where a weight
is asked for, one version's limit for another's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set

from aegis_graph.components.answer_generator.citations import CheckedAnswer
from aegis_graph.components.answer_generator.wording import (
    bare_claim,
    whole_text,
    without_known,
    without_source,
)
from aegis_graph.components.answer_generator.yes_or_no import begins_with_yes_or_no, is_yes_or_no
from aegis_graph.text.amounts import agree, amounts, without_amounts
from aegis_graph.text.passages import Passage
from aegis_graph.text.subjects import is_said_of_another
from aegis_graph.text.support import is_negative
from aegis_graph.text.words import (
    STOP_WORDS,
    detect_language,
    max_closeness,
    topic_words,
    words,
)

MADE_UP = 2
"""Words of the question that no passage has, and the answer repeats: one alone may be another word
for what is there."""

RELATED = 1 / 3
"""Share of what a sentence adds to the question that the passages must have: a model rewords most
of what it read, but not all of it."""

_COUNTED = re.compile(
    r"\b(?:how (?:many|much)\s+|wie ?viele?\s+(?-i:(?=[A-Z\u00c4\u00d6\u00dc])))"
    r"(?P<thing>(?!euros?\b|dollars?\b|percent|prozent)\w+)",
    re.IGNORECASE,
)
"""What is counted. Passages that do not name it have no number of it; money has other names."""
_WHICH = re.compile(r"\bwhich\s+(?P<thing>\w+)", re.IGNORECASE)
_NAME = re.compile(r"\b(?:[^\W\d_a-z\u00df-\u00ff]\w*|\w*\d\w*)")
_NAMES = re.compile(rf"{_NAME.pattern}(?: {_NAME.pattern})*")
_LOWER = re.compile(r"\b[a-z\u00df-\u00ff]\w*")
_NUMBERED = re.compile(r"\b(?P<thing>[^\W\d_]{3,})\s+(?P<number>\d+(?:\.\d+)*)(?![\w%\u20ac$])")
"""One of several of a kind by its number, such as ``version 2``."""
_CODE = re.compile(r"(?<![\w.,])(?:\d+(?:\.\d+)+|[^\W\d_]+\d+)(?![\w%])")
"""A number of a release, or a name with one: ``3.7``, ``E24``."""
_MASS = frozenset(("g", "kg"))
_COUNT = re.compile(r"(?<![\w.,])(?P<number>\d+(?:[.,]\d+)*)\s+(?P<thing>[^\W\d_]+)")
_WEIGHT = re.compile(
    r"(?:kilo|milli)?gramm?s?|m?g|kilos?|kg|t|ton(?:ne)?[ns]?|lbs?|pounds?|oz|ounces?|stone|pfund"
    r"|zentner|carats?|karat",
    re.IGNORECASE,
)
_MONEY = frozenset(("usd", "eur", "gbp", "jpy", "chf", "cent"))
_EXTENT = frozenset(["ms", "s", "min", "h", "d", "wk", "mo", "y", "mm", "cm", "m", "km"])
_MEASURES = (
    (
        r"\bhow heavy|\b(?:how much|what) do(?:es)?\b.*\bweigh"
        r"|\bwie (?:schwer|viel wieg)|\bwas wieg",
        _MASS,
    ),
    (
        r"\b(?:how much|what) (?:do|does|did|is|was)\b.*\b(?:cost|price|fee|rent)\b"
        r"|\b(?:was|wie ?viel) koste|\bwie hoch (?:ist|sind|war) (?:die|der|das) \w*"
        r"(?:miete|preis|geb\u00fchr|kosten|kaution)\b",
        _MONEY,
    ),
    (r"\bhow long\b|\bwie lange?\b", _EXTENT),
)
"""What a question asks a measure of, and the units that measure it."""


def is_borne_out(question: str, answer: CheckedAnswer, passages: Sequence[Passage]) -> bool:
    """Whether any sentence could come from the passages; of a yes or a no, rules cannot tell.

    Args:
        question: What was asked.
        answer: As its citations were checked.
        passages: What the model was given, in the order of their numbers.
    """
    bare = [without_source(bare_claim(one, len(passages))) for one in answer.sentences]
    claims = [claim for claim in bare if words(claim)]
    if len(claims) == 1 and is_yes_or_no(claims[0]):
        return True
    texts = [whole_text(one) for one in passages]
    there = {word for text in texts for word in words(text)}
    # What is asked, and the passages do not speak of: an answer that says it makes it up.
    missing = [word for word in topic_words(question) if not max_closeness(word, there)]
    has_thing = not _is_of_something_else(question, set(missing))
    known = "\n".join([question, *texts])
    return any(
        agree(claim, known)
        and (
            (
                has_thing
                and _repeated(missing, claim) < MADE_UP
                and _share(without_known(set(words(question)), claim), there) >= RELATED
            )
            or any(_has_amounts_in_another_language(question, claim, one) for one in texts)
        )
        and _is_of_the_kind(question, claim, set(missing), "\n".join(texts))
        and _is_of_the_number(question, claim, texts)
        and not any(is_said_of_another(claim, one) for one in texts)
        for claim in claims
    )


def _has_amounts_in_another_language(question: str, claim: str, text: str) -> bool:
    """Whether a claim adds amounts of a text whose words are none of the question's."""
    languages = {detect_language(question), detect_language(text)}
    added = set(amounts(claim)) - set(amounts(question))
    return languages == {"en", "de"} and bool(added) and agree(claim, f"{question}\n{text}")


def _repeated(missing: Sequence[str], claim: str) -> int:
    # What is denied or confirmed is said again.
    if begins_with_yes_or_no(claim):
        return 0
    said = words(claim)
    return sum(1 for one in missing if max_closeness(one, said))


def _is_of_something_else(question: str, missing: Set[str]) -> bool:
    """Whether passages lack the thing that is counted, or the release that is asked about."""
    if (counted := _COUNTED.search(question)) and set(words(counted["thing"])) & missing:
        return True
    return any(set(words(code[0])) <= missing for code in _codes(question))


def _codes(question: str) -> Iterator[re.Match[str]]:
    # A number with a unit is an amount, and no name.
    measured = {value for value, unit in amounts(question) if unit}
    return (one for one in _CODE.finditer(question) if one[0] not in measured)


def _is_of_the_kind(question: str, claim: str, missing: Set[str], text: str) -> bool:
    """Whether a claim has a measure of the kind that is asked for, or a name where one is."""
    asked = set(amounts(question))
    units = {unit for value, unit in amounts(claim) if unit and (value, unit) not in asked}
    for pattern, measures in _MEASURES:
        if re.search(pattern, question, re.IGNORECASE):
            if not units and measures is _MASS:
                return not _counts_things(question, claim)
            return not units or bool(units & measures)
    which = _WHICH.search(question)
    if which is None or not set(words(which["thing"])) & missing:
        return True
    # A sentence begins in capitals as well, but a name is nowhere written without.
    common = {word for found in _LOWER.findall(text) for word in words(found)}
    # What stands beside a name of the question is more of the same name.
    known = {word for found in _NAME.findall(question) for word in words(found)} - STOP_WORDS
    rest = _NAMES.sub(lambda run: "" if known & set(words(run[0])) else run[0], claim)
    named = _NAME.findall(without_known(set(words(question)), rest))
    return any(not max_closeness(word, common) for one in named for word in words(one))


def _counts_things(question: str, claim: str) -> bool:
    """Whether a claim adds a number of something, which weighs nothing: "24 bottles"."""
    return any(
        found["number"] not in question
        and found["thing"].casefold() not in STOP_WORDS
        and not _WEIGHT.fullmatch(found["thing"])
        for found in _COUNT.finditer(claim)
    )


def _is_of_the_number(question: str, claim: str, texts: Sequence[str]) -> bool:
    """Whether a claim is about the thing of that number, and not about another of its kind."""
    new = set(amounts(claim)) - set(amounts(question))
    telling = [text for text in texts if new and agree(claim, f"{question}\n{text}")]
    for asked in _NUMBERED.finditer(question):
        if asked["thing"].casefold() in STOP_WORDS:
            continue
        other = re.compile(rf"\b{re.escape(asked['thing'])}\s+\d", re.IGNORECASE)
        # A number with a point stands for itself, as in the heading of a release.
        before = "" if "." in asked["number"] else rf"{re.escape(asked['thing'])}\s+"
        number = re.escape(asked["number"])
        has = re.compile(rf"(?<![\w.]){before}{number}(?![\w.]*\d)", re.IGNORECASE)
        if any(map(other.search, telling)) and not any(map(has.search, telling)):
            return False
    return True


def _share(claim: str, there: Set[str]) -> float:
    """Share of a claim's words that the passages have; 1 where numbers are all that is left."""
    # A unit goes with its number, and what says no with the question that it denies.
    rest = topic_words(without_amounts(claim))
    said = [word for word in rest if word.isalpha() and not is_negative(word)]
    return sum(1 for word in said if max_closeness(word, there)) / len(said) if said else 1.0
