"""What a ledger says of spending: budgets as they stand, and the rows of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from aegis_graph.ledger.windows import Window

GroupBy = Literal["provider", "model", "task", "user", "day", "month", "run"]
"""What a report has one row for; days and months are those of the ledger's time zone."""


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget now. For ``user:*`` there is one for each user who spent in the window."""

    scope: str
    window: Window
    limit_nano_usd: int
    spent_nano_usd: int
    held_nano_usd: int
    first_day: str
    end_day: str
    """The local day at whose beginning the window ends."""
    origin: Literal["file", "set"]

    @property
    def left_nano_usd(self) -> int:
        """What may still be reserved."""
        return max(0, self.limit_nano_usd - self.spent_nano_usd - self.held_nano_usd)


class Latency(NamedTuple):
    """Percentiles of the time that answered calls took, in milliseconds, by nearest rank."""

    p50: int
    p95: int
    p99: int


@dataclass(frozen=True, slots=True)
class CostRow:
    """Spend of one provider, model, task, user, day, month or run."""

    name: str
    calls: int
    failures: int
    """Calls without an answer: failed, cancelled or lost."""
    input_tokens: int
    output_tokens: int
    spent_nano_usd: int
    held_nano_usd: int
    latency_ms: Latency | None = None
    """``None`` unless it was asked for, and where no call was answered."""
