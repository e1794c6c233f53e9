"""Cuts a long picture, such as the screenshot of a page, into slices that can be read.

Scaled to what a model takes, its lines would be a few pixels high. It is cut where no line of text
stands; where there is no such place, two slices share some rows, and their texts are joined there.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aegis_graph.request.image_files import MAX_SIDE, open_image
from aegis_graph.request.images import ImageSize, read_image_header

SLICE_ROWS = 1600
"""Most rows of a slice: a page's width by these is what a model sees without scaling it down."""

MAX_SLICES = 40
"""Most slices of a picture; each is a request of its own."""

MAX_SLICED_PIXELS = 40_000_000
"""A larger picture is scaled down: cutting it would take too much memory."""

_LEAST_RATIO = 2.5
"""Height over width of a picture that is cut. A page of paper has 1.4, a telephone's screen 2.2."""

_SEARCHED_ROWS = 400
_SHARED_ROWS = 200
"""Where the end of a slice is looked for, and what two slices share where none was found."""

_BLANK, _BLANK_ROWS = 24, 3
"""Most difference of brightness, of 255, in a row without writing, and how many such rows a gap
has at least. The compression of a JPEG makes some."""

_SAME_LINE = 0.85
"""How alike two readings of one line are, from 0 to 1."""

_CUT_LINES = 2
"""Lines at the edge of a slice that its cut may have made unreadable."""

_JOINED_LINES = 15
"""Lines on either side that may be in the rows that two slices share."""


class Slice(NamedTuple):
    """Some rows of a picture."""

    picture: Any
    """A Pillow image in RGB."""
    top: int
    """Its first row in the whole picture."""
    shared: int = 0
    """How many of its first rows the slice before has as well."""


class Slices(NamedTuple):
    """A picture in pieces."""

    slices: list[Slice]
    unread_rows: int = 0
    """Rows below the last slice."""


def open_slices(data: bytes) -> Slices:
    """The slices of a long picture, or the whole picture as the only one.

    Raises:
        InvalidRequestError: It is no image, broken, or has too many pixels.
    """
    header = read_image_header(data)
    if header is None or not is_long(header.size):
        return Slices([Slice(open_image(data), 0)])
    picture = open_image(data, most_side=max(header.size))
    # Turned by its orientation, it may be wide.
    if picture.height < picture.width:
        picture.thumbnail((MAX_SIDE, MAX_SIDE))
        return Slices([Slice(picture, 0)])
    slices = list(itertools.islice(_cut(picture), MAX_SLICES))
    last = slices[-1]
    return Slices(slices, picture.height - last.top - last.picture.height)


def is_long(size: ImageSize) -> bool:
    """Whether a picture of this size, upright or on its side, is one to cut.

    Example:
        >>> is_long(ImageSize(690, 15_420)), is_long(ImageSize(2480, 3508))
        (True, False)
    """
    pixels = size.width * size.height
    return max(size) > 2 * SLICE_ROWS and size.ratio > _LEAST_RATIO and pixels <= MAX_SLICED_PIXELS


def _cut(picture: Any) -> Iterator[Slice]:
    top = shared = 0
    while picture.height - top > SLICE_ROWS:
        end = _gap(picture, top + SLICE_ROWS)
        bottom = top + SLICE_ROWS if end is None else end
        yield Slice(picture.crop((0, top, picture.width, bottom)), top, shared)
        shared = _SHARED_ROWS if end is None else 0
        top = bottom - shared
    yield Slice(picture.crop((0, top, picture.width, picture.height)), top, shared)


def _gap(picture: Any, end: int) -> int | None:
    """The middle of the widest gap between lines in the rows above ``end``."""
    start = end - _SEARCHED_ROWS
    band = picture.crop((0, start, picture.width, end)).convert("L")
    blank = [_is_blank(band, row) for row in range(band.height)]
    widest, middle, row = 0, None, start
    for is_blank, run in itertools.groupby(blank):
        count = len(list(run))
        if is_blank and count >= max(widest, _BLANK_ROWS):
            widest, middle = count, row + count // 2
        row += count
    return middle


def _is_blank(band: Any, row: int) -> bool:
    darkest, brightest = band.crop((0, row, band.width, row + 1)).getextrema()
    return bool(brightest - darkest <= _BLANK)


def join_texts(texts: Sequence[str], shared: Sequence[bool]) -> str:
    r"""The text of a picture from the texts of its slices, each line once.

    Args:
        texts: From top to bottom.
        shared: Of each, whether the slice before has some of its rows as well.

    Example:
        >>> join_texts(["one\ntwo\nth", "wo\ntwo\nthree\nfour"], [False, True])
        'one\ntwo\nthree\nfour'
        >>> join_texts(["one\ntwo", "two\nthree"], [False, False])
        'one\ntwo\ntwo\nthree'
    """
    joined: list[str] = []
    for text, is_shared in zip(texts, shared, strict=True):
        lines = text.splitlines()
        kept, begin = _seam(joined, lines) if is_shared else (len(joined), 0)
        joined = [*joined[:kept], *lines[begin:]]
    return "\n".join(joined)


def _seam(above: Sequence[str], below: Sequence[str]) -> tuple[int, int]:
    """How many lines of the first text to keep, and from which one of the second to go on.

    A line that the cut went through is read badly on one side, and well on the other.
    """
    first = max(0, len(above) - _JOINED_LINES)
    tail, head = list(above[first:]), list(below[:_JOINED_LINES])
    names = [next((old for old in reversed(tail) if _alike(old, line)), line) for line in head]
    match = difflib.SequenceMatcher(None, tail, names, autojunk=False).find_longest_match()
    kept = match.a + match.size
    # Anywhere else the lines only look alike, and what is between would be lost.
    if not match.size or len(tail) - kept > _CUT_LINES or match.b > _CUT_LINES:
        return len(above), 0
    return first + kept, match.b + match.size


def _alike(one: str, other: str) -> bool:
    one, other = ("".join(line.casefold().split()) for line in (one, other))
    if one == other:
        return bool(one)
    # Rows of a table differ in their figures only.
    figures = [re.findall(r"\d", line) for line in (one, other)]
    alike = difflib.SequenceMatcher(None, one, other).ratio() >= _SAME_LINE
    return alike and figures[0] == figures[1]


def owned_rows(slices: Sequence[Slice], number: int) -> tuple[float, float]:
    """The rows of the whole picture of which a slice has the say: shared ones are divided."""
    own = slices[number]
    begin = own.top + own.shared / 2
    if number + 1 == len(slices):
        return begin, float("inf")
    return begin, slices[number + 1].top + slices[number + 1].shared / 2
