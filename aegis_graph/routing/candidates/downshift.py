"""From a budget's ``alert_at`` on, the cheaper provider is asked first.

What is known of the budgets is in memory: the alerts of this process's own settlements at once, and
what the ledger says once a minute. So a decision costs no transaction. A window that is over counts
no more at its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aegis_graph.clock import Clock
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.alerts import Alert
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.scopes import scopes_of, tags_text
from aegis_graph.ledger.windows import Calendar
from aegis_graph.request.request import Request
from aegis_graph.routing.policy import Candidate
from aegis_graph.types import Window

READ_EVERY = timedelta(seconds=60)
"""How old what is known of other processes' spending may be."""


@dataclass(slots=True)
class Downshift:
    """Knows which budgets are nearly spent.

    Args:
        ledger: Is read once a minute; ``None`` where the ledger is none of this package's.
        clock: Returns the present as an aware datetime in UTC.
        calendar: When the windows of budgets begin.
    """

    ledger: SqlLedger | None
    clock: Clock
    calendar: Calendar
    _spent: dict[tuple[str, Window], Alert] = field(default_factory=dict)
    _read_at: datetime | None = None

    async def refresh(self) -> bool:
        """Read the ledger, where it was not read within the last minute.

        One request waits for it, and the others go on with what is known so far.

        Returns:
            Whether any budget is nearly spent.
        """
        now = self.clock()
        if self.ledger is not None and (self._read_at is None or now - self._read_at >= READ_EVERY):
            self._read_at = now
            try:
                found = await self.ledger.alerts_now()
            except LedgerError:
                # Nothing is lost: the admission that comes next says what is wrong with the ledger.
                return bool(self._spent)
            self._spent = {}
            self.hear(found)
        return bool(self._spent)

    def hear(self, alerts: Iterable[Alert]) -> None:
        """Take note of what a settlement made due."""
        self._spent.update({(alert.scope, alert.window): alert for alert in alerts})

    def reason(self, candidates: Sequence[Candidate], request: Request) -> str | None:
        """Why the cheapest is asked first; ``None`` where no budget of a candidate is near its end.

        Args:
            candidates: Those of a request.
            request: What is asked.
        """
        if not self._spent:
            return None
        tags = tags_text(request.tags)
        touched = {
            scope
            for one in candidates
            for scope in scopes_of(
                one.spec.name, one.spec.model, request.task, request.user_id, request.run_id, tags
            )
        }
        windows = self.calendar.windows(self.calendar.day(self.clock()))
        near = [
            alert
            for alert in self._spent.values()
            if alert.scope in touched and alert.first_day == windows[alert.window].first
        ]
        if not near:
            return None
        nearest = max(near, key=lambda one: (one.spent_percent, one.scope))
        what = f"{nearest.scope}/{nearest.window}"
        return f"downshift: {nearest.spent_percent} % of {what} is spent"
