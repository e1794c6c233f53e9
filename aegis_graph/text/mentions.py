"""Where a name or a quotation stands in a text, whatever a model did to its spaces and quotes.

Matching is by pattern and not by distance: it is linear, and what it finds says the same words in
the same order as what was looked for.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from aegis_graph.text.scripts import is_unspaced

Stretch = tuple[int, int]
"""Begin and end of a piece of a text, in characters."""

_LOOK_ALIKE = (
    "'\u2018\u2019\u201a\u2032`\u00b4",
    '"\u201c\u201d\u201e\u00ab\u00bb',
    "-\u2010\u2011\u2012\u2013\u2014\u2212",
)
_CLASS = {char: f"[{re.escape(alike)}]" for alike in _LOOK_ALIKE for char in alike}
_FOLD = {ord(char): alike[0] for alike in _LOOK_ALIKE for char in alike}

_APOSTROPHES = ("'", "\u2019")
_EDGE = " \t\r\n\"'\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb.,;:\u2026"


def find_mentions(name: str, text: str) -> list[Stretch]:
    """Every place where a name stands as whole words, in order.

    As it is written, else in other capitals, else in front of a genitive's ``s``.

    Example:
        >>> find_mentions("Berlin", "Berlin and Berliner: Berlin's.")
        [(0, 6), (21, 27)]
        >>> find_mentions("Berlin", "Berlins Bürgermeister")
        [(0, 6)]
    """
    pattern = _pattern(name) if _may_hold(text, name) else ""
    if not pattern:
        return []
    return (
        # The spelling as given wins: in other capitals a name may be an ordinary word, as US and
        # us.
        list(_whole(re.compile(pattern), text))
        or list(_whole(re.compile(pattern, re.IGNORECASE), text))
        or list(_whole(re.compile(pattern), text, genitive=True))
    )


def find_quote(quote: str, text: str) -> Stretch | None:
    r"""The first place where a quotation stands, or ``None``.

    Spaces and line breaks, kinds of quotation marks and dashes, capitals, and marks around the
    quotation may differ.

    Example:
        >>> find_quote('"the  limit is hard..."', "So the\nlimit is hard, always.")
        (3, 20)
    """
    # With its marks first: where the text has them too, they belong to the span.
    for wanted in (quote, quote.strip(_EDGE)):
        pattern = _pattern(wanted) if _may_hold(text, wanted) else ""
        found = re.search(pattern, text, re.IGNORECASE) if pattern else None
        if found:
            return found.span()
    return None


def _may_hold(text: str, wanted: str) -> bool:
    """A quick look, because a pattern takes longer to make than to search for."""
    return _folded(wanted) in _folded(text)


@lru_cache(maxsize=256)
def _folded(text: str) -> str:
    """The text without what the patterns do not look at. What matches, matches here too."""
    plain = unicodedata.normalize("NFC", text).translate(_FOLD).casefold()
    return " ".join(plain.split())


def _pattern(wanted: str) -> str:
    """A regular expression for the words of a text; empty where it has none."""
    words = wanted.split()
    if not any(char.isalnum() for word in words for char in word):
        return ""
    return r"\s+".join("".join(map(_letter, _letters(word))) for word in words)


def _letters(word: str) -> Iterator[str]:
    """The word's characters, each with the marks that follow it."""
    letter = ""
    for char in word:
        if letter and not unicodedata.combining(char):
            yield letter
            letter = ""
        letter += char
    yield letter


def _letter(letter: str) -> str:
    """The letter in one character or in several."""
    if letter in _CLASS:
        return _CLASS[letter]
    forms = {letter, *(unicodedata.normalize(form, letter) for form in ("NFC", "NFD"))}
    written = "|".join(sorted(map(re.escape, forms), key=len, reverse=True))
    return written if len(forms) == 1 else f"(?:{written})"


def _whole(pattern: re.Pattern[str], text: str, *, genitive: bool = False) -> Iterator[Stretch]:
    """The matches that are no part of another word."""
    position = 0
    while match := pattern.search(text, position):
        begin, end = match.span()
        # One character on, not past the match: a whole word may begin inside a match that was none.
        position = begin + 1
        after = _past_genitive(text, end) if genitive else end
        if after is not None and not _joined(text, begin) and not _joined(text, after):
            yield begin, end
            position = end


def _past_genitive(text: str, end: int) -> int | None:
    mark = text[end : end + 1] in _APOSTROPHES
    return end + mark + 1 if text[end + mark : end + mark + 1] == "s" else None


def _joined(text: str, at: int) -> bool:
    """Whether the characters before and after a place belong to one word."""
    return 0 < at < len(text) and _spells(text[at - 1]) and _spells(text[at])


def _spells(char: str) -> bool:
    letter = char.isalnum() or char == "_" or unicodedata.combining(char) != 0
    return letter and not is_unspaced(char)
