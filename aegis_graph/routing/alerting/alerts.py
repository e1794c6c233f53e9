"""Budget alerts: to the log, to the run's stream, and to what the application gave for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aegis_graph.ledger.alerts import Alert
from aegis_graph.routing.alerting.notices import Notices
from aegis_graph.routing.application.hooks import OnAlert, notify
from aegis_graph.routing.events import stream_writer

logger = logging.getLogger(__name__)


async def report_alerts(
    alerts: Sequence[Alert], notices: Notices, on_alert: OnAlert | None
) -> None:
    """Say that a budget's share is spent; the ledger gives each alert once per window."""
    for alert in alerts:
        logger.warning("%s", alert.text)
        stream_writer()({"event": "budget_alert", **alert.facts})
        notices.alert(alert)
        if on_alert is not None:
            await notify("on_alert", on_alert, alert)
