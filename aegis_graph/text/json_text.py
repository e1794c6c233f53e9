"""JSON as models write it: found, read as it is, or mended. No text breaks the reader."""

from __future__ import annotations

import json
import re
from typing import Any, SupportsIndex

from typing_extensions import override

from aegis_graph.text.foreign import with_whole_characters
from aegis_graph.text.reasoning import spoken_part

MAX_NESTING = 100
"""Deeper than any answer, and shallow enough for whatever walks through it."""

MAX_REPAIRED = 100_000
"""Characters of the longest text that is mended."""

_READS_PER_CHARACTER = 5
_READS_MORE = 20_000
"""How often the mender may look at a text. It needs 2 or 3 looks at a character of an answer, and
thousands at one of a text made to hold it up."""

_DECODER = json.JSONDecoder()

_OPENING = re.compile(
    r"(?:```\w*|<tool_call>|<function_call>|<tools?>|<\|python_tag\|>|\[TOOL_CALLS\]\s*\[?)\s*(?={)"
)
"""What models write before an object: a fence, or their template's mark of a tool call."""

_ESCAPED = re.compile(r"\\.")
_CLOSINGS = ("```", "</tool_call>", "</function_call>", "</tool>", "</tools>", "]", "<|im_end|>")


def answer_part(text: str) -> str:
    r"""The part of a text in which an answer's object stands: no reasoning before it, and no fence.

    Example:
        >>> answer_part('<think>maybe {usd: 5}</think> {"usd": 10}')
        '{"usd": 10}'
        >>> answer_part('Here:\n```json\n{"usd": 10}\n```')
        '{"usd": 10}\n```'
    """
    text = spoken_part(text).strip()
    if not text.startswith("{") and (opening := _OPENING.search(text)):
        text = text[opening.end() :]
    return text


def whole_json(text: str) -> Any:
    """The value that a text consists of, apart from a fence's end and a remark behind it.

    Raises:
        ValueError: The text is no such value, or the value is nested too deep.
    """
    value, end = leading_json(text)
    if (rest := text[end:].lstrip()) and not rest.startswith(_CLOSINGS):
        raise ValueError("text behind the value")
    return value


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
    if is_too_deep(value):
        raise ValueError("nested too deep")
    return with_whole_characters(value), end


def repaired_json(text: str) -> Any:
    """The value of a JSON text that may be damaged; ``None`` or ``""`` where there is none.

    Neither a long text nor one with more open brackets than an answer has is mended.

    Example:
        >>> repaired_json('Sure! {"steps": ["a", "b"'), repaired_json("[" * 100_000)
        ({'steps': ['a', 'b']}, None)
    """
    if len(text) > MAX_REPAIRED or _open_brackets(text) > MAX_NESTING:
        return None
    # Imported here: it takes a while, and most answers need no mending.
    import json_repair  # noqa: PLC0415

    try:
        value = json_repair.loads(_CountedText(text))
    # What it says of brackets nested a thousand deep, and what stops it.
    except (RecursionError, ValueError):
        return None
    return None if is_too_deep(value) else with_whole_characters(value)


def repaired_object(text: str) -> dict[str, Any] | None:
    """The object of a JSON text that may be damaged; some models put it into a list.

    Example:
        >>> repaired_object('[{"usd": 10'), repaired_object("It is 10 USD.")
        ({'usd': 10}, None)
    """
    found = repaired_json(text) if "{" in text else None
    rows = found if isinstance(found, list) else [found]
    return next((one for one in rows if isinstance(one, dict)), None)


def is_cut_off(text: str, *, at_cap: bool) -> bool:
    """Whether an answer stops half-way, and not only its closing brackets are missing.

    Args:
        text: Begins with the value, where it has one.
        at_cap: Whether the answer ended at a cap of tokens; then it has to be whole.

    Example:
        >>> is_cut_off('["Who?", "When do', at_cap=False), is_cut_off('["Who?"', at_cap=False)
        (True, False)
    """
    if not text.startswith(("{", "[")):
        return at_cap
    try:
        leading_json(text)
    except ValueError:
        in_text = _ESCAPED.sub("", text).count('"') % 2 == 1
        return at_cap or (in_text and not text.rstrip().endswith(("}", "]", "`")))
    return False


class _CountedText(str):
    """A text that ends its reader's work when it has been looked at too often."""

    _left: int

    def __new__(cls, text: str) -> _CountedText:
        counted = super().__new__(cls, text)
        counted._left = len(text) * _READS_PER_CHARACTER + _READS_MORE
        return counted

    @override
    def __getitem__(self, place: SupportsIndex | slice) -> str:
        found = super().__getitem__(place)
        # A piece is as much work as its copying.
        self._left -= 1 + len(found) // 64
        if self._left < 0:
            raise ValueError("mended for too long")
        return found


def _open_brackets(text: str) -> int:
    """The most brackets that are open at once, those in texts of the value included."""
    most = now = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        now = max(0, now + (1 if bracket in "[{" else -1))
        most = max(most, now)
    return most


def is_too_deep(value: Any) -> bool:
    """Whether a value is nested deeper than any answer."""
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
