"""What attempts turned into: how it is said, and what it changes in the totals. Pure."""

from __future__ import annotations

from aegis_graph.errors import RejectedAnswerError
from aegis_graph.types import CostBasis, SettlementRecord, Status

REFUSED = ("failed", RejectedAnswerError.__name__)
"""Status and error type of an attempt whose answer a check refused."""


def unused_hold(hold_id: int) -> SettlementRecord:
    """The settlement of a hold for an attempt that was never made."""
    return settlement_without_usage(hold_id, "cancelled")


def is_refusal(settlement: SettlementRecord) -> bool:
    """Whether a check refused what had been answered."""
    return (settlement["status"], settlement["error_type"]) == REFUSED


def settlement_without_usage(
    hold_id: int,
    status: Status,
    *,
    error_type: str | None = None,
    cost_nano_usd: int = 0,
    cost_basis: CostBasis = "none",
    latency_ms: int = 0,
) -> SettlementRecord:
    """The settlement of an attempt of which no count of tokens is known."""
    return SettlementRecord(
        hold_id=hold_id,
        status=status,
        error_type=error_type,
        cost_nano_usd=cost_nano_usd,
        cost_basis=cost_basis,
        input_tokens=None,
        output_tokens=None,
        cached_input_tokens=None,
        reasoning_tokens=None,
        latency_ms=latency_ms,
        cache_write_tokens=None,
        service_tier=None,
        served_model=None,
        first_token_ms=None,
        overrun=0,
    )


def changes_of_totals(
    status: str, hold_nano_usd: int, record: SettlementRecord
) -> tuple[int, ...] | None:
    """What a settlement adds to the totals of an attempt's scopes, as ``TOTAL_COLUMNS`` has them.

    Args:
        status: What its row says so far.
        hold_nano_usd: The most that it could cost.
        record: The settlement.

    Returns:
        ``None`` where it changes nothing: the attempt was settled before.
    """
    if status == "answered" and is_refusal(record):
        # The answer is paid all the same, and its tokens are counted.
        return (0, 0, 0, 1, 0, 0, 0, 0, 0)
    if status not in {"reserved", "expired"}:
        return None
    # An expired hold was counted as spent in full and as a failure when it was swept.
    expired = status == "expired"
    return (
        record["cost_nano_usd"] - (hold_nano_usd if expired else 0),
        0 if expired else -hold_nano_usd,
        0,
        int(record["status"] != "answered") - int(expired),
        record["input_tokens"] or 0,
        record["output_tokens"] or 0,
        -int(not expired),
        record["cached_input_tokens"] or 0,
        record["cache_write_tokens"] or 0,
    )
