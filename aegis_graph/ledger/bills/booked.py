"""What the ledger has of the time of a bill: few sums, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from aegis_graph.ledger.bills.bill_line import Period
from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.rows import timestamp
from aegis_graph.pricing.money import to_usd


class BookedCalls(NamedTuple):
    """Calls that were admitted within the same ten minutes, of one model in one tier."""

    moment: datetime
    """When the ten minutes began, in UTC."""
    provider: str
    model: str
    """As the configuration names it."""
    served_model: str
    """As the provider named it; the configuration's name where it did not."""
    tier: str | None
    calls: int
    """Those that the provider may have billed."""
    known_usd: Decimal
    """What was settled to a cost."""
    held_usd: Decimal
    """What counts as spent because the outcome is unknown: the most that it can be."""
    open_usd: Decimal
    """What is reserved for calls that have not reported yet; not spent."""
    input_tokens: int
    """Without those below."""
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int


class HeldRow(NamedTuple):
    """A row that counts as spent in full because its outcome is unknown."""

    id: int
    moment: datetime
    provider: str
    model: str
    served_model: str
    nano_usd: int


_CELL = "substr(timestamp, 1, 15)"
"""An instant to its ten minutes: no time zone's midnight is within them."""
_SERVED = "coalesce(served_model, model)"
_KNOWN = "status <> 'reserved' AND cost_basis <> 'held'"
_HELD = "status <> 'reserved' AND cost_basis = 'held'"

_BOOKED = f"""
    SELECT {_CELL}, provider, model, {_SERVED}, service_tier,
        sum(CASE WHEN status <> 'reserved' AND cost_basis <> 'none' THEN 1 ELSE 0 END),
        sum(CASE WHEN {_KNOWN} THEN cost_nano_usd ELSE 0 END),
        sum(CASE WHEN {_HELD} THEN cost_nano_usd ELSE 0 END),
        sum(CASE WHEN status = 'reserved' THEN hold_nano_usd ELSE 0 END),
        sum(CASE WHEN {_KNOWN} THEN coalesce(input_tokens, 0) ELSE 0 END),
        sum(CASE WHEN {_KNOWN} THEN coalesce(cached_input_tokens, 0) ELSE 0 END),
        sum(CASE WHEN {_KNOWN} THEN coalesce(cache_write_tokens, 0) ELSE 0 END),
        sum(CASE WHEN {_KNOWN} THEN coalesce(output_tokens, 0) ELSE 0 END)
    FROM requests WHERE timestamp >= ? AND timestamp < ?
    GROUP BY {_CELL}, provider, model, {_SERVED}, service_tier
    ORDER BY {_CELL}, provider, model, {_SERVED}, service_tier
"""

_HELD_ROWS = f"""
    SELECT id, timestamp, provider, model, {_SERVED}, cost_nano_usd
    FROM requests WHERE timestamp >= ? AND timestamp < ? AND {_HELD} ORDER BY id
"""


def booked_calls(periods: Iterable[Period]) -> Query[list[BookedCalls]]:
    """The calls from the beginning of the first period to the end of the last."""
    found = yield Statement(_BOOKED, _range(periods))
    calls = []
    for cell, provider, model, served, tier, *sums in found:
        # PostgreSQL gives sums of BIGINT as NUMERIC, which is a Decimal here.
        count, known, held, reserved, read, cached, written, output = map(int, sums)
        calls.append(
            BookedCalls(
                datetime.fromisoformat(f"{cell}0:00").replace(tzinfo=UTC),
                provider,
                model,
                served,
                tier,
                count,
                to_usd(known),
                to_usd(held),
                to_usd(reserved),
                read - cached - written,
                cached,
                written,
                output,
            )
        )
    return calls


def held_rows(periods: Iterable[Period]) -> Query[list[HeldRow]]:
    """The rows among them that count as spent because their outcome is unknown."""
    found = yield Statement(_HELD_ROWS, _range(periods))
    return [
        HeldRow(int(number), datetime.fromisoformat(moment), provider, model, served, int(nano_usd))
        for number, moment, provider, model, served, nano_usd in found
    ]


def _range(periods: Iterable[Period]) -> tuple[str, str]:
    known = list(periods)
    first, last = min(one.start for one in known), max(one.end for one in known)
    return timestamp(first), timestamp(last)
