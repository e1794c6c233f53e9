"""The present, as an aware datetime in UTC, from a clock that is passed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the present as an aware datetime in UTC."""


def utc_now() -> datetime:
    """The present as an aware datetime in UTC: the clock where a caller gives none."""
    return datetime.now(UTC)
