"""Answers that come to no end by themselves: blanks up to the cap, or one piece over and over."""

from __future__ import annotations

MAX_BLANK = 400
"""Blank characters in a row that no answer needs; a model bound by a grammar may write no other."""

MAX_REPEATED = 100
"""How often a piece may stand in a row at the end of an answer that a cap cut off."""

_LONGEST_PIECE = 32


def runs_away(text: str) -> bool:
    """Whether a text that a cap cut off would have gone on like this for ever.

    Example:
        >>> runs_away("Paris." + " ha" * 200), runs_away("Half an ans")
        (True, False)
    """
    if len(text) - len(text.rstrip()) >= MAX_BLANK:
        return True
    return any(
        text.endswith(text[-size:] * MAX_REPEATED)
        for size in range(1, _LONGEST_PIECE + 1)
        if len(text) >= size * MAX_REPEATED
    )
