"""Money: Decimal USD in code, integer nano-USD in the ledger, rounded up once."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

NANO_PER_USD = 1_000_000_000


def to_nano_usd(usd: Decimal) -> int:
    """Convert USD to nano-USD, rounding up so that a budget is never under-counted.

    >>> to_nano_usd(Decimal("0.0000000001"))
    1
    """
    return int((usd * NANO_PER_USD).to_integral_value(rounding=ROUND_CEILING))


def to_usd(nano_usd: int) -> Decimal:
    """Convert nano-USD to USD, exactly.

    >>> to_usd(1_500_000)
    Decimal('0.0015')
    """
    return (Decimal(nano_usd) / NANO_PER_USD).normalize()


def usd_text(nano_usd: int) -> str:
    """Nano-USD as plain decimal text in USD, exact and without an exponent: JSON's form of money.

    >>> usd_text(10_000_000_000), usd_text(1)
    ('10', '0.000000001')
    """
    return f"{to_usd(nano_usd):f}"


def limit_nano_usd(usd: Decimal) -> int:
    """Convert a limit in USD to nano-USD, rounding down so that it is never exceeded.

    >>> limit_nano_usd(Decimal("0.0000000019"))
    1
    """
    return int(usd * NANO_PER_USD)
