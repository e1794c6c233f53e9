"""Which lines of a file a piece of its text stands in."""

from __future__ import annotations


class LineCounter:
    """Counts lines from one piece to the next, so that a text is gone through once."""

    def __init__(self, text: str, first_line: int | None) -> None:
        self._text = text
        self._line = first_line
        self._at = 0

    def between(self, begin: int, end: int) -> tuple[int, int] | None:
        """The first and the last line of a piece; pieces come in the order of the text."""
        if self._line is None:
            return None
        first = self._line + self._text.count("\n", self._at, begin)
        self._line, self._at = first, begin
        return first, first + self._text.count("\n", begin, end)
