"""A run's envelope: what all of its requests may cost together. Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from aegis_graph.errors import InvalidRequestError
from aegis_graph.pricing.money import limit_nano_usd

MAX_COST_USD = Decimal(1_000_000_000)
"""Well below what the ledger's 64-bit nano-USD can hold."""


def envelope_usd(value: object) -> Decimal:
    """What the requests of a run may cost together, in USD.

    Raises:
        InvalidRequestError: It is no amount.
    """
    # The text of a float is what its writer meant: 0.1 is a tenth.
    number = isinstance(value, str | int | float | Decimal) and not isinstance(value, bool)
    try:
        usd = Decimal(str(value)) if number else Decimal("NaN")
    except InvalidOperation:
        usd = Decimal("NaN")
    if usd.is_finite() and 0 <= usd <= MAX_COST_USD:
        return usd
    raise InvalidRequestError(
        f"max_cost_usd: {value!r} is not an amount in USD from 0 to {MAX_COST_USD:,}"
    )


def run_limit(value: object, run_id: str | None) -> int | None:
    """The envelope in nano-USD, where the request has one.

    Raises:
        InvalidRequestError: It is no amount, or there is no run whose requests share it.
    """
    if value is None:
        return None
    if run_id is None:
        raise InvalidRequestError("max_cost_usd: needs a run_id, whose requests share it")
    return limit_nano_usd(envelope_usd(value))
