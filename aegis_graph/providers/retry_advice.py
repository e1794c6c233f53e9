"""When a provider says that it may be asked again, in each of the forms in which providers say it.

Pure: the present is the answer's own ``Date`` where it has one, and the caller's clock elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

RESET_HEADERS: Mapping[str, str] = {
    # OpenAI, Azure, Groq, Mistral: https://platform.openai.com/docs/guides/rate-limits
    "x-ratelimit-reset-requests": "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-tokens": "x-ratelimit-remaining-tokens",
    # Anthropic: https://platform.claude.com/docs/en/api/rate-limits
    "anthropic-ratelimit-requests-reset": "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-tokens-reset": "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset": "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset": "anthropic-ratelimit-output-tokens-remaining",
    # OpenRouter, Together, and the IETF's draft
    "x-ratelimit-reset": "x-ratelimit-remaining",
    "ratelimit-reset": "ratelimit-remaining",
}
"""When a limit is free again, and what is left of it."""

_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_PART = r"\d+(?:\.\d+)?\s*(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d)"
_DURATION = re.compile(rf"(?:{_PART}\s*)+")
_PARTS = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_IN_TEXT = re.compile(rf"(?:try again|retry|retrying) (?:in|after):? ((?:{_PART}\s*)+)")

_MAX_DURATION = 100

_EPOCH_S = 1e9
"""Larger numbers are points in time: in seconds, from a thousand times as many on in milliseconds.

As a wait it would be 31 years; as a time it was in 2001.
"""


class RetryAdvice(NamedTuple):
    """What a provider advises."""

    after_s: float | None = None
    """Seconds to wait; ``None`` where it names none that can be true."""
    should_retry: bool | None = None
    """Whether to ask again at all, where it says so."""


def retry_advice(
    status: int,
    headers: Mapping[str, str],
    *,
    now: datetime,
    objects: Iterable[Mapping[str, Any]] = (),
    text: str = "",
) -> RetryAdvice:
    """What an answer with an error says about asking again.

    Args:
        status: Its HTTP status. Limits, and what stands in the body, count for 429 alone.
        headers: Its headers, with names in lower case.
        now: The present, for dates where the answer has none of its own.
        objects: The error object in its body, and those inside it.
        text: The error's message, in lower case.

    Example:
        >>> retry_advice(503, {"retry-after-ms": "1500"}, now=datetime.now(UTC)).after_s
        1.5
    """
    now = _date(headers.get("date", "")) or now
    flag = {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
    after_s = _number(headers.get("retry-after-ms"), scale=0.001)
    if after_s is None:
        after_s = _wait_s(headers.get("retry-after"), now)
    if after_s is None and status == 429:
        after_s = _from_body(objects, text, now)
    if after_s is None and status == 429:
        after_s = _from_limits(headers, now)
    return RetryAdvice(after_s, flag)


class LimitLeft(NamedTuple):
    """What a provider says is left of a limit of its own."""

    unit: Literal["requests", "tokens"]
    left: int
    free_in_s: float
    """When all of the limit is free again, in seconds."""


def limits_left(headers: Mapping[str, str], *, now: datetime) -> list[LimitLeft]:
    """What an answer's headers say is left of the provider's limits.

    Args:
        headers: With names in lower case.
        now: The present, for dates where the answer has none of its own.

    Example:
        >>> said = {"x-ratelimit-remaining-tokens": "90", "x-ratelimit-reset-tokens": "6m0s"}
        >>> limits_left(said, now=datetime.now(UTC))
        [LimitLeft(unit='tokens', left=90, free_in_s=360.0)]
    """
    now = _date(headers.get("date", "")) or now
    found = []
    for reset, remaining in RESET_HEADERS.items():
        left, free_in_s = _number(headers.get(remaining)), _wait_s(headers.get(reset), now)
        if left is not None and free_in_s is not None:
            unit: Literal["requests", "tokens"] = "tokens" if "token" in remaining else "requests"
            found.append(LimitLeft(unit, int(left), free_in_s))
    return found


def _from_body(objects: Iterable[Mapping[str, Any]], text: str, now: datetime) -> float | None:
    for one in objects:
        # ``google.rpc.RetryInfo``
        if (after_s := _wait_s(one.get("retrydelay"), now)) is not None:
            return after_s
        headers = one.get("headers")
        if isinstance(headers, Mapping):
            # OpenRouter repeats its limits here.
            named = {str(name).lower(): value for name, value in headers.items()}
            if (after_s := _from_limits(named, now)) is not None:
                return after_s
    said = _IN_TEXT.search(text)
    return _duration_s(said[1]) if said else None


def _from_limits(headers: Mapping[str, Any], now: datetime) -> float | None:
    waits = (
        _wait_s(headers.get(reset), now)
        for reset, left in RESET_HEADERS.items()
        if _number(headers.get(left, "0")) == 0
    )
    return max((wait for wait in waits if wait is not None), default=None)


def _wait_s(value: object, now: datetime) -> float | None:
    """Seconds from a number, a duration or a point in time; ``None`` where it is none of them."""
    number = _number(value)
    if number is not None:
        if number < _EPOCH_S:
            return number
        seconds = number / 1000 if number >= 1000 * _EPOCH_S else number
        return _future(seconds - now.timestamp())
    if not isinstance(value, str):
        return None
    if (seconds_or_none := _duration_s(value.strip().lower())) is not None:
        return seconds_or_none
    moment = _date(value)
    return None if moment is None else _future((moment - now).total_seconds())


def _number(value: object, *, scale: float = 1) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value) * scale
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _duration_s(text: str) -> float | None:
    """Seconds of a duration such as ``6m0s``, ``20ms`` or ``7.66s``."""
    if len(text) > _MAX_DURATION or not _DURATION.fullmatch(text):
        return None
    parts = _PARTS.findall(text)
    # "milliseconds" and "minutes" begin alike.
    seconds = sum(
        float(count) * _UNITS["ms" if unit.startswith(("ms", "milli")) else unit[0]]
        for count, unit in parts
    )
    return _number(seconds)


def _date(text: str) -> datetime | None:
    """A point in time in HTTP's or RFC 3339's form."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text.strip())
            # Without a zone it is UTC, as both forms want it. Some years have no UTC.
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _future(seconds: float) -> float | None:
    """A wait; ``None`` for a time that is over, which says nothing about the next one."""
    return seconds if seconds > 0 else None
