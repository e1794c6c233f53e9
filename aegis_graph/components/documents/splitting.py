"""Cuts a document's text into passages at headings and paragraphs, each an exact piece of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aegis_graph.text.passages import Passage
from aegis_graph.text.sentences import split_sentences

MAX_PASSAGE_CHARS = 900
"""Characters of a passage, at most."""
FULL_PASSAGE_CHARS = 600
"""Characters from which a passage is not filled up any more."""
MIN_SECTION_CHARS = 300
"""Characters from which a heading begins a new passage."""

_BLOCK = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|$))+")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+([^\n]*)")

_Block = tuple[int, int, bool]
"""Begin, end, and whether it begins with a heading."""


def split_passages(
    text: str, *, source: str, start: int = 0, page: int | None = None
) -> list[Passage]:
    """Cut a text into passages of at most ``MAX_PASSAGE_CHARS`` characters.

    Args:
        text: The text of a file or of one page.
        source: What the passages name as their source.
        start: Where the text begins in the whole document's text.
        page: The page it is.
    """
    passages: list[Passage] = []
    heading = ""
    for begin, end in _packed(text):
        piece = text[begin:end]
        titles = _titles(piece)
        if titles and piece.startswith("#"):
            heading = titles[0]
        passages.append(
            Passage(source=source, text=piece, start=start + begin, page=page, heading=heading)
        )
        # The last heading in this piece is the one above the next piece.
        heading = titles[-1] if titles else heading
    return passages


def _packed(text: str) -> Iterator[tuple[int, int]]:
    """Spans of neighbouring blocks that fill a passage each."""
    begin = end = -1
    for first, last, is_heading in _blocks(text):
        size = end - begin
        room = (
            size < FULL_PASSAGE_CHARS
            and last - begin <= MAX_PASSAGE_CHARS
            and not (is_heading and size >= MIN_SECTION_CHARS)
        )
        if begin >= 0 and room:
            end = last
            continue
        if begin >= 0:
            yield begin, end
        begin, end = first, last
    if begin >= 0:
        yield begin, end


def _blocks(text: str) -> Iterator[_Block]:
    """Paragraphs, each with the headings above it, none longer than a passage."""
    pending: int | None = None
    for block in _paragraphs(text):
        first, last, is_heading = block
        # A heading alone waits for the paragraph that it heads: at the end of a passage it would be
        # cut from it.
        if is_heading and "\n" not in text[first:last]:
            pending = first if pending is None else pending
            continue
        whole = (first if pending is None else pending, last, is_heading or pending is not None)
        pending = None
        yield from _fitting(text, whole)
    if pending is not None:
        yield from _fitting(text, (pending, len(text.rstrip()), True))


def _paragraphs(text: str) -> Iterator[_Block]:
    for block in _BLOCK.finditer(text):
        start = block.start()
        # A heading needs no empty line before it.
        for heading in re.finditer(r"^\s{0,3}#{1,6}\s", block[0], re.MULTILINE):
            if block.start() + heading.start() > start:
                yield _block(text, start, block.start() + heading.start())
                start = block.start() + heading.start()
        yield _block(text, start, block.end())


def _block(text: str, start: int, end: int) -> _Block:
    piece = text[start:end]
    first = end - len(piece.lstrip())
    return first, start + len(piece.rstrip()), bool(_HEADING.match(text, first))


def _fitting(text: str, block: _Block) -> Iterator[_Block]:
    """A block, cut after sentences or rows where it is too long for one passage."""
    first, last, is_heading = block
    if last - first <= MAX_PASSAGE_CHARS:
        yield block
        return
    begin = end = first
    for sentence in split_sentences(text[first:last]):
        after = first + sentence.start + len(sentence.text)
        if after - begin > MAX_PASSAGE_CHARS and end > begin:
            yield begin, end, is_heading
            # Of a block that is cut, only the first piece has the heading.
            begin, is_heading = first + sentence.start, False
        end = after
    yield begin, last, is_heading


def _titles(piece: str) -> list[str]:
    return [one.text for one in split_sentences(piece) if one.kind == "heading"]
