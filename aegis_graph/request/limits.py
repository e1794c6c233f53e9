"""The amounts and times that a request may be limited to."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation

from aegis_graph.errors import InvalidRequestError
from aegis_graph.pricing.money import limit_nano_usd
from aegis_graph.types import HedgeAfter

MAX_COST_USD = Decimal(1_000_000_000)
"""Well below what the ledger's 64-bit nano-USD can hold."""

MAX_WAIT_S = 86_400
"""A day: what may take longer is no request, but a job of its own."""


def amount_usd(key: str, value: object) -> Decimal:
    """An amount in USD, such as a run may cost.

    Args:
        key: What a message calls it.
        value: Decimal text, or a number.

    Raises:
        InvalidRequestError: It is no amount.

    Example:
        >>> amount_usd("max_price_usd", "0.01")
        Decimal('0.01')
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
        f"{key}: {value!r} is not an amount in USD from 0 to {MAX_COST_USD:,}"
    )


def time_limit_s(key: str, value: object) -> float:
    """How long a request may take, in seconds.

    Args:
        key: What a message calls it.
        value: A number above 0.

    Raises:
        InvalidRequestError: It is no time.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and value > 0:  # type: ignore[arg-type,operator]
        return float(value)  # type: ignore[arg-type]
    raise InvalidRequestError(f"{key}: {value!r} is not a number of seconds above 0")


def wait_limit_s(value: object) -> float:
    """How long a request may wait for a tier at half the price, in seconds.

    Raises:
        InvalidRequestError: It is no time of at most a day.
    """
    if value is None:
        return 0.0
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and 0 <= value <= MAX_WAIT_S:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise InvalidRequestError(
        f"max_wait_s: {value!r} is not a number of seconds from 0 to {MAX_WAIT_S:,}"
    )


def hedge_after(value: object) -> HedgeAfter | None:
    """When a second attempt is sent beside one that takes long, where the request says it.

    Raises:
        InvalidRequestError: It is neither a time nor a word for one.
    """
    if value is None or value == "p95" or value == "off":
        return value
    try:
        return time_limit_s("hedge_after_s", value)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{error}, 'p95' or 'off'") from None


def price_limit(value: object) -> int | None:
    """The most that one call may cost in nano-USD, where the request says it.

    Raises:
        InvalidRequestError: It is no amount.
    """
    return None if value is None else limit_nano_usd(amount_usd("max_price_usd", value))


def run_limit(value: object, run_id: str | None) -> int | None:
    """A run's envelope in nano-USD, what all of its requests may cost together, where it has one.

    Raises:
        InvalidRequestError: It is no amount, or there is no run whose requests share it.
    """
    if value is None:
        return None
    if run_id is None:
        raise InvalidRequestError("max_cost_usd: needs a run_id, whose requests share it")
    return limit_nano_usd(amount_usd("max_cost_usd", value))
