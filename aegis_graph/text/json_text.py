"""JSON as models write it: read as it is, or mended. Nothing that they say breaks the reader."""

from __future__ import annotations

import json
from typing import Any

MAX_NESTING = 100
"""Deeper than any answer, and shallow enough for whatever walks through it."""


_DECODER = json.JSONDecoder()


def leading_json(text: str) -> tuple[Any, int]:
    """The value that a text begins with, and where it ends.

    Raises:
        ValueError: There is none, or it is nested too deep.
    """
    try:
        value, end = _DECODER.raw_decode(text)
    # A model that repeats itself writes brackets beyond the stack. The call is paid for: it is an
    # answer that does not fit, and no end of the run.
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if _is_too_deep(value):
        raise ValueError("nested too deep")
    return value, end


def repaired_json(text: str) -> Any:
    """The value of a JSON text that may be damaged; ``None`` or ``""`` where there is none.

    Example:
        >>> repaired_json('Sure! {"steps": ["a", "b"'), repaired_json("[" * 100_000)
        ({'steps': ['a', 'b']}, None)
    """
    # Imported here: it takes a while, and most answers need no mending.
    import json_repair  # noqa: PLC0415

    try:
        value = json_repair.loads(text)
    # What it says of brackets nested a thousand deep.
    except (RecursionError, ValueError):
        return None
    return None if _is_too_deep(value) else value


def _is_too_deep(value: Any) -> bool:
    # Level by level: a function that calls itself would fail on the very values it has to find.
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
