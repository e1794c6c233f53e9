"""What earlier attempts were like: their tokens, failures, times and caches, by model and task.

It is in memory: seeded from the ledger's last rows when an order first needs it, added to by each
attempt of this process that ends, and read again from the ledger once a minute, which brings what
other processes learned. So a decision costs no transaction. Amounts are integers, money nano-USD.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from aegis_graph.clock import Clock
from aegis_graph.concurrency.forks import reset_in_child
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.past_attempts import PastAttempt, past_attempts
from aegis_graph.ledger.reader import LedgerReader
from aegis_graph.request.request import Request
from aegis_graph.routing.candidates.observations import Measured, Record, Subject
from aegis_graph.types import AttemptRecord, SettlementRecord, asked_as

LAST_ROWS = 2_000
"""Rows of the ledger that are looked at: a few milliseconds of reading."""

READ_EVERY = timedelta(seconds=60)
"""How old what other processes learned may be."""

CACHE_LIFE = timedelta(minutes=5)
"""How long a provider's cache keeps a prompt at least: OpenAI and Anthropic name five minutes
(https://developers.openai.com/api/docs/guides/prompt-caching)."""

MOST_THREADS = 4_096
"""Conversations whose last call is remembered; the oldest are forgotten."""


class LastCall(NamedTuple):
    """The call of a conversation that was answered last."""

    provider: str
    model: str
    input_tokens: int
    moment: datetime


@dataclass(slots=True, eq=False, weakref_slot=True)
class Experience:
    """What a router's attempts were like.

    Args:
        ledger: Where the last attempts of every process are read; ``None`` where it gives none.
        clock: Returns the present as an aware datetime in UTC.
    """

    ledger: LedgerReader | None
    clock: Clock
    tiers: frozenset[str] = frozenset()
    """The tiers at half the price of the chain, as ``asked_as`` names them: their times and
    failures are not those of their providers."""
    _records: dict[Subject, Record] = field(default_factory=dict)
    _measured: dict[Subject, Measured] = field(default_factory=dict)
    _threads: dict[tuple[str, str], LastCall] = field(default_factory=dict)
    _read_at: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """A lock that another thread holds while the process is forked would stay held."""
        reset_in_child(self, Experience._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    async def refresh(self) -> None:
        """Read the ledger's last rows, where they were not read within the last minute.

        One request waits for it, and the others go on with what is known so far.
        """
        now = self.clock()
        if self._read_at is not None and now - self._read_at < READ_EVERY:
            return
        self._read_at = now
        if self.ledger is None:
            return
        try:
            rows = await self.ledger.read(past_attempts(LAST_ROWS))
        except LedgerError:
            # Nothing is lost: the admission that comes next says what is wrong with the ledger.
            return
        self.replace(rows)

    def replace(self, rows: Iterable[PastAttempt]) -> None:
        """Begin anew with these rows, the oldest first; what only this process knows stays."""
        fresh = Experience(None, self.clock, self.tiers)
        for row in rows:
            fresh._learn(row)
        with self._lock:
            self._records, self._threads = fresh._records, fresh._threads
            self._read_at = self._read_at or self.clock()

    def learn(self, past: PastAttempt) -> None:
        """Take an attempt of this process into account, where an order or a hedge goes by it."""
        # Where nothing goes by it, nothing is counted.
        if self._read_at is not None:
            with self._lock:
                self._learn(past)

    def measure(
        self, past: PastAttempt, *, bound: int, first_ms: int | None, in_pieces: bool = False
    ) -> None:
        """Keep of an attempt what no row of the ledger has, where an order or a hedge goes by it.

        Args:
            past: The attempt.
            bound: The upper bound of its input tokens, where it had no images; else 0.
            first_ms: When its first token came, in milliseconds after it was sent.
            in_pieces: Whether its answer was to come in pieces.
        """
        if self._read_at is None:
            return
        own, asked = self._subjects(past)
        with self._lock:
            if bound and past.answered and past.input_tokens:
                known = self._measured.get(own, Measured())
                self._measured[own] = known.with_input(past.input_tokens, bound=bound)
            known = self._measured.get(asked, Measured())
            if first_ms is not None and past.answered:
                known = known.with_first(first_ms)
            waited_ms = past.latency_ms if first_ms is None else first_ms
            if in_pieces and waited_ms is not None:
                known = known.with_wait(waited_ms, answered=first_ms is not None)
            self._measured[asked] = known

    def record(self, subject: Subject, tier: str | None = None) -> Record | None:
        """What is known of a provider's model and a task; ``None`` where nothing is.

        In a tier at half the price the same model answers, and only its times and its failures
        are the tier's own.
        """
        known = self._records.get(subject)
        if tier is None:
            return known
        there = self._records.get(_in_tier(subject, tier)) or Record()
        return (known or Record())._replace(
            failed_nano_usd=there.failed_nano_usd, failed_ms=there.failed_ms, whole=there.whole
        )

    def measured(self, subject: Subject, tier: str | None = None) -> Measured:
        """What this process has measured of them."""
        known = self._measured.get(subject) or Measured()
        if tier is None:
            return known
        there = self._measured.get(_in_tier(subject, tier)) or Measured()
        return known._replace(first=there.first)

    def last_call(self, thread_id: str | None, task: str) -> LastCall | None:
        """The call of a conversation that was answered last."""
        return None if thread_id is None else self._threads.get((thread_id, task))

    def _learn(self, past: PastAttempt) -> None:
        own, asked = self._subjects(past)
        self._records[asked] = self._records.get(asked, Record()).after(past)
        if not past.answered:
            return
        known = self._records.get(own, Record())
        if past.output_tokens is not None:
            known, every = known.with_output(past.output_tokens), ("", "", past.task)
            of_task = self._records.get(every, Record())
            self._records[every] = of_task.with_output(past.output_tokens)
        if past.input_tokens:
            before = self.last_call(past.thread_id, past.task)
            warm = before and is_warm(before, past.provider, past.model, past.moment)
            sent_before = before.input_tokens if before and warm else None
            known = known.with_cache(past.cached_input_tokens or 0, past.input_tokens, sent_before)
            self._remember(past, past.input_tokens)
        self._records[own] = known

    def _remember(self, past: PastAttempt, input_tokens: int) -> None:
        if past.thread_id is None:
            return
        key = (past.thread_id, past.task)
        self._threads.pop(key, None)
        self._threads[key] = LastCall(past.provider, past.model, input_tokens, past.moment)
        if len(self._threads) > MOST_THREADS:
            del self._threads[next(iter(self._threads))]

    def _subjects(self, past: PastAttempt) -> tuple[Subject, Subject]:
        """What an attempt says something of: the model, and the tier in which it was asked."""
        own = (past.provider, past.model, past.task)
        tier = past.service_tier
        if tier is None or asked_as(past.provider, tier) not in self.tiers:
            return own, own
        return own, _in_tier(own, tier)


def past_attempt(
    request: Request, attempt: AttemptRecord, settlement: SettlementRecord, moment: datetime
) -> PastAttempt:
    """An attempt that has just ended, as the ledger's row will say it."""
    return PastAttempt(
        attempt["provider"],
        attempt["model"],
        request.task,
        request.thread_id,
        moment,
        settlement["status"] == "answered",
        settlement["cost_nano_usd"],
        settlement["input_tokens"],
        settlement["output_tokens"],
        settlement["cached_input_tokens"],
        settlement["latency_ms"],
        settlement["service_tier"],
        settlement["status"] == "cancelled",
    )


def _in_tier(subject: Subject, tier: str) -> Subject:
    provider, model, task = subject
    return asked_as(provider, tier), model, task


def is_warm(before: LastCall, provider: str, model: str, moment: datetime) -> bool:
    """Whether a provider may still have in its cache what a conversation sent last."""
    return (before.provider, before.model) == (provider, model) and (
        moment - before.moment <= CACHE_LIFE
    )
