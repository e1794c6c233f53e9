"""Sentences of plain text and Markdown, each an exact piece of it.

Bullets, table rows, headings and lines of code end where their line ends; prose is cut at sentence
ends that are not abbreviations, initials or German ordinals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from aegis_graph.text.words import STOP_WORDS, words

SentenceKind = Literal["prose", "bullet", "row", "code", "heading"]

_TITLE_LEVEL = 3
"""Headings recognised by their shape stand below those that are marked."""

LONGEST = 400
"""Characters after which text without any sentence end is cut at a space."""

_WINDOW = 40
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+")
_UNDERLINE = re.compile(r"\s{0,3}(?:=+|-{3,})\s*$")
_RULE = re.compile(r"\s{0,3}(?:[-*_=]\s*){3,}$")
_ROW = re.compile(r"\s*\|")
_ROW_RULE = re.compile(r"[\s:|-]*")
_QUOTED = re.compile(r"\s*>\s?")
# Matches at the first mark of a run only: a match from each mark would take the square of its
# length.
_FULL_STOPS = "\u3002\uff01\uff1f\uff61\u061f\u06d4\u0964\u0965\u1362\u17d4\u0589"
"""Of Chinese, Japanese, Arabic, Urdu, Hindi, Amharic, Khmer and Armenian: no abbreviation has
them, and no space need follow."""
_END = re.compile(
    r"(?:(?<![.!?…])[.!?…]+|:(?=\s*$))[\"'\u201c\u201d\u2019»)\]*_]*(?=\s|$)"
    rf"|(?<![{_FULL_STOPS}])[{_FULL_STOPS}]+[\"'\u201d\u2019»)\]*_\u300d\u300f\uff09]*"
)
# A sentence may begin in lower case with a name like `qwen-plus` or a path.
_START = re.compile(
    r"\s+[\"'\u201c-\u201e\u2018«¿¡(\[*_]*(?:[^\W\d_a-zß-öø-ÿ]|\d|`|[a-z]+[-_]\w|/)"
)
_ORDINAL = r"\s+(?:Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez|Jahrhundert|Quartal)"
_MONTH = re.compile(_ORDINAL)
# German dates begin like a numbered list: `3. Oktober` is none.
_BULLET = re.compile(rf"\s*(?:[-*+•▪‣]|\d{{1,3}}[.)](?!{_ORDINAL}))\s+")
_ABBREVIATED = """
abb abs allg approx aufl bzgl bzw ca cf corp d.h dept dgl dr ebd e.g eg engl est etc evtl fig ff
ggf gem i.e ie inc incl inkl insb jr ltd max min mind mio mr mrs ms mrd nr o.ä p.a pp prof resp
s.o s.u sog sr tab tel u.a usw u.s v.a vgl vol vs z.b zzgl
cap dott ecc mlle mme núm p.ej p.ex pág sra srta sig ud uds
"""
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, a bullet's sentence, a table row or a line of code."""

    start: int
    """Where it begins: ``text == whole[start : start + len(text)]``."""
    text: str
    kind: SentenceKind
    context: str = ""
    """What it stands under: the heading, the line that leads into its list, its table's head."""
    table_head: str = ""
    """The head of the table that a row belongs to, as it stands there."""


def split_sentences(text: str) -> list[Sentence]:
    r"""Cut a text into sentences. Headings come as sentences of their own kind.

    Example:
        >>> [s.text for s in split_sentences("# A\n- It costs ca. 5 USD. Fine.\n- Two")]
        ['A', 'It costs ca. 5 USD.', 'Fine.', 'Two']
    """
    return list(_Reader(text).sentences())


class _Reader:
    """Walks over the lines of a text and remembers what they stand under."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.paragraph: list[tuple[int, int]] = []
        """The lines of the paragraph being read, as spans without outer spaces."""
        self.kind: SentenceKind = "prose"
        self.headings: dict[int, str] = {}
        self.lead = ""
        self.table_head = ""
        self.in_code = False

    def sentences(self) -> Iterator[Sentence]:
        position = 0
        lines = self.text.split("\n")
        self.in_code = _begins_in_code(lines)
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            yield from self._line(line, following, position)
            position += len(line) + 1
        yield from self._end_paragraph()

    def _line(self, line: str, following: str, start: int) -> Iterator[Sentence]:
        row = None if self.in_code else _ROW.match(line)
        if not row:
            self.table_head = ""
        # Fences are looked at first: between two of them, every other mark is code.
        if _FENCE.match(line):
            yield from self._end_paragraph()
            self.in_code = not self.in_code
        elif self.in_code:
            yield from self._piece(start, start + len(line), "code")
        elif not line.strip():
            yield from self._end_paragraph()
        elif heading := _HEADING.match(line):
            yield from self._end_paragraph()
            # Markdown lets a heading close with the marks that it opens with.
            title = line.rstrip().rstrip("#")
            if title[heading.end() :].strip():
                yield self._heading(len(heading[1]), start + heading.end(), start + len(title))
        elif row:
            yield from self._end_paragraph()
            cells = line.rstrip().removesuffix("|")
            yield from self._row(line, following, start + row.end(), start + len(cells))
        # Before the rule: a line of dashes below a single line makes that line a heading.
        elif len(self.paragraph) == 1 and _UNDERLINE.match(line):
            level = 1 if line.strip().startswith("=") else 2
            yield self._heading(level, *self.paragraph.pop())
        elif _RULE.match(line):
            yield from self._end_paragraph()
        else:
            yield from self._prose(line, start)

    def _heading(self, level: int, start: int, end: int) -> Sentence:
        start, end = _trimmed(self.text, start, end)
        # A heading ends the headings of its own level and below.
        self.headings = {at: title for at, title in self.headings.items() if at < level}
        self.lead = ""
        # Taken before the title is set: a heading does not stand under itself.
        above = self._context()
        self.headings[level] = self.text[start:end]
        return Sentence(start, self.text[start:end], "heading", above)

    def _row(self, line: str, following: str, start: int, end: int) -> Iterator[Sentence]:
        if _is_row_rule(line):
            return
        if _is_row_rule(following):
            self.table_head = self.text[start:end].strip()
        else:
            yield from self._piece(start, end, "row")

    def _prose(self, line: str, start: int) -> Iterator[Sentence]:
        mark = _BULLET.match(line)
        if mark:
            yield from self._end_paragraph()
            self.kind = "bullet"
        elif not self.paragraph:
            mark = _QUOTED.match(line)
        skipped = mark.end() if mark else 0
        first, last = _trimmed(self.text, start + skipped, start + len(line))
        if first < last:
            self.paragraph.append((first, last))

    def _end_paragraph(self) -> Iterator[Sentence]:
        lines, self.paragraph = self.paragraph, []
        kind, self.kind = self.kind, "prose"
        if lines and kind == "prose":
            self.lead = ""
        while lines:
            size = next((i for i in range(len(lines)) if self._is_title(lines, i)), len(lines))
            if size:
                yield from self._prose_pieces(lines[0][0], lines[size - 1][1], kind)
            if size < len(lines):
                yield self._heading(_TITLE_LEVEL, *lines[size])
            lines = lines[size + 1 :]

    def _is_title(self, lines: list[tuple[int, int]], index: int) -> bool:
        """Whether a short line without a full stop is a heading: in capitals, or a PDF's."""
        if index + 1 == len(lines):
            title = self.text[slice(*lines[index])]
            return index == 0 and len(title) < 60 and title.isupper() and title[-1].isalnum()
        line, below = (self.text[start:end] for start, end in lines[index : index + 2])
        # Text from PDFs has no marks of headings, only their shape: short, capitalised, and no full
        # stop.
        above = self.text[slice(*lines[index - 1])] if index else "."
        return (
            len(line) < min(60, 0.7 * len(below))
            and line[-1].isalnum()
            and words(line)[-1] not in STOP_WORDS
            and above[-1] in ".!?:"
            and (line[0].isupper() or line[0].isdigit())
            and below[0].isupper()
        )

    def _prose_pieces(self, first: int, last: int, kind: SentenceKind) -> Iterator[Sentence]:
        for start, end in _cut(self.text, first, last):
            yield from self._piece(start, end, kind)
            if kind == "prose" and self.text[start:end].endswith(":"):
                self.lead = self.text[start:end]

    def _piece(self, start: int, end: int, kind: SentenceKind) -> Iterator[Sentence]:
        start, end = _trimmed(self.text, start, end)
        if start < end:
            head = self.table_head if kind == "row" else ""
            yield Sentence(start, self.text[start:end], kind, self._context(), head)

    def _context(self) -> str:
        parts = (*self.headings.values(), self.lead, self.table_head)
        return "\n".join(part for part in parts if part)


def _begins_in_code(lines: list[str]) -> bool:
    """Whether a piece of a document was cut out of the middle of a block of code."""
    fences = [index for index, line in enumerate(lines) if _FENCE.match(line)]
    if len(fences) % 2 == 0:
        return False
    # A closing fence is bare and follows a line of code; an opening one names a language or follows
    # an empty line.
    bare = not lines[fences[0]].strip(" \t`~")
    return bare and fences[0] > 0 and bool(lines[fences[0] - 1].strip())


def _is_row_rule(line: str) -> bool:
    return "-" in line and _ROW_RULE.fullmatch(line) is not None


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without outer spaces."""
    piece = text[start:end]
    return end - len(piece.lstrip()), start + len(piece.rstrip())


def _cut(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Spans of the sentences between two places, without the spaces between them."""
    start = first
    for end in _END.finditer(text, first, last):
        # A window is enough to decide, and keeps the work linear in a text without line breaks.
        before = text[max(start, end.start() - _WINDOW) : end.start()]
        after = text[end.end() : min(last, end.end() + _WINDOW)]
        if _ends_sentence(before, end[0], after):
            yield from _cut_long(text, start, end.end())
            start = end.end()
    yield from _cut_long(text, start, last)


def _ends_sentence(before: str, end: str, after: str) -> bool:
    # What is quoted may go on behind its last mark: 「はい。」と言った。
    if not after.strip() or end[-1] in _FULL_STOPS:
        return True
    if not _START.match(after):
        return False
    if end != ".":
        return True
    word = re.split(r"[\s(\[\"'\u201c\u201e/]", before)[-1].casefold()
    if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha()):
        return False
    return not (word.isdigit() and len(word) <= 2 and _MONTH.match(after))


def _cut_long(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > LONGEST:
        # In the second half only: a cut at an early space would leave a fragment.
        cut = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
        cut = cut if cut > 0 else start + LONGEST
        yield _trimmed(text, start, cut)
        start = cut
    yield _trimmed(text, start, end)
