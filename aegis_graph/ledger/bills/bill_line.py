"""One line of a provider's bill, in the form that all formats are read into."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

TokenKind = Literal["input", "cached_input", "cache_write", "output"]


class Period(NamedTuple):
    """What a line is for: half-open, both aware and in UTC."""

    start: datetime
    end: datetime

    @property
    def day(self) -> str:
        """The calendar day that it covers, by the bill's own midnight, as an ISO date."""
        # The middle is on that day in UTC as well, wherever the bill's midnight is.
        return (self.start + (self.end - self.start) / 2).date().isoformat()

    @property
    def is_within_a_day(self) -> bool:
        """Whether it is at most a day."""
        return timedelta(0) < self.end - self.start <= timedelta(hours=25)


class BillLine(NamedTuple):
    """An amount that a provider asks for."""

    period: Period
    provider: str
    """The ledger's name for it."""
    model: str
    """As the bill names it."""
    usd: Decimal
    unit_usd: Decimal
    """Half of the last digit with which the bill writes amounts: nothing smaller is in them."""
    kind: TokenKind | None = None
    """Of which tokens it is, where the bill tells them apart."""
    tokens: int | None = None
    calls: int | None = None
    tier: str | None = None
    """The service tier, where the line names one beside the standard."""
