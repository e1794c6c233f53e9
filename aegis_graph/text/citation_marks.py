"""Citations in a text, in every form that models are known to write: found, and read as numbers.

A citation is one of these, outside of code:

* a bracket with a label, or in a form that nothing else has: ``[Source 1, Source 2]``,
  ``(Source 2)``, ``[doc 2]``, ``[#2]``, ``[cite: 2]``, ``[^1]``, ``[[1]]``, ``【4:2†b.md】``,
  full-width and escaped brackets, ``<sup>2</sup>``;
* plain numbers in square brackets: ``[7]``, ``[1, 3]``, ``[1-3]``, ``[1 and 2]``. A list of which
  less than half are sources, or with a 0 in it, is data and stays: ``[10, 20, 30]``, ``[0, 1]``.
  What is glued to a word is an index, ``items[0]``, unless the text glues all of its citations;
* a raised number behind a sentence or a word, not behind a unit: ``Monday.²``, but ``5 m²``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from aegis_graph.text.citation_forms import (
    COUNTED,
    GROUPS,
    LINK,
    PARENTHESES,
    RAISED,
    TO,
    citation_forms,
)
from aegis_graph.text.code import code_spans, is_inside
from aegis_graph.text.scripts import is_unspaced

_DIGITS = re.compile(r"\d+")
_RANGE = re.compile(rf"\d(?:\]?{TO}[^\d,;]*)(?=\d)", re.IGNORECASE)
_LINKED = re.compile(
    rf"(?<!!)\[(?P<label>[^\[\]\n]{{0,200}}(?:\[[^\[\]\n]{{1,40}}\][^\[\]\n]{{0,200}}){{1,8}})\]{LINK}",
    re.IGNORECASE,
)
_OPERATOR = re.compile(
    r"(?:[=\u2208]|\\in|[\"']\s*:"
    r"|\b(?:ranges?|intervals?|lists?|arrays?|vectors?|tuples?|indices|Bereich|Intervall|Liste|Werte?)"
    r"(?:\s+(?:is|are|of|from|equals|ist|sind|von))?:?)[ \t]*$",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"(?:\w://|www\.)\S*$")
_WORD = re.compile(r"[^\W\d_]")
_PLACE = re.compile(
    r"\.\w{2,5}\W*$|\b(?:pp?|pages?|S|Seiten?|lines?|Zeilen?|sections?|sec|Abschnitt\w*|chapter|ch"
    r"|Kapitel|slide|Folie|\u00a7)\.?\s*\d|\u00a7",
    re.IGNORECASE,
)
"""A file's name, or a page."""
_NAME = re.compile(r"[_.\[\]{}=$'\"]|\w\(|[a-z][A-Z]|\d[A-Za-z]|[a-zA-Z]\d")
_UNITS = frozenset(("yard", "yards", "foot", "feet", "inch", "mile", "miles", "meter", "metre"))
_LONGEST_RANGE = 20
"""Of a longer range only the two ends count."""
_WINDOW = 80


@dataclass(frozen=True, slots=True)
class CitationMark:
    """A citation in a text."""

    start: int
    """Where it begins, with the spaces before it."""
    end: int
    space: str
    """The spaces before it; one where it would else stick to a word once it is ``[n]``."""
    numbers: tuple[int, ...]
    """As the text has them, ranges written out; of ``[cite_start]`` none."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    mark: CitationMark
    glued: bool
    """Whether it is a plain bracket that sticks to a word."""


def replace_citations(
    text: str,
    replace: Callable[[CitationMark, list[int]], str],
    *,
    count: int | None = None,
) -> str:
    """Replace every citation of a text, with the spaces before it; not in code.

    Args:
        text: A text with citations like ``[1]`` or ``[1, 3]``, or in other forms that models use.
        replace: Gets the citation and its numbers, and gives what to put there.
        count: How many sources there are; without it, any number may be one.

    Example:
        >>> replace_citations("Free [1], `a[0]` (Source 2).", lambda mark, n: f"{mark.space}{n}")
        'Free [1], `a[0]` [2].'
    """
    pieces: list[str] = []
    position = 0
    for mark in find_citations(text, count=count):
        pieces += text[position : mark.start], replace(mark, list(mark.numbers))
        position = mark.end
    return "".join([*pieces, text[position:]])


def find_citations(text: str, *, count: int | None = None) -> list[CitationMark]:
    """The citations of a text, in order; see ``replace_citations``."""
    code = code_spans(text)
    found: list[_Candidate] = []
    for match in citation_forms(text):
        if is_inside(match.start(), code):
            continue
        behind = found[-1] if found and found[-1].mark.end == match.start() else None
        one = _candidate(text, match, count, behind)
        if one is not None:
            found.append(one)
    # A text has one style: where it sets its citations off, what sticks to a word is an index.
    set_off = count is None or any(
        not one.glued and _has_source(one.mark.numbers, count) for one in found
    )
    marks = [one.mark for one in found if not (one.glued and set_off)]
    return marks or ([] if count is None else _in_parentheses(text, count, code))


def _in_parentheses(text: str, count: int, code: Sequence[tuple[int, int]]) -> list[CitationMark]:
    """Numbers in parentheses at the ends of sentences, where a text has no other citations."""
    found: list[CitationMark] = []
    for match in PARENTHESES.finditer(text):
        numbers = tuple(int(one) for one in _DIGITS.findall(match["numbers"]))
        before = text[max(0, match.start() - _WINDOW) : match.start()]
        if not _all_sources(numbers, count) or COUNTED.search(before):
            return []
        if not is_inside(match.start(), code):
            found.append(CitationMark(match.start(), match.end(), match["space"] or " ", numbers))
    return found


def without_links(text: str) -> str:
    """A text in which a link around a citation is the link's text: it would lead elsewhere.

    Example:
        >>> without_links("On [Monday [2]](https://x.y), see [here](https://x.y).")
        'On Monday [2], see [here](https://x.y).'
    """
    code = code_spans(text)

    def label(link: re.Match[str]) -> str:
        if is_inside(link.start(), code) or not find_citations(link["label"]):
            return link[0]
        return link["label"]

    return _LINKED.sub(label, text)


def _candidate(
    text: str, match: re.Match[str], count: int | None, behind: _Candidate | None
) -> _Candidate | None:
    """A match as a citation, if it may be one; ``behind`` is what it directly follows."""
    groups = match.groupdict()
    group = next(name for name in GROUPS if groups.get(name) is not None)
    before = text[max(0, match.start() - _WINDOW) : match.start()]
    space = before[len(before.rstrip(" \t")) :]
    numbers = tuple(_numbers(match[group], group, count))
    if text[match.end() : match.end() + 1] in ("`", "~"):
        return None  # Without it, other marks would be those of code.
    glued = False
    if group == "plain" and not match["behind"] and not match[0].startswith("[^"):
        ranged = _RANGE.search(match[group]) is not None
        if _is_data(numbers, count, ranged=ranged) or _stands_for_a_value(before, behind):
            return None
        glued = behind.glued if behind else not space and _sticks(before)
        after = text[match.end() : match.end() + 1]
        index = glued and behind is None and _is_index(before, after)
        if index or (glued and not _all_sources(numbers, count)):
            return None
    elif not _is_meant(match, group, before, numbers, count):
        return None
    elif group != "empty" and not space and behind is None and _needs_space(before):
        space = " "
        return _Candidate(CitationMark(match.start(), match.end(), space, numbers), glued=False)
    start = match.start() - len(space)
    return _Candidate(CitationMark(start, match.end(), space, numbers), glued=glued)


def _is_meant(
    match: re.Match[str], group: str, before: str, numbers: Sequence[int], count: int | None
) -> bool:
    """Whether what has the form of a citation is one."""
    core = match[group]
    if group in ("raised", "lifted"):
        return _follows_words(before) and _all_sources(numbers, count)
    if group == "round":
        # ``f([1])`` is a call.
        return core[:1] != "[" or not before[-1:].isalnum() or is_unspaced(before[-1:])
    if group == "square" and not _WORD.match(core):
        if core[:1] == "#":
            return _has_source(numbers, count)
        tail = match[0][match[0].index(core) + len(core) :]
        return (not _sticks(before) and bool(_PLACE.search(tail))) or tail.strip("] ") == ""
    return True


def _numbers(text: str, group: str, count: int | None) -> Iterator[int]:
    if group in ("raised", "bracketed"):
        # One number after the other, or from one to the other.
        parts = re.split("[\u207b\u2013-]", text)
        if len(parts) == 2 and all(part and set(part) <= set(RAISED) for part in parts):
            first, last = (int("".join(str(RAISED.index(one)) for one in part)) for part in parts)
            if first <= last < first + _LONGEST_RANGE:
                yield from range(first, last + 1)
                return
        for run in re.split("[,\u02d2\u207b\u2013-]", text):
            number = int("".join(str(RAISED.index(digit)) for digit in run))
            single = count is not None and number > count
            yield from (RAISED.index(digit) for digit in run) if single else (number,)
        return
    if group in ("wide", "dagger"):
        # Before the colon is the message that a search was made in.
        text = re.sub(r"\d+:", "", text)
    for part in re.split(r"[,;\uff0c\u3001\uff1b&]|\band\b|\bund\b", text, flags=re.IGNORECASE):
        found = [int(digits) for digits in _DIGITS.findall(part)]
        if len(found) == 2 and _RANGE.search(part):
            first, last = found
            within = first <= last < first + _LONGEST_RANGE
            yield from range(first, last + 1) if within else (first, last)
        else:
            yield from found


def _is_source(number: int, count: int | None) -> bool:
    return number >= 1 and (count is None or number <= count)


def _has_source(numbers: Sequence[int], count: int | None) -> bool:
    return any(_is_source(number, count) for number in numbers)


def _all_sources(numbers: Sequence[int], count: int | None) -> bool:
    return all(_is_source(number, count) for number in numbers)


def _is_data(numbers: Sequence[int], count: int | None, *, ranged: bool) -> bool:
    """Whether plain numbers are a list of values, and no citation."""
    if len(numbers) == 1:
        return False
    if ranged:
        return numbers[0] == 0 or not _has_source(numbers, count)
    return 0 in numbers or 2 * sum(_is_source(n, count) for n in numbers) < len(numbers)


def _stands_for_a_value(before: str, behind: _Candidate | None) -> bool:
    """Whether what stands before a bracket makes it a value: an operator, an address, a list."""
    if before.endswith("]") and behind is None:
        return True
    return bool(_OPERATOR.search(before) or _ADDRESS.search(before))


def _sticks(before: str) -> bool:
    """Whether a bracket here belongs to what stands directly before it."""
    bare = before.rstrip("([{")
    last = bare[-1:]
    if last == "_":
        # Else it begins what is set off, ``_[2]_``.
        return before[-2:-1].isalnum()
    closes = bare == before and last in (")", "}")
    return closes or (last.isalnum() and not is_unspaced(last))


def _is_index(before: str, after: str) -> bool:
    """Whether what a number sticks to is a name in code, or a call."""
    if before[-1:] in "([{" or after in ("_", "(") or (after.isalnum() and not is_unspaced(after)):
        return True
    word = _ENDING.sub("", before.split()[-1].lstrip("("))
    return _NAME.search(word) is not None


_ENDING = re.compile(r"['\u2019][a-z]{1,2}$|^[\d.,:]*\d$", re.IGNORECASE)
"""What ends a word that is no name in code: "isn't", "Acme's", "2.5"."""


def _follows_words(before: str) -> bool:
    """Whether a raised number here is no power: it follows a sentence, or a word but no unit."""
    last = before[-1:]
    if not last:
        return False
    if not last.isalnum():
        return last in ".,;:!?\u3002\uff0c\uff01\uff1f\u3001\"'\u201d\u2019\u00bb)%*_ "
    if is_unspaced(last):
        return True
    word = re.split(r"[^\w]", before)[-1]
    long = len(word) >= 4 or (len(word) == 3 and word.isupper())
    return word.isalpha() and long and word.casefold() not in _UNITS


def _needs_space(before: str) -> bool:
    last = before[-1:]
    if not last or last.isspace() or last in "([{\u201e\u201c*_]" or is_unspaced(last):
        return False
    return last.isalnum() or last in ".,;:!?\"'\u201d\u2019\u00bb)%"
