"""What the ledger knows of the last attempts: from them is expected what the next one costs."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from aegis_graph.ledger.queries import Query, Statement


class PastAttempt(NamedTuple):
    """An attempt that ended."""

    provider: str
    model: str
    task: str
    thread_id: str | None
    moment: datetime
    """When it was admitted, in UTC."""
    answered: bool
    cost_nano_usd: int
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    latency_ms: int | None
    service_tier: str | None = None
    """In which it was served, or asked where nothing was."""
    cancelled: bool = False
    """Whether it was cut short: an answer would have taken longer, and nothing else is known."""


_COLUMNS = (
    "provider, model, task, thread_id, timestamp, status, cost_nano_usd, input_tokens,"
    " output_tokens, cached_input_tokens, latency_ms, service_tier"
)


def past_attempts(most: int) -> Query[list[PastAttempt]]:
    """The last attempts that ended, the oldest first: found by their ids, in any large ledger.

    Those that were cancelled before anything was sent say nothing, and are left out.

    Args:
        most: How many.
    """
    rows = yield Statement(
        f"SELECT {_COLUMNS} FROM requests WHERE status IN ('answered', 'failed', 'expired')"
        " OR (status = 'cancelled' AND cost_basis <> 'none') ORDER BY id DESC LIMIT ?",
        (most,),
    )
    return [
        PastAttempt(
            provider,
            model,
            task,
            thread_id,
            datetime.fromisoformat(moment),
            status == "answered",
            *counts,
        )._replace(cancelled=status == "cancelled")
        for provider, model, task, thread_id, moment, status, *counts in reversed(rows)
    ]
