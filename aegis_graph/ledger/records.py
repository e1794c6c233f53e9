"""What the router asks of a ledger. Amounts are integer nano-USD, times are aware UTC.

Once an operation was called it is carried out, even when the task that waits for it is cancelled:
a client that goes away cannot undo what the ledger knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal, NamedTuple, Protocol

from aegis_graph.config.specs import BudgetSpec
from aegis_graph.ledger.admission_queue import AdmissionQueue
from aegis_graph.ledger.alerts import Alert
from aegis_graph.ledger.approvals import Approval
from aegis_graph.ledger.limits import LimitRefusal, UnitLimit, counted_scopes
from aegis_graph.ledger.scopes import matching_scope, scopes_of
from aegis_graph.ledger.windows import Days
from aegis_graph.pricing.money import limit_nano_usd, usd_text
from aegis_graph.types import Sensitivity, SettlementRecord, Task, Window

Origin = Literal["file", "set"]
"""Whether the configuration or a later command set a limit."""


class Budget(NamedTuple):
    """A limit in the ledger's own unit."""

    scope: str
    window: Window
    limit_nano_usd: int
    alert_at: Decimal | None = None
    """The share of the limit whose spending gives one alert per window."""
    origin: Origin = "file"

    @classmethod
    def of(cls, spec: BudgetSpec) -> Budget:
        """The limit that a row of the configuration sets."""
        return cls(spec.scope, spec.window, limit_nano_usd(spec.limit_usd), spec.alert_at)

    def matching_scope(self, scopes: Sequence[str]) -> str | None:
        """The one of an attempt's scopes that this limit is about, if any."""
        return matching_scope(self.scope, scopes)


class RequestFacts(NamedTuple):
    """What a row records of a request, as ``requests`` and ``unanswered`` name it."""

    route_id: str
    task: Task
    sensitivity: Sensitivity
    user_id: str
    thread_id: str | None
    query_hash: str
    """SHA-256 of the prompt, hexadecimal; a row has it under the ledger's key, never the prompt."""
    run_id: str | None = None
    """The run that the request is part of; its cost is counted for it as well."""
    tags: str | None = None
    """What its caller counts it by as well, as JSON with sorted keys: see ``tags_text``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A reservation to make: the most that one attempt can cost, and what its row says."""

    request: RequestFacts
    attempt: int
    provider: str
    model: str
    nano_usd: int
    lease_s: float
    """Seconds after which the attempt counts as lost when nothing was reported."""
    run_limit_nano_usd: int | None = None
    """What all attempts of the run may cost together, at the time of this one."""
    tokens: int = 0
    """The most tokens that the attempt can use, of its prompt and its answer."""
    limits: tuple[UnitLimit, ...] = ()
    """What it must fit into beside the budgets."""
    waits: bool = False
    """Whether it is waited for where a limit is full: then no later hold is made instead."""
    queued_ms: int | None = None
    """How long the request has waited for it; ``None`` where no limit is in force for it."""
    expected_nano_usd: int | None = None
    """What an answer was expected to cost, where the order of the providers went by that."""

    def scopes(self) -> tuple[str, ...]:
        """The scopes that this attempt's cost counts in."""
        request = self.request
        return scopes_of(
            self.provider, self.model, request.task, request.user_id, request.run_id, request.tags
        )

    def counted_scopes(self) -> str | None:
        """Its scopes that ``limit_counts`` has, as a row keeps them; ``None`` for none."""
        return counted_scopes(self.limits, self.scopes()) if self.limits else None

    def run_budget(self) -> Budget | None:
        """The run's limit, as one more budget of this attempt."""
        run_id = self.request.run_id
        if run_id is None or self.run_limit_nano_usd is None:
            return None
        return Budget(f"run:{run_id}", "total", self.run_limit_nano_usd, origin="set")


@dataclass(frozen=True, slots=True)
class BudgetRefusal:
    """A hold that did not fit into a budget."""

    code: ClassVar[Literal["budget"]] = "budget"
    provider: str
    budget: Budget
    """With the limit in force: what was allowed beyond it in this window is part of it."""
    scope: str
    """What it was full for: the one user or value, where the budget is for each."""
    used_nano_usd: int
    """Spent and held in the budget's window when the hold was refused."""
    asked_nano_usd: int
    days: Days
    """The budget's window."""
    others: tuple[BudgetRefusal, ...] = ()
    """Of the further budgets that the hold did not fit into."""

    @property
    def left_nano_usd(self) -> int:
        """What may still be reserved."""
        # Below 0 where the limit was lowered, or a cost passed its hold.
        return max(0, self.budget.limit_nano_usd - self.used_nano_usd)

    @property
    def lacking_nano_usd(self) -> int:
        """By how much each budget in the way must be raised at least for the hold to fit."""
        return max(
            one.used_nano_usd + one.asked_nano_usd - one.budget.limit_nano_usd
            for one in (self, *self.others)
        )

    def reason(self) -> str:
        """The refusal in one line."""
        each = "" if self.scope == self.budget.scope else f" ({self.budget.scope})"
        return (
            f"budget {self.scope}{each} per {self.budget.window}: "
            f"needs up to ${usd_text(self.asked_nano_usd)}, ${usd_text(self.left_nano_usd)} left"
        )


@dataclass(frozen=True, slots=True)
class Admission:
    """The outcome of asking for the first of several holds that fits."""

    hold_id: int | None
    """The ledger's row of the admitted hold; ``None`` when none fitted."""
    index: int | None
    """Which of the holds was admitted."""
    refusals: tuple[BudgetRefusal | LimitRefusal, ...]
    """Of the holds before that one; where the last is of a hold that ``waits``, none after it was
    looked at."""
    alerts: tuple[Alert, ...] = ()
    """What the settlements of the same transaction made due."""

    @property
    def free_in_s(self) -> float | None:
        """When the first limit that was full has room again, in seconds, where that is known."""
        limits = [one.free_in_s for one in self.refusals if isinstance(one, LimitRefusal)]
        return min((free_in_s for free_in_s in limits if free_in_s is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRequest:
    """A request that ended without an answer."""

    request: RequestFacts
    error_type: str
    reasons: str


class Ledger(Protocol):
    """What the router asks of a ledger; ``SqlLedger`` has the rest: reports, budgets, exports.

    Every method raises ``LedgerError`` when the store cannot be read or written.
    """

    queue: AdmissionQueue
    """The requests of this process that wait for room in a limit."""

    async def admit(
        self,
        holds: Sequence[Hold],
        *,
        settle: Sequence[SettlementRecord] = (),
        approval: Approval | None = None,
    ) -> Admission:
        """Settle what ended, then make the first hold that fits into all of its budgets.

        An approval raises the budgets in the way of the first hold that fits then; where none
        does, those of the first that budgets are in the way of. It is applied once, however often
        it is given; not at all where a hold before that one fits without it.

        All of it is one transaction. When the waiting task is cancelled, a hold that was made is
        released again.
        """
        ...

    async def settle(
        self,
        settlements: Sequence[SettlementRecord],
        *,
        failed_request: FailedRequest | None = None,
    ) -> tuple[Alert, ...]:
        """Replace holds by what was really spent, in one transaction.

        A hold is settled once: a second settlement changes nothing, but a late one wins over the
        sweeper that had taken the attempt for lost, and an answer that a check refuses then is a
        failure at the same cost.

        Returns:
            The alerts that became due.
        """
        ...

    def settle_soon(self, settlement: SettlementRecord) -> None:
        """Settle without waiting; for callers that are being cancelled or shut down."""
        ...

    def seed(self, limits: Sequence[Budget]) -> None:
        """Take over the limits of a configuration that was read again, without waiting.

        Whatever is asked after this finds them in force. A limit that the file says nothing new
        about keeps what was set since, and one that it no longer has stays until it is removed.
        """
        ...


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget now.

    For ``user:*`` and ``tag:KEY=*`` there is one for each user or value with spending in the
    window.
    """

    scope: str
    window: Window
    limit_nano_usd: int
    """With what was allowed beyond it in this window."""
    spent_nano_usd: int
    held_nano_usd: int
    first_day: str
    end_day: str
    """The local day at whose beginning the window ends."""
    origin: Origin
    raised_nano_usd: int = 0
    """How much of the limit was allowed for this window only."""

    @property
    def left_nano_usd(self) -> int:
        """What may still be reserved."""
        # Below 0 where the limit was lowered, or a cost passed its hold.
        return max(0, self.limit_nano_usd - self.spent_nano_usd - self.held_nano_usd)
