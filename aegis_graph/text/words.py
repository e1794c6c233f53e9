"""Words of English and German text, and how close two of them are. No dictionaries, no stemmer."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

Language = Literal["en", "de"]
"""The languages that the package reads and answers in. Each has its prompts and stop words."""

LANGUAGES: tuple[Language, ...] = get_args(Language)

_GERMAN_LETTER = re.compile("[äöüß]", re.IGNORECASE)
# A number keeps the marks inside it: `1,000` and `0.5` are one word each.
_WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+")

_ENGLISH = """
a about also am an and any are as at be been being between but by can could did do does doing done
for from get gets give given had has have having he her here him his how i if in into is it its
itself just know let like may me might mine much must my no nor not of on once one or our out
please shall she should so some such tell than that the their them then there these they this
those to too us very was we were what when where which while who whom whose why will with would
you your explain describe happen happens mean means many long often high per go goes going
difference different compare last lasts take takes
"""
_GERMAN = """
ab aber alle allem allen aller alles als am an auch auf aus bei beim bin bis bist da damit dann
das dass dein dem den denn der des dessen die dies diese diesem diesen dieser dieses doch dort
du durch ein eine einem einen einer eines er es etwa euch für ganz gibt hab habe haben hat hatte
ich ihm ihn ihr ihre ihren im in ist ja je jede jedem jeden jeder jedes kann kannst kein keine
keinen können könnte lange man mehr mein mich mir mit muss müssen nach nicht noch nun nur ob
oder ohne sehr sein seine sich sie sind so soll sollen sollte um und uns unser viel viele vom
von vor wann war waren warum was welche welchem welchen welcher welches wem wen wenn wer werde
werden wie wieso wieviel will wir wird wo woher wozu wurde zu zum zur zwischen über bitte
bedeutet erkläre heißt passiert geschieht oft hoch teuer groß pro wohin geht unterschied
unterschiede vergleiche dauert dauern
"""

_FOLDED = str.maketrans("yäöü", "iaou")
"""Letters that change between forms of one word: policy, policies; Vorschlag, Vorschläge."""


def words(text: str) -> list[str]:
    """The words and numbers of a text for comparison: case-folded, without ligatures, in order."""
    return _WORD.findall(folded(text))


def folded(text: str) -> str:
    """A text for comparison; one in ASCII keeps the places of its letters."""
    # Composed first: the table folds an umlaut that is one character, and not a letter and its
    # dots.
    return unicodedata.normalize("NFKC", text).casefold().translate(_FOLDED)


_STOP_WORDS_OF: Mapping[Language, frozenset[str]] = {
    # Folded as the texts are, or a stop word with an umlaut would match none of them.
    "en": frozenset(words(_ENGLISH)),
    "de": frozenset(words(_GERMAN)),
}
STOP_WORDS: frozenset[str] = frozenset().union(*_STOP_WORDS_OF.values())
"""Words that carry no topic. A question made of nothing else asks for nothing."""

INFLECTED = 0.75
"""Closeness of two forms of one word, or of a compound and a part of it."""

_ENDINGS = frozenset(("", "s", "es", "ed", "d", "ing", "er", "e", "en", "n", "em", "t", "et", "te"))


def detect_language(text: str) -> Language | None:
    """``en`` or ``de``, where the small words of a text tell."""
    spoken = words(text)
    english, german = (sum(map(_STOP_WORDS_OF[name].__contains__, spoken)) for name in ("en", "de"))
    # A name, like that of a model, has no small words in either language.
    if english == german:
        return None
    return "en" if english > german else "de"


def language_of(text: str) -> Language:
    """The language to answer a text in: its small words tell, else its letters, else English.

    Example:
        >>> language_of("Was kostet ein Aufruf?"), language_of("What is a hold?")
        ('de', 'en')
    """
    return detect_language(text) or ("de" if _GERMAN_LETTER.search(text) else "en")


def topic_words(text: str) -> list[str]:
    """The words that say what a text is about: no stop words, no single letters."""
    return [
        word
        for word in words(text)
        if word not in STOP_WORDS and (len(word) > 1 or not word.isalpha())
    ]


def closeness(one: str, other: str) -> float:
    """How close two words are: 1.0 for the same, ``INFLECTED`` for related forms, else 0.0.

    Related are forms that differ in a short ending (``limit``, ``limits``; ``Anbieter``,
    ``Anbietern``; ``settle``, ``settlement``) and a compound with a long part of it
    (``Monatsbudget``, ``Budget``). It is a comparison of letters, so it errs now and then.

    Example:
        >>> closeness("limit", "limits"), closeness("limit", "lime")
        (0.75, 0.0)
    """
    if one == other:
        return 1.0
    short, long = (one, other) if len(one) <= len(other) else (other, one)
    # Most pairs of words are as different as this.
    if one[:3] != other[:3] and not long.endswith(short):
        return 0.0
    # Numbers have no forms, and two letters are too few to compare.
    if len(short) < 3 or not (short.isalpha() and long.isalpha()):
        return 0.0
    shared = _shared_start(short, long)
    endings = short[shared:], long[shared:]
    longest = len(endings[1])
    related = (
        (shared >= 3 and endings[0] in _ENDINGS and endings[1] in _ENDINGS)
        or (shared >= 5 and longest <= 2)
        # A long common start allows a long ending (`settle`, `settlement`), but not `international`
        # for `internal`.
        or (shared >= 6 and (longest <= 5 or not endings[0]))
        or (len(short) >= 5 and long.endswith(short))
    )
    return INFLECTED if related else 0.0


def max_closeness(word: str, others: Iterable[str]) -> float:
    """How close a word is to the closest of others."""
    return max((closeness(word, other) for other in maybe_related(word, others)), default=0.0)


def maybe_related(word: str, others: Iterable[str]) -> list[str]:
    """Those of others that may be close to a word; any that is left out is not.

    Example:
        >>> maybe_related("limit", ["limits", "lime", "time", "sublimit"])
        ['limits', 'lime', 'sublimit']
    """
    start = word[:3]
    return [one for one in others if one[:3] == start or word in one or one in word]


def _shared_start(short: str, long: str) -> int:
    for index, letter in enumerate(short):
        if letter != long[index]:
            return index
    return len(short)
