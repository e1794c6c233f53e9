"""Scripts: which letters are written without spaces between words."""

from __future__ import annotations

_UNSPACED = (("\u0e00", "\u0eff"), ("\u1780", "\u17ff"), ("\u2e80", "\uffef"))
"""Thai, Lao, Khmer, and those of East Asia, with their punctuation."""


def is_unspaced(char: str) -> bool:
    """Whether a character belongs to a script in which words stand without spaces, or nearly so.

    Example:
        >>> is_unspaced("\u5468"), is_unspaced("\u3002"), is_unspaced("a")
        (True, True, False)
    """
    # Nearly every letter that is asked about is below all of them.
    return char >= _UNSPACED[0][0] and any(first <= char <= last for first, last in _UNSPACED)
