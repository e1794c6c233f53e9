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

_SICK = (
    MalformedAnswerError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitError,
    StreamCutError,
)
"""Says something about the provider's state; other errors are about the request."""


MAX_REST_S = 86_400.0
"""The longest wait of a provider's own that is believed, in seconds."""


class Unavailable(NamedTuple):
    """Why a provider is left alone."""

    code: Literal["cooldown", "verdict"]
    reason: str


@dataclass(slots=True)
class _Record:
    failures: int = 0
    rest_until: datetime | None = None
    probing_until: datetime | None = None
    permanent_failure: str | None = None
    permanent_failure_until: datetime | None = None
    permanent_failure_key: str | None = None


@dataclass(slots=True)
class Health:
    """The state of each provider in this process.

    Closed: all is well. Open: after ``failures`` in a row, or a wait the provider asked for, nobody
    asks it until the cooldown ends. Half-open: then one request asks, and its outcome decides.

    Args:
        spec: How many failures, and how long.
        clock: Returns the present as an aware datetime in UTC.
    """

    spec: HealthSpec
    clock: Clock
    _records: dict[str, _Record] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def unavailable(self, provider: str, *, key: str | None = None) -> Unavailable | None:
        """Why the provider is left alone, or ``None`` when it may be asked.

        Args:
            provider: Its name.
            key: Its key now: a verdict about another key does not count.
        """
        with self._lock:
            return _unavailable(self._records.get(provider), key, self.clock())

    def try_start(
        self, provider: str, *, lease_s: float, key: str | None = None, retrying: bool = False
    ) -> Unavailable | None:
        """An attempt is about to start. After a cooldown it is the probe; others wait for it.

        Args:
            provider: Its name.
            lease_s: How long the probe may take, in seconds.
            key: Its key now.
            retrying: Whether this request has itself waited as long as the provider asked for.

        Returns:
            Why it may not start after all: what was true when it was planned may have changed.
        """
        now = self.clock()
        with self._lock:
            record = self._records.get(provider)
            found = None if retrying else _unavailable(record, key, now)
            if found is None and record is not None and record.rest_until is not None:
                record.probing_until = now + timedelta(seconds=lease_s)
            return found

    def forget(self, provider: str) -> None:
        """Start anew with a provider: under its name there is another one now, or none."""
        with self._lock:
            self._records.pop(provider, None)

    def succeeded(self, provider: str) -> None:
        """An attempt was answered: the provider is well."""
        with self._lock:
            self._records.pop(provider, None)

    def abandoned(self, provider: str) -> None:
        """An attempt ended without saying anything about the provider: let the next one probe."""
        with self._lock:
            if provider in self._records:
                self._records[provider].probing_until = None

    def failed(self, provider: str, error: ProviderError, *, key: str | None = None) -> None:
        """An attempt failed: count it, and remember what will not heal."""
        now = self.clock()
        with self._lock:
            record = self._records.setdefault(provider, _Record())
            record.probing_until = None
            if isinstance(error, _PERMANENT):
                # A provider's own error code is foreign text: it may repeat the key.
                text = str(error).replace(key, "***") if key else str(error)
                record.permanent_failure = f"{type(error).__name__}: {text}"
                record.permanent_failure_until = now + timedelta(seconds=self.spec.verdict_s)
                record.permanent_failure_key = key
            elif isinstance(error, _SICK):
                record.failures += 1
                rest_s = min(error.retry_after_s or 0.0, MAX_REST_S)
                if record.failures >= self.spec.failures:
                    rest_s = max(rest_s, self.spec.cooldown_s)
                if rest_s > 0:
                    record.rest_until = now + timedelta(seconds=rest_s)


def _unavailable(record: _Record | None, key: str | None, now: datetime) -> Unavailable | None:
    if record is None:
        return None
    if (
        record.permanent_failure_until
        and now < record.permanent_failure_until
        and key == record.permanent_failure_key
    ):
        left = _seconds_left(record.permanent_failure_until, now)
        return Unavailable("verdict", f"{record.permanent_failure}, remembered for {left} s")
    if record.rest_until is None:
        return None
    if now < record.rest_until:
        left = _seconds_left(record.rest_until, now)
        return Unavailable(
            "cooldown", f"cooling down for {left} s, failures in a row: {record.failures}"
        )
    if record.probing_until and now < record.probing_until:
        return Unavailable("cooldown", "one request is finding out whether it works again")
    return None


def _seconds_left(until: datetime, now: datetime) -> int:
    return max(1, round((until - now).total_seconds()))
