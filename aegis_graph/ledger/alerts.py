"""What the ledger says when a share of a budget is spent."""

from __future__ import annotations

from typing import NamedTuple

from aegis_graph.pricing.money import usd_text
from aegis_graph.types import Window


class Alert(NamedTuple):
    """A budget of which a given share is spent; given once per window.

    Example:
        >>> def on_alert(alert: Alert) -> None:
        ...     print(alert.text)
    """

    scope: str
    window: Window
    limit_nano_usd: int
    spent_nano_usd: int
    first_day: str
    """When the window began, as an ISO date."""

    @property
    def spent_percent(self) -> int:
        """The share of the limit that is spent, in whole percent."""
        return self.spent_nano_usd * 100 // max(1, self.limit_nano_usd)

    @property
    def facts(self) -> dict[str, str]:
        """The alert as JSON, with amounts in USD as decimal text."""
        return {
            "scope": self.scope,
            "window": self.window,
            "spent_usd": usd_text(self.spent_nano_usd),
            "limit_usd": usd_text(self.limit_nano_usd),
            "since": self.first_day,
        }

    @property
    def text(self) -> str:
        """The alert in one line."""
        spent, limit = usd_text(self.spent_nano_usd), usd_text(self.limit_nano_usd)
        return f"budget {self.scope} per {self.window}: ${spent} of ${limit} spent"
