"""What an operator is told beside the requests, once for each change and not for each request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, NamedTuple

from aegis_graph.clock import Clock
from aegis_graph.concurrency.forks import reset_in_child
from aegis_graph.ledger.alerts import Alert
from aegis_graph.ledger.limits import LimitRefusal
from aegis_graph.ledger.records import BudgetRefusal
from aegis_graph.ledger.windows import Calendar
from aegis_graph.pricing.money import usd_text
from aegis_graph.types import UNBELIEVED, Window

MAX_KNOWN = 1_000
"""Changes that are remembered so that each is told once; a budget for each user has many."""

NoticeEvent = Literal[
    "budget_alert", "budget_exhausted", "provider_off", "provider_on", "cost_overrun"
]


class Notice(NamedTuple):
    """One thing that an operator is told."""

    event: NoticeEvent
    subject: str
    """What it is about, such as ``budget total``."""
    text: str
    """In one line."""
    facts: dict[str, Any]
    """The same as JSON."""


Claim = Callable[[str, Window, str], Awaitable[bool]]
"""Says whether no process has told a thing yet, by its name, window and the window's first day."""


class Notices:
    """Makes notices of what happens, and leaves out what was told already.

    Args:
        post: Takes each, and neither waits nor raises.
        clock: Returns the present as an aware datetime in UTC.
        calendar: When the windows of budgets begin.
        claim: Decides which of several processes tells a thing; each does where it is absent.
    """

    def __init__(
        self,
        post: Callable[[Notice], None],
        clock: Clock,
        calendar: Calendar,
        claim: Claim | None = None,
    ) -> None:
        self._post = post
        self._clock = clock
        self._calendar = calendar
        self._claim = claim
        self._known: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._lock = threading.Lock()
        reset_in_child(self, Notices._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def alert(self, alert: Alert) -> None:
        """A budget's share is spent; the ledger gives each alert once per window."""
        self._post(Notice("budget_alert", f"budget {alert.scope}", alert.text, alert.facts))

    async def refused(self, refusals: Sequence[BudgetRefusal | LimitRefusal]) -> None:
        """Budgets had no room for a request: told once per window of each."""
        for refusal in refusals:
            if isinstance(refusal, BudgetRefusal):
                await self._exhausted(refusal)

    async def _exhausted(self, refusal: BudgetRefusal) -> None:
        window, scope = refusal.budget.window, refusal.scope
        first = self._calendar.days_now(window, self._clock()).first
        if not await self._is_untold(f"exhausted {scope}", window, first):
            return
        facts = {
            "scope": scope,
            "window": window,
            "used_usd": usd_text(refusal.used_nano_usd),
            "limit_usd": usd_text(refusal.budget.limit_nano_usd),
            "asked_usd": usd_text(refusal.asked_nano_usd),
            "since": first,
        }
        self._post(Notice("budget_exhausted", f"budget {scope}", refusal.reason(), facts))

    async def overran(self, provider: str, model: str, overrun: int) -> None:
        """An attempt cost more than its reservation: told once a day for a provider's model."""
        if not overrun:
            return
        day = self._calendar.day(self._clock()).isoformat()
        if not await self._is_untold(f"overrun {provider} {model}", "day", day):
            return
        above = None if overrun == UNBELIEVED else usd_text(overrun)
        what = (
            "reported more tokens than can be true"
            if above is None
            else f"cost ${above} more than was reserved"
        )
        facts = {"provider": provider, "model": model, "above_usd": above, "since": day}
        text = f"provider {provider}: an attempt with {model} {what}"
        self._post(Notice("cost_overrun", f"provider {provider}", text, facts))

    def provider_changed(self, provider: str, reason: str | None) -> None:
        """A provider is left alone for now, or answers again.

        Args:
            provider: Its name.
            reason: Why it is left alone; ``None`` where it answers.
        """
        text = f"provider {provider} answers again"
        if reason is not None:
            text = f"provider {provider} is off: {reason}"
        event: NoticeEvent = "provider_on" if reason is None else "provider_off"
        facts = {"provider": provider, "reason": reason}
        self._post(Notice(event, f"provider {provider}", text, facts))

    async def _is_untold(self, name: str, window: Window, first_day: str) -> bool:
        """Whether nothing has told it; a process asks the others once."""
        if not self._is_new(name, window, first_day):
            return False
        return self._claim is None or await self._claim(name, window, first_day)

    def _is_new(self, *key: str) -> bool:
        with self._lock:
            if key in self._known:
                return False
            self._known[key] = None
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
            return True
