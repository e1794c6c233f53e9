"""Which providers are left alone for now: a circuit breaker, and a memory of refused keys."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from aegis_graph.clock import Clock
from aegis_graph.concurrency.forks import reset_in_child
from aegis_graph.config.specs import HealthSpec
from aegis_graph.errors import (
    AuthenticationError,
    MalformedAnswerError,
    ModelAccessError,
    ModelLoadingError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
    StreamCutError,
)

_PERMANENT = (AuthenticationError, ModelAccessError, QuotaError)
"""Refusals of the key or the model, unless they are about one request."""

_PROVIDER_FAULTS = (
    MalformedAnswerError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitError,
    StreamCutError,
)
"""They say something about the provider's state; other errors are about the request."""

MAX_COOLDOWN_S = 86_400.0
"""The longest wait of a provider's own that is believed, in seconds."""


class Unavailable(NamedTuple):
    """Why a provider is left alone."""

    code: Literal["cooldown", "verdict"]
    reason: str


@dataclass(slots=True)
class _Refusal:
    """What a provider said of a key or a model."""

    reason: str
    key: str | None
    """Another key may be accepted."""
    wait_s: float
    until: datetime


@dataclass(slots=True)
class _ProviderRecord:
    failures: int = 0
    cooldowns: int = 0
    """In a row, because of failures."""
    cooldown_until: datetime | None = None
    probe_until: datetime | None = None
    refusal: _Refusal | None = None
    unclear_request: str | None = None
    """The first request that met a refusal which may have been about itself."""
    is_off: bool = False
    """Whether it was said that the provider is left alone, until it answers."""

    def why_off(self, error: ProviderError) -> str | None:
        """Why the provider is left alone; a wait of seconds that it asked for is not that."""
        # Without the provider's words, which may repeat a request's.
        if self.refusal is not None:
            return f"it refuses the key or the model ({type(error).__name__})"
        return f"{self.failures} failures in a row" if self.cooldowns else None

    def half_open(self, key: str | None) -> bool:
        """Whether the next attempt with this key is a probe."""
        refused = self.refusal is not None and self.refusal.key == key
        return refused or self.cooldown_until is not None


@dataclass(slots=True, eq=False, weakref_slot=True)
class Health:
    """The state of each provider in this process.

    Closed: all is well. Open: after ``failures`` in a row, a wait the provider asked for, or a
    refused key or model, it is not asked until the time is over. Half-open: then one request asks,
    and its outcome decides. Each refusal of a key or a model doubles its time, up to ``verdict_s``.

    Args:
        spec: How many failures, and how long.
        clock: Returns the present as an aware datetime in UTC.
        changed: Called with a provider and why it is left alone, once until it answers again, and
            then with ``None``.
    """

    spec: HealthSpec
    clock: Clock
    changed: Callable[[str, str | None], None] | None = None
    _records: dict[str, _ProviderRecord] = field(default_factory=dict)
    _answers: Counter[str] = field(default_factory=Counter)
    # Sync callers run on the portal's thread, async ones on their own loops.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """A lock that another thread holds while the process is forked would stay held."""
        reset_in_child(self, Health._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def unavailable(self, provider: str, *, key: str | None = None) -> Unavailable | None:
        """The reason why the provider is left alone, or ``None`` when it may be asked.

        Args:
            provider: Its name.
            key: Its key now: a failure of another key does not count.
        """
        with self._lock:
            return _unavailable(self._records.get(provider), key, self.clock())

    def try_start(
        self, provider: str, *, lease_s: float, key: str | None = None, retrying: bool = False
    ) -> Unavailable | None:
        """Let an attempt start. After a cooldown it is the probe; others wait for it.

        Args:
            provider: Its name.
            lease_s: How long the probe may take, in seconds.
            key: Its key now.
            retrying: Whether this request has itself waited as long as the provider asked for.

        Returns:
            The reason why it may not start after all: the health may have changed since the plan.
        """
        now = self.clock()
        with self._lock:
            record = self._records.get(provider)
            found = None if retrying else _unavailable(record, key, now)
            if found is None and record is not None and record.half_open(key):
                # With an end, because a probe that never returns may not keep all others out.
                record.probe_until = now + timedelta(seconds=lease_s)
            return found

    def forget(self, provider: str) -> None:
        """Start anew with a provider's name: another provider has it now, or none."""
        with self._lock:
            self._records.pop(provider, None)

    def answers(self, provider: str) -> int:
        """How many attempts were answered so far, for ``failed`` to tell a queue from an outage."""
        return self._answers[provider]

    def succeeded(self, provider: str) -> None:
        """An attempt was answered: the provider is well."""
        with self._lock:
            self._answers[provider] += 1
            record = self._records.pop(provider, None)
        if record is not None and record.is_off and self.changed is not None:
            self.changed(provider, None)

    def abandoned(self, provider: str) -> None:
        """An attempt ended and showed nothing of the provider: the next one is the probe."""
        with self._lock:
            self._end_probe(provider)

    def _end_probe(self, provider: str) -> None:
        if provider in self._records:
            self._records[provider].probe_until = None

    def failed(
        self,
        provider: str,
        error: ProviderError,
        *,
        key: str | None = None,
        request: str = "",
        answers_before: int | None = None,
    ) -> None:
        """An attempt failed: count it, and remember what it says of the key or the model.

        Args:
            provider: Its name.
            error: How the attempt failed.
            key: The key that it was made with.
            request: Identifies what was asked: a refusal that may be about the request counts when
                a different one meets it, too.
            answers_before: What ``answers`` was when the attempt began. A provider that has
                answered others since then was busy: a time limit that passed is no failure of it.
        """
        now = self.clock()
        with self._lock:
            busy = answers_before is not None and self._answers[provider] > answers_before
            if isinstance(error, ModelLoadingError) or (
                busy and isinstance(error, ProviderTimeoutError)
            ):
                self._end_probe(provider)
                return
            record = self._records.setdefault(provider, _ProviderRecord())
            record.probe_until = None
            if isinstance(error, _PERMANENT):
                if self._is_about_provider(record, error, request):
                    record.refusal = self._refusal(record.refusal, error, key, now)
            elif isinstance(error, _PROVIDER_FAULTS):
                # The count stays until an answer comes: a probe that fails opens the circuit again.
                record.failures += 1
                asked_s = min(error.retry_after_s or 0.0, MAX_COOLDOWN_S)
                wait_s = max(asked_s, self._cooldown_s(record, now))
                until = now + timedelta(seconds=wait_s)
                if wait_s > 0 and (record.cooldown_until is None or until > record.cooldown_until):
                    record.cooldown_until = until
            reason = None if record.is_off else record.why_off(error)
            record.is_off = record.is_off or reason is not None
        if reason is not None and self.changed is not None:
            self.changed(provider, reason)

    def _cooldown_s(self, record: _ProviderRecord, now: datetime) -> float:
        """How long the provider is left alone after one more failure, in seconds."""
        cooling = record.cooldown_until is not None and now < record.cooldown_until
        # Attempts that were under way when the cooldown began say nothing new.
        if record.failures < self.spec.failures or (cooling and record.cooldowns):
            return 0.0
        record.cooldowns += 1
        # A server that starts anew is back within seconds, and another one after its first minute.
        doubled = self.spec.first_cooldown_s * 2.0 ** min(record.cooldowns - 1, 64)
        return min(doubled, self.spec.cooldown_s)

    def _is_about_provider(
        self, record: _ProviderRecord, error: ProviderError, request: str
    ) -> bool:
        if error.about_request is not None:
            return not error.about_request
        if record.unclear_request is None:
            record.unclear_request = request
        return record.unclear_request != request

    def _refusal(
        self, last: _Refusal | None, error: ProviderError, key: str | None, now: datetime
    ) -> _Refusal:
        reason = f"{type(error).__name__}: {error}"
        wait_s = min(self.spec.cooldown_s, self.spec.verdict_s)
        if last is not None and last.key == key:
            if now < last.until:
                # Under way since before: it is no probe that was refused.
                return last
            wait_s = min(2 * last.wait_s, self.spec.verdict_s)
        return _Refusal(reason, key, wait_s, now + timedelta(seconds=wait_s))


def _unavailable(
    record: _ProviderRecord | None, key: str | None, now: datetime
) -> Unavailable | None:
    if record is None:
        return None
    refusal = record.refusal
    # Another key may be accepted, so the refusal counts for its own only.
    if refusal is not None and refusal.key == key and now < refusal.until:
        left = _seconds_left(refusal.until, now)
        return Unavailable("verdict", f"{refusal.reason}, remembered for {left} s")
    if record.cooldown_until is not None and now < record.cooldown_until:
        left = _seconds_left(record.cooldown_until, now)
        return Unavailable(
            "cooldown", f"cooling down for {left} s, failures in a row: {record.failures}"
        )
    if record.half_open(key) and record.probe_until and now < record.probe_until:
        return Unavailable("cooldown", "one request is finding out whether it works again")
    return None


def _seconds_left(until: datetime, now: datetime) -> int:
    return max(1, round((until - now).total_seconds()))
