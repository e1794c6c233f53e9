"""What a job over many items is made of: items, leases, results, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

ItemOutcome = Literal["done", "failed", "pending"]
"""How one run of an item ended: with its result, with an error of its own, or with nothing that is
to be held against it (no money, no provider, the worker was stopped)."""
ItemState = Literal["pending", "leased", "done", "failed", "set_aside"]
JobState = Literal["running", "stopped", "paused", "money_ended", "cancelled", "finished"]
"""``running`` has a worker; ``stopped`` has none, and goes on when it is run again."""
ResultFormat = Literal["jsonl", "parquet"]


@dataclass(frozen=True, slots=True)
class BulkItem:
    """One input of a job.

    Args:
        key: Names the item in the job, in at most 128 characters.
        input: What the graph is invoked with: JSON.
        source: Where it comes from, such as ``items.jsonl:12``, for messages.
    """

    key: str
    input: Mapping[str, Any]
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedItem:
    """An item that a worker has taken, until it gives a result or its lease runs out."""

    key: str
    input: dict[str, Any]
    attempts: int = 0
    """How often it failed before."""
    begun: int = 0
    """How often a worker took it before, whatever came of that."""
    cost_nano_usd: int = 0
    """What its earlier runs cost, as far as they said it."""
    last_call: int = 0
    """The ledger's row of the last call that was known when it was taken before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemResult:
    """What came of one run of an item."""

    key: str
    outcome: ItemOutcome
    output: str | None = None
    """The graph's output as JSON."""
    error: str | None = None
    """Why there is none, in one line."""
    cost_nano_usd: int = 0
    """What all runs of the item cost so far."""
    route_ids: tuple[str, ...] = ()
    """Its requests, as in the ledger."""
    seconds: float = 0.0
    doubtful: bool = False
    """Whether the item may be why no provider answered; only with ``pending``."""
    twice_nano_usd: int | None = None
    """What was bought again at most, where that cannot be ruled out."""


class LeaseExchange(NamedTuple):
    """What a worker gets when it hands its results in."""

    leased: list[LeasedItem]
    """Items that it has from now on."""
    state: JobState
    done: int
    """How many items of the job have their results."""


class KnownCalls(NamedTuple):
    """What the ledger has of an item that was interrupted."""

    key: str
    last_call: int
    """The row of its last call."""
    twice_nano_usd: int | None
    """What was bought again at most since it was looked at before; ``None`` where nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdentity:
    """What a results folder belongs to.

    Args:
        name: Of the job; its requests have it as their tag ``bulk``.
        graph: What decides the results, part by part: nodes, models, settings.
        format: Of the results.
    """

    name: str
    graph: Mapping[str, str] = field(default_factory=dict)
    format: ResultFormat = "jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What a job's own file says of it, without its ledger."""

    name: str
    graph: Mapping[str, str]
    format: ResultFormat
    state: JobState
    reason: str | None
    created_at: str
    """An instant in UTC, as ISO text."""
    total: int
    done: int
    failed: int
    """Failed and to be tried again."""
    set_aside: int
    leased: int
    pending: int
    workers: int
    """Those whose leases have not run out."""
    max_attempts: int
    envelope_nano_usd: int | None
    spent_nano_usd: int
    """What the items' results say that they cost."""
    twice_items: int
    twice_nano_usd: int
    items_per_s: float

    @property
    def open(self) -> int:
        """Items that have no result yet and were not set aside."""
        return self.pending + self.failed + self.leased


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkProgress:
    """How far a job is. Amounts are nano-USD."""

    name: str
    state: JobState
    reason: str | None
    total: int
    done: int
    failed: int
    set_aside: int
    leased: int
    pending: int
    spent_nano_usd: int
    envelope_nano_usd: int | None
    bought_twice_at_most: int
    """Items of which a call may have been paid twice."""
    bought_twice_nano_usd: int
    items_per_s: float
    seconds_left: float | None

    @property
    def left_nano_usd(self) -> int | None:
        """What is left of the envelope; ``None`` without one."""
        if self.envelope_nano_usd is None:
            return None
        return max(0, self.envelope_nano_usd - self.spent_nano_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkSummary:
    """What a run of a job came to."""

    progress: BulkProgress
    results: str
    """The file with all results so far."""
    rest_nano_usd: int | None = None
    """What the items without a result would cost, by what the others did; ``None`` where that is
    not known."""
