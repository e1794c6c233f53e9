"""The claims of an answer: its sentences, each with the numbers that belong to it.

A number belongs to the sentence that it stands in or follows, also from a line of its own. Where
lines begin with their numbers and do not end with any, it belongs to the sentence that follows.
A list of sources at the end claims nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from aegis_graph.text.citation_marks import find_citations, without_links
from aegis_graph.text.sentences import Sentence, split_sentences

_WORD = re.compile(r"\w")
_LEAD_IN = re.compile(r"[ \t]*(?:(?:[-*+\u2022>#]+|\d{1,3}[.)])[ \t]+)*[*_]*")
_CLOSING = re.compile(
    r"^[ \t]*[#>*_ \t]*(?:sources?|references|citations?|footnotes?|bibliography|works cited"
    r"|quellen(?:angaben?|verzeichnis|nachweise?)?|literatur(?:verzeichnis)?|belege|nachweise"
    r"|einzelnachweise|fu\u00dfnoten|fuentes|\u53c2\u8003\u6587\u732e|\u6765\u6e90|\u51fa\u5178)"
    r"(?: used| cited)?[ \t]*[*_]*[:\uff1a]?[*_]*[ \t]*(?P<rest>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_DEFINITION = re.compile(r"^[ \t]*\[\d{1,3}\]:", re.MULTILINE)
_FILE = re.compile(r"\bhttps?://|\.(?:[a-z]{2,4}|[a-z]{1,3}\d)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NumberMark:
    """A citation in the text that is shown."""

    start: int
    """Where it begins, with the spaces before it."""
    end: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NumberedText:
    """An answer with all of its citations as ``[1]`` or ``[1, 3]``, each number a source's."""

    text: str
    marks: list[NumberMark]
    removed: int
    """Numbers that pointed at no source."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of an answer."""

    start: int
    end: int
    bare: str
    """The sentence without its numbers."""
    numbers: tuple[int, ...] = ()
    is_code: bool = False
    """Whether it is a block of code, which the sentence before it leads to."""


def numbered(answer: str, count: int) -> NumberedText:
    """Write every citation of an answer as ``[n]``, and take out what points at no source.

    Args:
        answer: As a model gave it.
        count: How many sources there are.

    Example:
        >>> numbered("Free (Source 1) [7]. On [Monday [2]](https://x.y).", 2).text
        'Free [1]. On Monday [2].'
    """
    found = _numbered(without_links(answer), count)
    if not found.removed:
        return found
    # What is left may read in another way, as where the text behind a number begins its line.
    again = numbered(found.text, count)
    return replace(again, removed=again.removed + found.removed)


def _numbered(given: str, count: int) -> NumberedText:
    text, marks, removed, position = "", list[NumberMark](), 0, 0
    for mark in find_citations(given, count=count):
        text += given[position : mark.start]
        position = mark.end
        # A model may give a number twice in one bracket; it is shown once.
        right = tuple(n for n in dict.fromkeys(mark.numbers) if 1 <= n <= count)
        removed += sum(1 for n in mark.numbers if not 1 <= n <= count)
        if right:
            start = len(text)
            text += f"{mark.space}[{', '.join(map(str, right))}]"
            marks.append(NumberMark(start, len(text), right))
        elif not text or text.endswith("\n"):
            # What is left begins the line, and a line of nothing else goes.
            rest = given[position:]
            position += len(rest) - len(rest.lstrip(" \t"))
            position += text.endswith("\n") and given[position : position + 1] == "\n"
    return NumberedText(text + given[position:], marks, removed)


def claims_of(answer: NumberedText, names: Sequence[str] = ()) -> Iterator[Claim]:
    """The claims of an answer, in order.

    Args:
        answer: As it is shown.
        names: The sources' names, by which a list of them at the end is known.
    """
    text = answer.text
    end = _end_of_claims(text, names)
    marks = [mark for mark in answer.marks if mark.start < end]
    leading = _leading(text, end, marks)
    claims: list[Claim] = []
    for first, last in _sections(text, end, marks, leading):
        claims += _sentences(text, first, last, [one for one in marks if first <= one.start < last])
    # Numbers that stand alone still say where the answer is from.
    if marks and not claims:
        yield Claim(marks[0].start, marks[-1].end, "", _joined(marks))
    own: dict[int, list[NumberMark]] = {}
    for mark in marks if claims else ():
        own.setdefault(_owner(mark, claims, leads=mark in leading), []).append(mark)
    before: tuple[int, ...] = ()
    for at, claim in enumerate(claims):
        mine = own.get(at, [])
        numbers = _joined(mine)
        if claim.is_code and not numbers:
            # No number can stand in code: it is where the sentence that leads to it is from.
            yield replace(claim, numbers=before)
            continue
        before = numbers
        yield replace(
            claim,
            start=min([claim.start, *(_bracket(text, one) for one in mine)]),
            end=max([claim.end, *(one.end for one in mine)]),
            numbers=numbers,
        )


def _joined(marks: Sequence[NumberMark]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(n for mark in marks for n in mark.numbers))


def _bracket(text: str, mark: NumberMark) -> int:
    return text.index("[", mark.start)


def _owner(mark: NumberMark, claims: Sequence[Claim], *, leads: bool) -> int:
    at = max(0, bisect_right(claims, mark.start, key=lambda one: one.start) - 1)
    between = mark.start >= claims[at].end
    return at + 1 if leads and between and at + 1 < len(claims) else at


def _sections(
    text: str, end: int, marks: Sequence[NumberMark], leading: Sequence[NumberMark]
) -> Iterator[tuple[int, int]]:
    """Pieces of a text: a number at the end or the beginning of a line parts two sentences."""
    start = 0
    for mark in marks:
        cut = mark.end if text[mark.end : mark.end + 1] == "\n" else None
        if mark in leading and text[: _bracket(text, mark)].rstrip(" \t")[-1:] == "\n":
            cut = mark.start
        if cut is not None and _WORD.search(text, start, min(cut, mark.start)):
            yield start, cut
            start = cut
    yield start, end


def _leading(text: str, end: int, marks: Sequence[NumberMark]) -> list[NumberMark]:
    """The numbers that stand before their sentence."""
    lines = list(_lines(text, end, marks))
    filled = [one for one in lines if one.marks or one.said]
    first_leads = bool(filled) and filled[0].begins and not filled[-1].ends
    found: list[NumberMark] = []
    for before, line in pairwise([None, *lines]):
        if line is None or not line.begins:
            continue
        apart = before is None or not before.said or before.closes or bool(before.marks)
        if line.alone or not (first_leads or apart or line.listed):
            found += line.marks if line.alone and first_leads else []
        elif line.ends:
            found += [one for one in line.marks if not _WORD.search(text, line.start, one.start)]
        else:
            found += line.marks
    return found


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    marks: list[NumberMark]
    said: bool
    """Whether it has a word beside its numbers."""
    begins: bool
    """Whether a number stands before its first word."""
    ends: bool
    """Whether a number stands behind its last word."""
    closes: bool
    """Whether it leads to what follows: a heading, or a line with a colon."""
    listed: bool

    @property
    def alone(self) -> bool:
        """Whether it has numbers only."""
        return bool(self.marks) and not self.said


def _lines(text: str, end: int, marks: Sequence[NumberMark]) -> Iterator[_Line]:
    position = 0
    for line in text[:end].split("\n"):
        start, stop = position, position + len(line)
        position = stop + 1
        inside = [one for one in marks if start <= one.start < stop]
        lead_in = _LEAD_IN.match(line)
        first = start + (lead_in.end() if lead_in else 0)
        edges = [first, *(edge for one in inside for edge in (one.start, one.end)), stop]
        said = [bool(_WORD.search(text, *gap)) for gap in zip(edges[::2], edges[1::2], strict=True)]
        yield _Line(
            first,
            inside,
            said=any(said),
            begins=bool(inside) and not said[0],
            ends=bool(inside) and not said[-1],
            closes=line.rstrip(" *_").endswith((":", "\uff1a")) or line.lstrip().startswith("#"),
            listed=first > start,
        )


def _end_of_claims(text: str, names: Sequence[str]) -> int:
    """Where a list of sources begins that ends the text; the text's end where there is none."""
    for heading in _CLOSING.finditer(text):
        entries = [one for one in (heading["rest"], *text[heading.end() :].split("\n")) if one]
        listed = [one for one in entries if one.strip()]
        if listed and all(_is_entry(one, names) for one in listed):
            return heading.start()
    definition = _DEFINITION.search(text)
    if definition and all(
        _DEFINITION.match(one) for one in text[definition.start() :].split("\n") if one.strip()
    ):
        return definition.start()
    return len(text)


def _is_entry(line: str, names: Sequence[str]) -> bool:
    lead_in = _LEAD_IN.match(line)
    rest = line[lead_in.end() if lead_in else 0 :]
    named = any(name and name in rest for name in names)
    return rest.startswith("[") or named or bool(_FILE.search(rest))


def _sentences(text: str, start: int, end: int, marks: Sequence[NumberMark]) -> Iterator[Claim]:
    bare, places = _bare(text, start, end, marks)
    # A line of marks without a word claims nothing, and neither does a heading, unless it alone
    # has a number: an answer may be a word in capitals.
    spoken = [one for one in split_sentences(bare) if _WORD.search(one.text)]
    sentences = [one for one in spoken if one.kind != "heading"] or (spoken if marks else [])
    for one in _with_blocks_of_code(bare, sentences):
        first, last = places[one.start], places[one.start + len(one.text) - 1] + 1
        yield Claim(first, last, one.text, is_code=one.kind == "code")


def _with_blocks_of_code(text: str, sentences: Sequence[Sentence]) -> Iterator[Sentence]:
    """The sentences, with the lines of each block of code as one."""
    for is_code, run in groupby(sentences, key=lambda one: one.kind == "code"):
        lines = list(run)
        while is_code and lines:
            first, *rest = lines
            # A fence between two lines begins another block.
            size = next((i for i, one in enumerate(rest, 1) if _fenced(text, lines, i)), len(lines))
            last = lines[size - 1]
            whole = text[first.start : last.start + len(last.text)]
            yield Sentence(first.start, whole, "code", first.context)
            lines = lines[size:]
        yield from lines


def _fenced(text: str, lines: Sequence[Sentence], at: int) -> bool:
    before = lines[at - 1]
    between = text[before.start + len(before.text) : lines[at].start]
    return "```" in between or "~~~" in between


def _bare(text: str, start: int, end: int, marks: Sequence[NumberMark]) -> tuple[str, list[int]]:
    """A piece of a text without its numbers, and where each of its characters stood."""
    starts, ends = [start, *(one.end for one in marks)], [*(one.start for one in marks), end]
    left = [range(*stretch) for stretch in zip(starts, ends, strict=True)]
    bare = "".join(text[one.start : one.stop] for one in left)
    return bare, [place for one in left for place in one]
