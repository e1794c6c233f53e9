"""What reports have a row for. Amounts are integer nano-USD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Latency(NamedTuple):
    """Percentiles of the time that answered calls took, in milliseconds, by nearest rank."""

    p50: int
    p95: int
    p99: int


class Overrun(NamedTuple):
    """What a provider's attempts cost above their reservations."""

    provider: str
    attempts: int
    nano_usd: int
    """Above the holds of these attempts, together."""
    unbelieved: int
    """Attempts of which the provider reported more than can be true; each cost its hold."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """Spend of one provider, model, task, user, tag's value, day, month or run."""

    name: str
    calls: int
    failures: int
    """Calls without an answer: failed, cancelled or lost."""
    input_tokens: int
    output_tokens: int
    spent_nano_usd: int
    held_nano_usd: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    """Read from a provider's cache and written to it: both are parts of ``input_tokens``."""
    latency_ms: Latency | None = None
    """``None`` unless it was asked for, and where no call was answered."""
    queued_ms: Latency | None = None
    """The same of the time that answered calls had waited for limits; ``None`` without a limit."""
