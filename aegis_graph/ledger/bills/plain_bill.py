"""A bill as a plain CSV: ``day,provider,model,usd`` and, where it is known, ``calls``."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from aegis_graph.ledger.bills.bill_line import BillLine
from aegis_graph.ledger.bills.fields import (
    amount_of,
    local_day,
    text_of,
    whole_number,
    written_unit,
)


def plain_line(row: Mapping[str, str], zone: ZoneInfo) -> BillLine:
    """A row of it.

    Raises:
        ValueError: A column is missing or wrong.

    Example:
        >>> row = {"day": "2026-11-23", "provider": "openai", "model": "gpt-4o", "usd": "1.50"}
        >>> plain_line(row, ZoneInfo("UTC")).usd
        Decimal('1.50')
    """
    usd = amount_of("usd", text_of(row, "usd"))
    return BillLine(
        local_day("day", text_of(row, "day"), zone),
        text_of(row, "provider"),
        text_of(row, "model"),
        usd,
        written_unit(usd),
        calls=whole_number("calls", row.get("calls")),
    )
