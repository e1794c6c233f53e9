"""Which providers are left alone for now: a circuit breaker and a memory of what does not heal."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from aegis_graph.clock import Clock
from aegis_graph.config.specs import HealthSpec
from aegis_graph.errors import (
    AuthenticationError,
    MalformedAnswerError,
    ModelAccessError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
    StreamCutError,
)

_PERMANENT = (AuthenticationError, ModelAccessError, QuotaError)
"""Another try in a moment meets the same refusal."""

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
class _ProviderRecord:
    failures: int = 0
    cooldown_until: datetime | None = None
    probe_until: datetime | None = None
    permanent_failure: str | None = None
    permanent_failure_until: datetime | None = None
    permanent_failure_key: str | None = None


@dataclass(slots=True)
class Health:
    """The state of each provider in this process.

    Closed: all is well. Open: after ``failures`` in a row, or a wait the provider asked for, it is
    not asked until the cooldown ends. Half-open: then one request asks, and its outcome decides.

    Args:
        spec: How many failures, and how long.
        clock: Returns the present as an aware datetime in UTC.
    """

    spec: HealthSpec
    clock: Clock
    _records: dict[str, _ProviderRecord] = field(default_factory=dict)
    # Sync callers run on the portal's thread, async ones on their own loops.
    _lock: threading.Lock = field(default_factory=threading.Lock)

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
            if found is None and record is not None and record.cooldown_until is not None:
                # With an end, because a probe that never returns may not keep all others out.
                record.probe_until = now + timedelta(seconds=lease_s)
            return found

    def forget(self, provider: str) -> None:
        """Start anew with a provider's name: another provider has it now, or none."""
        with self._lock:
            self._records.pop(provider, None)

    def succeeded(self, provider: str) -> None:
        """An attempt was answered: the provider is well."""
        with self._lock:
            self._records.pop(provider, None)

    def abandoned(self, provider: str) -> None:
        """An attempt ended and showed nothing of the provider: the next one is the probe."""
        with self._lock:
            if provider in self._records:
                self._records[provider].probe_until = None

    def failed(self, provider: str, error: ProviderError, *, key: str | None = None) -> None:
        """An attempt failed: count it, and remember what will not heal."""
        now = self.clock()
        with self._lock:
            record = self._records.setdefault(provider, _ProviderRecord())
            record.probe_until = None
            if isinstance(error, _PERMANENT):
                # A provider's own error code is foreign text: it may repeat the key.
                text = str(error).replace(key, "***") if key else str(error)
                record.permanent_failure = f"{type(error).__name__}: {text}"
                record.permanent_failure_until = now + timedelta(seconds=self.spec.verdict_s)
                # Another key may be accepted, so the failure counts for this one only.
                record.permanent_failure_key = key
            elif isinstance(error, _PROVIDER_FAULTS):
                # The count stays until an answer comes: a probe that fails opens the circuit again.
                record.failures += 1
                cooldown_s = min(error.retry_after_s or 0.0, MAX_COOLDOWN_S)
                if record.failures >= self.spec.failures:
                    cooldown_s = max(cooldown_s, self.spec.cooldown_s)
                if cooldown_s > 0:
                    record.cooldown_until = now + timedelta(seconds=cooldown_s)


def _unavailable(
    record: _ProviderRecord | None, key: str | None, now: datetime
) -> Unavailable | None:
    if record is None:
        return None
    if (
        record.permanent_failure_until
        and now < record.permanent_failure_until
        and key == record.permanent_failure_key
    ):
        left = _seconds_left(record.permanent_failure_until, now)
        return Unavailable("verdict", f"{record.permanent_failure}, remembered for {left} s")
    if record.cooldown_until is None:
        return None
    if now < record.cooldown_until:
        left = _seconds_left(record.cooldown_until, now)
        return Unavailable(
            "cooldown", f"cooling down for {left} s, failures in a row: {record.failures}"
        )
    if record.probe_until and now < record.probe_until:
        return Unavailable("cooldown", "one request is finding out whether it works again")
    return None


def _seconds_left(until: datetime, now: datetime) -> int:
    return max(1, round((until - now).total_seconds()))
