"""The text of a PDF's page, one column after the other."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

_LEAST_LINES = 6
"""Lines of a column; fewer on both sides are an address, a caption, or a pair of lists."""
_LEAST_CHARS = 22
"""Mean characters of a column's line: cells of a table are shorter."""
_MOST_ALIKE = 0.5
"""Share of a column's lines that begin with the same word; cells of a table often do."""
_MOST_BEGUN = 2 / 3
"""Share of them that begin with a capital letter or a digit, as cells do, and lines of prose less
often."""
_SAME = 3.0
"""Points by which what stands on one line, or begins at one edge, may differ."""


class _Chunk(NamedTuple):
    x: float
    y: float
    text: str


def page_text(page: Any) -> str:
    """A page's text, as its file orders it.

    Some programs write two columns line by line across the page. They are told by their common left
    edges and by lines too long for a table's cells, and put one below the other.
    """
    chunks: list[_Chunk] = []

    def keep(text: str, cm: Sequence[float], tm: Sequence[float], *_: object) -> None:
        if text.strip():
            x, y = tm[4] * cm[0] + tm[5] * cm[2] + cm[4], tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
            chunks.append(_Chunk(float(x), float(y), text.strip()))

    text = str(page.extract_text(visitor_text=keep))
    edge = _right_edge(chunks)
    return text if edge is None else _by_column(chunks, edge)


def _right_edge(chunks: Sequence[_Chunk]) -> float | None:
    """Where the right column begins, where there are two and they are mixed up."""
    if len(chunks) < 2 * _LEAST_LINES:
        return None
    starts = Counter(round(chunk.x / _SAME) for chunk in chunks)
    common = sorted(x for x, count in starts.items() if count >= _LEAST_LINES)
    if len(common) < 2:
        return None
    left = common[0] * _SAME
    width = max(chunk.x for chunk in chunks) - left
    for place in common[1:]:
        edge = (place - 0.5) * _SAME
        if edge - left >= max(0.3 * width, 100) and _is_mixed(chunks, edge):
            return edge
    return None


def _is_mixed(chunks: Sequence[_Chunk], edge: float) -> bool:
    sides = [chunk.x >= edge for chunk in chunks]
    changes = sum(one != other for one, other in itertools.pairwise(sides))
    columns = [
        _lines([chunk for chunk in chunks if (chunk.x >= edge) is side]) for side in (False, True)
    ]
    fewest = min(len(lines) for lines in columns)
    if fewest < _LEAST_LINES or changes < fewest:
        return False
    return all(map(_is_prose, columns))


def _is_prose(lines: Sequence[str]) -> bool:
    """Whether lines go on from one to the next, as those of a table do not."""
    begun = sum(line[0].isupper() or line[0].isdigit() for line in lines)
    [(_, alike)] = Counter(line.split()[0] for line in lines).most_common(1)
    return (
        sum(map(len, lines)) >= _LEAST_CHARS * len(lines)
        and begun < _MOST_BEGUN * len(lines)
        and alike <= _MOST_ALIKE * len(lines)
    )


def _by_column(chunks: Sequence[_Chunk], edge: float) -> str:
    """What stands above the right column's first line is the page's own, and comes first."""
    top = max(chunk.y for chunk in chunks if chunk.x >= edge) + _SAME
    above = [chunk for chunk in chunks if chunk.y > top]
    left = [chunk for chunk in chunks if chunk.y <= top and chunk.x < edge]
    right = [chunk for chunk in chunks if chunk.y <= top and chunk.x >= edge]
    return "\n".join(line for part in (above, left, right) for line in _lines(part))


def _lines(chunks: Sequence[_Chunk]) -> list[str]:
    lines: list[list[_Chunk]] = []
    for chunk in sorted(chunks, key=lambda one: -one.y):
        if lines and abs(lines[-1][0].y - chunk.y) <= _SAME:
            lines[-1].append(chunk)
        else:
            lines.append([chunk])
    return [" ".join(one.text for one in sorted(line, key=lambda one: one.x)) for line in lines]
