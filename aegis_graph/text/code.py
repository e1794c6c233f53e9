"""Where a Markdown text has code: fenced and indented blocks, and spans between backticks."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

Span = tuple[int, int]
"""Begin and end of a piece of a text, in characters."""

_FENCE = re.compile(r"[ \t]*(?:>[ \t]*)*(?:[-*+][ \t]+|\d{1,3}[.)][ \t]+)?(`{3,}|~{3,})([^\n]*)")
_LIST = re.compile(r"[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]")
_TICKS = re.compile(r"`+")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


def code_spans(text: str, *, closed_only: bool = False) -> list[Span]:
    r"""The pieces of a text that are code, in order.

    Args:
        text: Markdown.
        closed_only: Whether a fence that nothing closes is none; otherwise it reaches to the end.

    Example:
        >>> text = "Use `a[0]`:\n\n    b[1]\n"
        >>> [text[start:end] for start, end in code_spans(text)]
        ['`a[0]`', '    b[1]']
    """
    blocks = list(_blocks(text, closed_only=closed_only))
    spans: list[Span] = []
    start = 0
    for block in [*blocks, (len(text), len(text))]:
        spans += _inline(text, start, block[0])
        spans.append(block)
        start = block[1]
    return spans[:-1]


def is_inside(place: int, spans: Sequence[Span]) -> bool:
    """Whether a place lies in one of the spans, which are in order."""
    at = bisect_right(spans, place, key=lambda span: span[0]) - 1
    return at >= 0 and place < spans[at][1]


def _blocks(text: str, *, closed_only: bool) -> Iterator[Span]:
    fence, opened = "", 0
    after_blank, in_list, in_block = True, False, False
    position = 0
    for line in text.split("\n"):
        start, position = position, position + len(line) + 1
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                yield opened, start + len(line)
                fence = ""
            continue
        # Behind backticks that open a block there is no other backtick.
        if mark and "`" not in mark[2]:
            fence, opened = mark[1], start
            after_blank = in_block = False
            continue
        blank = not line.strip()
        deep = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())
        # Below an item of a list, what is indented once goes on with the item.
        in_block = not blank and deep >= (8 if in_list else 4) and (after_blank or in_block)
        if in_block:
            yield start, start + len(line)
        elif not blank and (_LIST.match(line) or deep == 0):
            in_list = bool(_LIST.match(line))
        after_blank = blank
    if fence and not closed_only:
        yield opened, len(text)


def _inline(text: str, first: int, last: int) -> Iterator[Span]:
    """Spans between two runs of as many backticks, within a paragraph."""
    runs = [mark.span() for mark in _TICKS.finditer(text, first, last)]
    ends: dict[int, list[int]] = {}
    for at, (start, end) in enumerate(runs):
        ends.setdefault(end - start, []).append(at)
    at = 0
    while at < len(runs):
        start, end = runs[at]
        same = ends[end - start]
        closing = same[place] if (place := bisect_right(same, at)) < len(same) else None
        if closing is None or _BLANK_LINE.search(text, end, runs[closing][0]):
            at += 1
        else:
            yield start, runs[closing][1]
            at = closing + 1
