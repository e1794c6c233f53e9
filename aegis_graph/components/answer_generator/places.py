"""Where a quote stands in its document, and a link that leads there."""

from __future__ import annotations

from urllib.parse import quote as percent_encoded

from typing_extensions import TypedDict

from aegis_graph.text.passages import Passage
from aegis_graph.text.sentences import split_sentences


class QuotePlace(TypedDict):
    """A place in a document, as far as it is known."""

    page: int | None
    """Page of a PDF document, counted from 1."""
    slide: int | None
    sheet: str
    heading: str
    """The heading above it."""
    lines: list[int] | None
    """First and last line in the file, counted from 1."""
    link: str
    """The source with the place behind it, as viewers and editors take it: ``a.pdf#page=3``,
    ``a.md#L10-L14``. It is relative to where the documents are, and percent-encoded."""


def place_of(passage: Passage, start: int, end: int) -> QuotePlace:
    r"""Where a piece of a passage stands.

    Args:
        passage: The passage.
        start: Where the piece begins in the passage's text, in characters.
        end: Where it ends.

    Example:
        >>> passage = Passage(source="a b.md", text="# A\n\nIt is\nhard.", lines=(7, 10))
        >>> place = place_of(passage, 5, 16)
        >>> place["heading"], place["lines"], place["link"]
        ('A', [9, 10], 'a%20b.md#L9-L10')
    """
    lines = _lines(passage, start, end)
    return QuotePlace(
        page=passage.page,
        slide=passage.slide,
        sheet=passage.sheet,
        heading=_heading(passage, start),
        lines=lines,
        link=_link(passage, lines),
    )


def _lines(passage: Passage, start: int, end: int) -> list[int] | None:
    if passage.lines is None:
        return None
    first, last = passage.lines
    # Counted from the end: a passage that continues a table begins with a copy of its head.
    found = (last - passage.text.count("\n", at) for at in (start, end))
    return [max(first, line) for line in found]


def _heading(passage: Passage, start: int) -> str:
    above = [one for one in split_sentences(passage.text[:start]) if one.kind == "heading"]
    return above[-1].text if above else passage.heading


def _link(passage: Passage, lines: list[int] | None) -> str:
    is_url = passage.source.startswith(("http://", "https://"))
    source = passage.source if is_url else percent_encoded(passage.source)
    if passage.page is not None:
        return f"{source}#page={passage.page}"
    # A web page has no lines that a browser knows of.
    if lines is None or is_url:
        return source
    first, last = lines
    return f"{source}#L{first}" if first == last else f"{source}#L{first}-L{last}"
