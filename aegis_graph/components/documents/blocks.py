"""The blocks that a text consists of: paragraphs, headings, blocks of code, functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BLOCK = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|$))+")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+([^\n]*)")
_HEADING_LINE = re.compile(r"^\s{0,3}#{1,6}\s", re.MULTILINE)
_MARKED = re.compile(r"^[ ]{0,3}#{1,6}[ \t]+([^\n]*)", re.MULTILINE)
_UNDERLINE = re.compile(r"(?<=\S\n)[ ]{0,3}(?:={2,}|-{3,})[ \t]*$", re.MULTILINE)
_FENCED = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[^\n`]*\n(?:.*?\n)??[ \t]*(?P=fence)[`~]*[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
# A line at the margin that begins something: no closing bracket, and no `else`.
_MAX_NAME_CHARS = 200
_TOP = re.compile(r"^[^\s)\]}]", re.MULTILINE)


class Block(NamedTuple):
    """A span of a text."""

    begin: int
    end: int
    is_heading: bool
    """Whether it begins with a heading."""
    head: str = ""
    """What it needs before it to make sense."""


def text_blocks(text: str) -> Iterator[Block]:
    """Paragraphs, headings with the lines below them, and blocks of code with their empty lines."""
    at = 0
    for start, end in _fences(text):
        yield from _paragraphs(text, at, start)
        yield _block(text, start, end)
        at = end
    yield from _paragraphs(text, at, len(text))


def _fences(text: str) -> Iterator[tuple[int, int]]:
    # Most texts have none, and a search is much faster than the expression.
    if "```" in text or "~~~" in text:
        for found in _FENCED.finditer(text):
            yield found.span()


def _paragraphs(text: str, first: int, last: int) -> Iterator[Block]:
    for block in _BLOCK.finditer(text, first, last):
        start, end = block.span()
        # A heading needs no empty line before it.
        for heading in _HEADING_LINE.finditer(block[0]) if "#" in block[0] else ():
            if block.start() + heading.start() > start:
                yield _block(text, start, block.start() + heading.start())
                start = block.start() + heading.start()
        yield _block(text, start, end)


def _block(text: str, start: int, end: int) -> Block:
    piece = text[start:end]
    first = end - len(piece.lstrip())
    return Block(first, start + len(piece.rstrip()), bool(_HEADING.match(text, first)))


def has_marked_headings(text: str) -> bool:
    """Whether a text marks its headings as Markdown does."""
    return bool(_HEADING_LINE.search(text))


def marked_headings(text: str) -> list[str]:
    """The headings that are marked as such, in order; not those in code."""
    if "```" in text or "~~~" in text:
        text = _FENCED.sub("", text)
    # Markdown lets a heading close with the marks that it opens with.
    found = [(one.start(), one[1].rstrip().rstrip("#")) for one in _MARKED.finditer(text)]
    for one in _UNDERLINE.finditer(text):
        start = text.rfind("\n", 0, one.start() - 1) + 1
        line = text[start : one.start()]
        if not line.lstrip().startswith(("|", "-", "=", "#")):
            found.append((start, line))
    return [title.strip() for _, title in sorted(found) if title.strip()]


def code_blocks(text: str, size: int) -> Iterator[Block]:
    """Functions and classes; of a longer one than ``size`` the parts, each with its first line."""
    for start, end in _top_level(text):
        block = _lines_only(text, start, end)
        if block.end - block.begin <= size:
            yield from (block,) if block.end > block.begin else ()
            continue
        first_line = text[block.begin : text.find("\n", block.begin) + 1]
        # What a part belongs to: a class, a function. A line of data is too long to be said again.
        head = first_line if len(first_line) <= _MAX_NAME_CHARS else ""
        for part in _BLOCK.finditer(text, block.begin, block.end):
            for lines in _in_lines(text, _lines_only(text, *part.span()), size - len(head)):
                yield lines._replace(head=head if lines.begin > block.begin else "")


def _top_level(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for gap in re.finditer(r"\n\s*\n", text):
        # Between an empty line and a line at the margin.
        if _TOP.match(text, gap.end()):
            yield start, gap.end()
            start = gap.end()
    yield start, len(text)


def _lines_only(text: str, start: int, end: int) -> Block:
    """Without empty lines at its ends; the first line keeps its indentation."""
    piece = text[start:end]
    if not piece.strip():
        return Block(start, start, False)
    blank = len(piece) - len(piece.lstrip())
    first = piece.rfind("\n", 0, blank) + 1
    return Block(start + first, start + len(piece.rstrip()), False)


def _in_lines(text: str, block: Block, size: int) -> Iterator[Block]:
    begin = at = block.begin
    while at < block.end:
        after = text.find("\n", at, block.end)
        after = block.end if after < 0 else after + 1
        if after - begin > size and at > begin:
            yield Block(begin, at - 1, False)
            begin = at
        while after - begin > size:
            yield Block(begin, begin + size, False)
            begin += size
        at = after
    if block.end > begin:
        yield Block(begin, block.end, False)
