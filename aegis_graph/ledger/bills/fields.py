"""Fields of bills, each read by one rule with one clear line where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from aegis_graph.ledger.bills.bill_line import Period

NANO = Decimal("0.000000001")

MOST_USD = Decimal(10) ** 12
LEAST_DIGITS = 30
"""Amounts beyond these are no bill's, and would not be added up exactly."""


def text_of(row: Mapping[str, str | None], name: str) -> str:
    """The text of a column.

    Raises:
        ValueError: There is none.
    """
    found = (row.get(name) or "").strip()
    if not found:
        raise ValueError(f"{name}: empty")
    return found


def amount_of(name: str, value: object) -> Decimal:
    """An amount, exactly as it is written.

    Raises:
        ValueError: It is none.
    """
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation as error:
        raise ValueError(f"{name}: {value!r} is no amount") from error
    if not found.is_finite() or abs(found) > MOST_USD or found.adjusted() < -LEAST_DIGITS:
        raise ValueError(f"{name}: {value!r} is no amount")
    return found


def written_unit(amount: Decimal) -> Decimal:
    """Half of the last digit of an amount, but not more than half a cent."""
    exponent = amount.as_tuple().exponent
    digits = -exponent if isinstance(exponent, int) else 0
    return Decimal(1).scaleb(-max(digits, 2)) / 2


def whole_number(name: str, value: str | None) -> int | None:
    """A count; ``None`` where the column is empty or missing.

    Raises:
        ValueError: It is none.
    """
    if value is None or not value.strip():
        return None
    found = amount_of(name, value)
    if found < 0 or found != found.to_integral_value():
        raise ValueError(f"{name}: {value!r} is no count")
    return int(found)


def moment_of(name: str, value: str) -> datetime:
    """An instant, in UTC; one without a zone is taken for UTC.

    Raises:
        ValueError: It is none.
    """
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{name}: {value!r} is no time in ISO 8601") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def local_day(name: str, value: str, zone: ZoneInfo) -> Period:
    """A day of a calendar.

    Raises:
        ValueError: It is none.
    """
    try:
        day = date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{name}: {value!r} is not a day like 2026-11-23") from error
    first = datetime.combine(day, datetime.min.time(), zone)
    last = datetime.combine(day + timedelta(days=1), datetime.min.time(), zone)
    return Period(first.astimezone(UTC), last.astimezone(UTC))


def whole_day(period: Period) -> Period:
    """The day in UTC of an hour, so that hours of a day are one line; a day as it is.

    Raises:
        ValueError: It is longer than a day.
    """
    if not period.is_within_a_day:
        raise ValueError(
            f"is for {period.start:%Y-%m-%d %H:%M} to {period.end:%Y-%m-%d %H:%M}: export the bill"
            " by day or by hour"
        )
    if period.end - period.start > timedelta(hours=1):
        return period
    first = period.start.replace(hour=0, minute=0, second=0, microsecond=0)
    return Period(first, first + timedelta(days=1))
