"""Cuts a document's text into passages at headings and paragraphs, each an exact piece of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aegis_graph.components.documents.blocks import (
    Block,
    code_blocks,
    has_marked_headings,
    marked_headings,
    text_blocks,
)
from aegis_graph.text.passages import Passage
from aegis_graph.text.sentences import split_sentences

MAX_PASSAGE_CHARS = 900
"""Characters of a passage, at most."""
FULL_PASSAGE_CHARS = 600
"""Characters from which a passage is not filled up any more."""
MIN_SECTION_CHARS = 300
"""Characters from which a heading begins a new passage."""

# Reading sentences takes longer than all the rest: only where there is a short line without a full
# stop, or one that is underlined.
_MAYBE_TITLE = re.compile(
    r"^(?:[ \t]*[^\W_a-z][^\n]{0,58}\w[ \t]*|[ ]{0,3}(?:=+|-{3,})[ \t]*)$", re.MULTILINE
)


class Piece(NamedTuple):
    """A part of a text that makes a passage."""

    begin: int
    end: int
    heading: str
    """The heading that it stands under."""
    head: str = ""
    """What it needs before it to make sense: the head of the table that it continues."""


def split_passages(
    text: str, *, source: str, start: int = 0, page: int | None = None
) -> list[Passage]:
    """Cut a text into passages of at most ``MAX_PASSAGE_CHARS`` characters, exact pieces of it.

    Args:
        text: The text of a file or of one page.
        source: What the passages name as their source.
        start: Where the text begins in the whole document's text.
        page: The page it is.
    """
    return [
        Passage(
            source=source,
            text=text[piece.begin : piece.end],
            start=start + piece.begin,
            page=page,
            heading=piece.heading,
        )
        for piece in split_text(text)
    ]


def split_text(text: str, *, code: bool = False, repeat_heads: bool = False) -> Iterator[Piece]:
    """Cut a text into pieces for passages.

    Args:
        text: Markdown, plain text, or source code.
        code: Whether it is source code, which is cut between functions.
        repeat_heads: Whether the pieces of a table or block of code that is longer than a passage
            have its head again. It counts in the passage's length.
    """
    if code:
        yield from _code_pieces(text)
        return
    heading, marked = "", has_marked_headings(text)
    for begin, end, head in _packed(text, _fitting(text, repeat_heads=repeat_heads)):
        piece = text[begin:end]
        titles = _titles(piece, marked=marked)
        if titles and piece.startswith("#"):
            heading = titles[0]
        yield Piece(begin, end, heading, head)
        # The last heading in this piece is the one above the next piece.
        heading = titles[-1] if titles else heading


def _packed(text: str, blocks: Iterable[Block]) -> Iterator[tuple[int, int, str]]:
    """Neighbouring blocks that fill a passage each."""
    begin = end = -1
    before = ""
    for first, last, is_heading, head in blocks:
        size = end - begin + len(before)
        room = (
            size < FULL_PASSAGE_CHARS
            and last - begin + len(before) <= MAX_PASSAGE_CHARS
            and not (is_heading and size >= MIN_SECTION_CHARS)
            # What has its head in the piece already needs none.
            and (not head or head == before or text.startswith(head, begin))
        )
        if begin >= 0 and room:
            end = last
            continue
        if begin >= 0:
            yield begin, end, before
        begin, end, before = first, last, head
    if begin >= 0:
        yield begin, end, before


def _fitting(text: str, *, repeat_heads: bool) -> Iterator[Block]:
    """Paragraphs, each with the headings and the line that leads to it, none over a passage."""
    pending: Block | None = None
    for block in text_blocks(text):
        # A heading alone waits for the paragraph that it heads, as "Install with pip:" does for the
        # code below: at the end of a passage it would be cut from it.
        if _leads(text, block):
            if pending is not None and block.end - pending.begin > MAX_PASSAGE_CHARS // 2:
                yield from _cut(text, pending, repeat_heads=repeat_heads)
                pending = None
            pending = block if pending is None else _joined(pending, block)
            continue
        if pending is not None and block.end - pending.begin <= MAX_PASSAGE_CHARS:
            yield _joined(pending, block)
        elif pending is not None and block.end - block.begin <= MAX_PASSAGE_CHARS:
            yield from (pending, block)
        else:
            whole = block if pending is None else _joined(pending, block)
            yield from _cut(text, whole, repeat_heads=repeat_heads)
        pending = None
    if pending is not None:
        yield from _cut(text, pending, repeat_heads=repeat_heads)


def _leads(text: str, block: Block) -> bool:
    if block.end - block.begin > MIN_SECTION_CHARS:
        return False
    piece = text[block.begin : block.end]
    return piece.endswith(":") or (block.is_heading and "\n" not in piece)


def _joined(first: Block, second: Block) -> Block:
    return Block(first.begin, second.end, first.is_heading)


def _cut(text: str, block: Block, *, repeat_heads: bool) -> Iterator[Block]:
    """A block, cut after sentences or rows where it is too long for one passage."""
    first, last, is_heading, _ = block
    if last - first <= MAX_PASSAGE_CHARS:
        yield block
        return
    head = _head(text[first:last]) if repeat_heads else ""
    begin = end = first
    before = ""
    for start, after in _units(text, first, last):
        if after - begin + len(before) > MAX_PASSAGE_CHARS and end > begin:
            yield from _bounded(text, Block(begin, end, is_heading, before))
            # Of a block that is cut, only the first piece has the heading.
            begin, is_heading, before = start, False, head
        end = after
    yield from _bounded(text, Block(begin, last, is_heading, before))


def _bounded(text: str, block: Block) -> Iterator[Block]:
    """A piece, cut again where it has more than its sentences: rules, marks, one long word."""
    begin, last, is_heading, head = block
    while last - begin + len(head) > MAX_PASSAGE_CHARS:
        most = begin + MAX_PASSAGE_CHARS - len(head)
        # A row keeps its cells whole where they fit.
        cut = max(text.rfind(" ", begin + 1, most), text.rfind("\n", begin + 1, most))
        cut = most if cut <= begin or not text[begin:cut].strip() else cut
        yield Block(begin, cut, is_heading, head)
        # A copy of the rest for each piece would take the square of its length.
        ink = _INK.search(text, cut, last)
        begin, is_heading = (ink.start() if ink else last), False
    if begin < last:
        yield Block(begin, last, is_heading, head)


def _units(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """What is not cut where it fits: sentences, rows, lines of code."""
    for sentence in split_sentences(text[first:last]):
        start = first + sentence.start
        end = start + len(sentence.text)
        if sentence.kind in {"row", "code"}:
            # With the bars around the row, and the code's indentation.
            start = max(text.rfind("\n", first, start) + 1, first)
            end = min(_line_end(text, end), last)
        elif sentence.kind == "bullet":
            line = max(text.rfind("\n", first, start) + 1, first)
            start = line if _MARK.fullmatch(text, line, start) else start
        yield start, end


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


_INK = re.compile(r"\S")
_MARK = re.compile(r"\s*(?:[-*+\u2022]|\d{1,3}[.)])\s+")
_TABLE_HEAD = re.compile(r"^\s*\|[^\n]*\n\s*\|?[\s:|-]*-[\s:|-]*\n", re.MULTILINE)
_FENCE_HEAD = re.compile(r"^ *(?:```|~~~)[^\n]*\n", re.MULTILINE)
_MAX_HEAD_CHARS = MAX_PASSAGE_CHARS // 3


def _head(block: str) -> str:
    """What each further piece of a long block begins with again."""
    found = _TABLE_HEAD.search(block) or _FENCE_HEAD.search(block)
    return found[0].lstrip("\n") if found and len(found[0]) <= _MAX_HEAD_CHARS else ""


def _code_pieces(text: str) -> Iterator[Piece]:
    for begin, end, head in _packed(text, code_blocks(text, MAX_PASSAGE_CHARS)):
        yield Piece(begin, end, "", head)


def _titles(piece: str, *, marked: bool) -> list[str]:
    if marked:
        return marked_headings(piece)
    # What has no marks has headings by their shape alone, as in text from a PDF.
    if not _MAYBE_TITLE.search(piece):
        return []
    return [one.text for one in split_sentences(piece) if one.kind == "heading"]
