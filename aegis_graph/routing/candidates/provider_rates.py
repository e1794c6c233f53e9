"""What providers say is left of their own limits, until they say that all of it is free again.

It is known in this process only: other programs hear it with their own answers.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from aegis_graph.clock import Clock
from aegis_graph.concurrency.forks import reset_in_child
from aegis_graph.ledger.limits import LimitRefusal, UnitLimit
from aegis_graph.providers.retry_advice import limits_left
from aegis_graph.routing.health import MAX_COOLDOWN_S
from aegis_graph.types import LimitUnit

_UNITS: Mapping[Literal["requests", "tokens"], LimitUnit] = {
    "requests": "requests_per_minute",
    "tokens": "tokens_per_minute",
}


@dataclass(slots=True)
class _Left:
    """What is left of one limit."""

    amount: int
    until: datetime


@dataclass(slots=True, eq=False, weakref_slot=True)
class ProviderRates:
    """What is left at each provider.

    Args:
        clock: Returns the present as an aware datetime in UTC.
    """

    clock: Clock
    _left: dict[str, dict[LimitUnit, _Left]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """A lock that another thread holds while the process is forked would stay held."""
        reset_in_child(self, ProviderRates._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def hear(self, provider: str, headers: Mapping[str, str]) -> None:
        """Learn what an answer says; the latest answer counts."""
        now = self.clock()
        said: dict[LimitUnit, _Left] = {}
        for unit, amount, free_in_s in limits_left(headers, now=now):
            until = now + timedelta(seconds=min(free_in_s, MAX_COOLDOWN_S))
            known = said.get(_UNITS[unit])
            if known is None or amount < known.amount:
                said[_UNITS[unit]] = _Left(amount, until)
        if said:
            with self._lock:
                self._left[provider] = said

    def refusal(self, provider: str, *, tokens: int) -> LimitRefusal | None:
        """Why a request has no room at a provider by its own word, if so."""
        if provider not in self._left:
            return None
        now = self.clock()
        with self._lock:
            for unit, left in self._left[provider].items():
                asked = tokens if unit == "tokens_per_minute" else 1
                free_in_s = (left.until - now).total_seconds()
                if free_in_s > 0 and left.amount < asked:
                    limit = UnitLimit(f"provider:{provider}", unit, left.amount)
                    return LimitRefusal(
                        provider, limit, limit.scope, 0, asked, free_in_s, stated=True
                    )
        return None

    def take(self, provider: str, *, tokens: int) -> None:
        """Count a request that is sent, until an answer says what is left then."""
        with self._lock:
            for unit, left in self._left.get(provider, {}).items():
                left.amount = max(0, left.amount - (tokens if unit == "tokens_per_minute" else 1))
