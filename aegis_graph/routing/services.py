"""What all requests to one router share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aegis_graph.clock import Clock
from aegis_graph.concurrency.portal import Portal
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.factory import calendar_of, create_ledger
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.reader import LedgerReader
from aegis_graph.ledger.records import Ledger
from aegis_graph.ledger.windows import Calendar
from aegis_graph.routing.alerting.alert_webhook import AlertWebhook
from aegis_graph.routing.alerting.notices import Claim, Notices
from aegis_graph.routing.application.hooks import RouterHooks
from aegis_graph.routing.candidates.downshift import Downshift
from aegis_graph.routing.candidates.experience import Experience
from aegis_graph.routing.candidates.provider_rates import ProviderRates
from aegis_graph.routing.health import Health
from aegis_graph.routing.unclaimed_holds import UnclaimedHolds
from aegis_graph.telemetry.telemetry import Telemetry
from aegis_graph.types import Window


@dataclass(frozen=True, slots=True)
class SharedServices:
    """What the nodes of a router work with; it outlives a change of the chain.

    Args:
        ledger: The only memory of money.
        health: Which providers are left alone for now.
        rates: What providers say is left of their own limits.
        unclaimed: The holds between two nodes.
        portal: Runs the nodes for sync callers.
        clock: Returns the present as an aware datetime in UTC.
        hooks: The functions that the application gave.
        webhook: Where notices are posted.
        notices: Makes one of each change that an operator is told.
        experience: What earlier attempts were like.
        telemetry: Finds out whether anything watches a request.
    """

    ledger: Ledger
    health: Health
    rates: ProviderRates
    unclaimed: UnclaimedHolds
    portal: Portal
    clock: Clock
    hooks: RouterHooks
    webhook: AlertWebhook
    notices: Notices
    experience: Experience
    telemetry: Telemetry

    def downshift(self, calendar: Calendar) -> Downshift:
        """What knows which budgets are nearly spent."""
        ledger = self.ledger if isinstance(self.ledger, SqlLedger) else None
        return Downshift(ledger, self.clock, calendar)

    @classmethod
    def of(
        cls,
        config: RouterConfig,
        *,
        ledger: Ledger | None,
        clock: Clock,
        hooks: RouterHooks | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> SharedServices:
        """The services that a configuration asks for, around a shared ledger if there is one."""
        used = ledger or create_ledger(config, clock=clock, environ=environ)
        webhook = AlertWebhook(config, environ)
        claim = _claim_by(used, webhook) if isinstance(used, SqlLedger) else None
        notices = Notices(webhook.post_soon, clock, calendar_of(config.ledger), claim)
        health = Health(config.health, clock, notices.provider_changed)
        return cls(
            used,
            health,
            ProviderRates(clock),
            UnclaimedHolds(used),
            Portal(),
            clock,
            hooks or RouterHooks(),
            webhook,
            notices,
            Experience(used if isinstance(used, LedgerReader) else None, clock),
            Telemetry(config, environ),
        )


def _claim_by(ledger: SqlLedger, webhook: AlertWebhook) -> Claim:
    """Has the ledger decide which of several processes posts a notice."""

    async def claim(name: str, window: Window, first_day: str) -> bool:
        if not webhook.is_wanted:
            return False
        try:
            return await ledger.claim_notice(name, window, first_day)
        except LedgerError:
            # Better told twice than never.
            return True

    return claim
