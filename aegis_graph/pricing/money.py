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


def short_usd_text(nano_usd: int) -> str:
    """Nano-USD as decimal text in USD with two digits that count, for what is only expected.

    >>> short_usd_text(123_456), short_usd_text(2_000_000_000), short_usd_text(0)
    ('0.00012', '2', '0')
    """
    digits = str(nano_usd)
    shift = max(0, len(digits) - 2)
    step: int = 10**shift
    rounded = (nano_usd + step // 2) // step * step
    whole, part = divmod(rounded, NANO_PER_USD)
    return f"{whole}.{part:09}".rstrip("0").rstrip(".")


def limit_nano_usd(usd: Decimal) -> int:
    """Convert a limit in USD to nano-USD, rounding down so that it is never exceeded.

    >>> limit_nano_usd(Decimal("0.0000000019"))
    1
    """
    return int(usd * NANO_PER_USD)
