"""What the router asks of a ledger. Amounts are integer nano-USD, times are aware UTC.

Once an operation was called it is carried out, even when the task that waits for it is cancelled:
a client that goes away cannot undo what the ledger knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from aegis_graph.ledger.windows import Window
from aegis_graph.money import limit_nano_usd, usd_text
from aegis_graph.specs import BudgetSpec
from aegis_graph.state import Sensitivity, SettlementRecord, Task

Clock = Callable[[], datetime]
"""Returns the present as an aware datetime in UTC."""

GroupBy = Literal["provider", "model", "task", "user", "day"]


class Budget(NamedTuple):
    """A limit in the ledger's own unit."""

    scope: str
    window: Window
    limit_nano_usd: int

    @classmethod
    def of(cls, spec: BudgetSpec) -> Budget:
        """The limit that a row of the configuration sets."""
        return cls(spec.scope, spec.window, limit_nano_usd(spec.limit_usd))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A reservation to make: the most that one attempt can cost, and what its row says."""

    route_id: str
    attempt: int
    provider: str
    model: str
    task: Task
    sensitivity: Sensitivity
    user_id: str
    thread_id: str | None
    query_hash: str
    """SHA-256 of the prompt, in hexadecimal; the prompt itself is never stored."""
    nano_usd: int
    lease_s: float
    """Seconds after which the attempt counts as lost when nothing was reported."""

    def scopes(self) -> tuple[str, ...]:
        """The scopes that this attempt's cost counts in."""
        return (
            "total",
            f"provider:{self.provider}",
            f"model:{self.model}",
            f"task:{self.task}",
            f"user:{self.user_id}",
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A hold that did not fit into a budget."""

    provider: str
    budget: Budget
    used_nano_usd: int
    """Spent and held in the budget's window when the hold was refused."""
    asked_nano_usd: int

    def reason(self) -> str:
        """The refusal in one line."""
        left = max(0, self.budget.limit_nano_usd - self.used_nano_usd)
        return (
            f"budget {self.budget.scope} per {self.budget.window}: "
            f"needs up to ${usd_text(self.asked_nano_usd)}, ${usd_text(left)} left"
        )


@dataclass(frozen=True, slots=True)
class Admission:
    """The outcome of asking for the first of several holds that fits."""

    hold_id: int | None
    """The ledger's row of the admitted hold; ``None`` when none fitted."""
    index: int | None
    """Which of the holds was admitted."""
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """A request that ended without an answer."""

    route_id: str
    task: Task
    sensitivity: Sensitivity
    user_id: str
    thread_id: str | None
    query_hash: str
    error_type: str
    reasons: str


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

    @property
    def left_nano_usd(self) -> int:
        """What may still be reserved."""
        return max(0, self.limit_nano_usd - self.spent_nano_usd - self.held_nano_usd)


@dataclass(frozen=True, slots=True)
class CostRow:
    """Spend of one provider, model, task, user or day."""

    name: str
    calls: int
    failures: int
    """Calls without an answer: failed, cancelled or lost."""
    input_tokens: int
    output_tokens: int
    spent_nano_usd: int
    held_nano_usd: int


class Ledger(Protocol):
    """A durable record of every attempt, and the guard of every budget.

    Every method raises ``LedgerError`` when the store cannot be read or written.
    """

    async def admit(
        self, holds: Sequence[Hold], *, settle: Sequence[SettlementRecord] = ()
    ) -> Admission:
        """Settle what ended, then make the first hold that fits into all of its budgets.

        All of it is one transaction. When the waiting task is cancelled, a hold that was made is
        released again.
        """
        ...

    async def settle(
        self, settlements: Sequence[SettlementRecord], *, unanswered: Unanswered | None = None
    ) -> None:
        """Replace holds by what was really spent, in one transaction.

        A hold is settled once: a second settlement changes nothing, but a late one wins over the
        sweeper that had taken the attempt for lost.
        """
        ...

    def settle_soon(self, settlement: SettlementRecord) -> None:
        """Settle without waiting; for callers that are being cancelled or shut down."""
        ...

    async def sweep(self) -> int:
        """Turn holds whose lease is over into spending of their full amount; count them."""
        ...

    async def budgets(self) -> list[BudgetStatus]:
        """Every budget, with what is spent, held and left in its present window."""
        ...

    async def costs(self, by: GroupBy, *, first_day: str, end_day: str) -> list[CostRow]:
        """Spend between two local days (ISO dates, half-open), dearest first."""
        ...

    async def check(self) -> int:
        """Make sure that the ledger can be written, and return its schema's version."""
        ...

    def close(self) -> None:
        """Write what is queued and let go of the store. Use after it opens the store again."""
        ...


def unused_hold(hold_id: int) -> SettlementRecord:
    """The settlement of a hold whose attempt was never made."""
    return SettlementRecord(
        hold_id=hold_id,
        status="cancelled",
        error_type=None,
        cost_nano_usd=0,
        cost_basis="none",
        input_tokens=None,
        output_tokens=None,
        cached_input_tokens=None,
        reasoning_tokens=None,
        latency_ms=0,
    )
