"""A bill as FOCUS: Alibaba's export, and that of any provider that has one.

Source: https://focus.finops.org/focus-specification/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from zoneinfo import ZoneInfo

from aegis_graph.ledger.bills.bill_line import BillLine, Period, TokenKind
from aegis_graph.ledger.bills.fields import (
    amount_of,
    moment_of,
    text_of,
    whole_day,
    written_unit,
)

_MODEL = ("x_Model", "ResourceName", "ResourceId", "SkuId")
"""Where the model stands, the surest first."""
_PROVIDER = ("ServiceProviderName", "ProviderName", "InvoiceIssuerName")
_MEANING = ("SkuMeter", "SkuId", "ChargeDescription")
"""Where a line says of which tokens it is."""

_OWN_NAMES: Mapping[str, str] = {"alibaba": "dashscope", "openai": "openai"}
"""The ledger's name for a provider whose name has this word."""

_UNIT = re.compile(r"\s*(1000|1,000|k|m)?\s*tokens?\s*", re.I)
_SIZES: Mapping[str, int] = {"": 1, "1000": 1_000, "1,000": 1_000, "k": 1_000, "m": 1_000_000}


def focus_line(row: Mapping[str, str], zone: ZoneInfo) -> BillLine:
    """A row of it; hours are read as their day in UTC.

    Raises:
        ValueError: A column is missing or wrong, or the currency is another than USD.
    """
    currency = text_of(row, "BillingCurrency")
    if currency != "USD":
        raise ValueError(f"BillingCurrency: {currency}; only USD can be compared")
    edges = (moment_of(name, text_of(row, name)) for name in _EDGES)
    usd = amount_of("BilledCost", text_of(row, "BilledCost"))
    return BillLine(
        whole_day(Period(*edges)),
        _provider(_first(row, _PROVIDER) or "unknown"),
        _model(row),
        usd,
        written_unit(usd),
        kind=_kind(row),
        tokens=_tokens(row),
        tier=_tier(row),
    )


_EDGES = ("ChargePeriodStart", "ChargePeriodEnd")


def _first(row: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    found = ((row.get(name) or "").strip() for name in names)
    return next((text for text in found if text), None)


def _provider(name: str) -> str:
    return next((own for word, own in _OWN_NAMES.items() if word in name.lower()), name)


def _model(row: Mapping[str, str]) -> str:
    category = (row.get("ChargeCategory") or "Usage").strip()
    if category != "Usage":
        # A tax or a credit is of no model.
        return f"({category.lower()})"
    found = _first(row, _MODEL)
    if found is None:
        raise ValueError(f"names no model in any of {', '.join(_MODEL)}")
    return found


def _kind(row: Mapping[str, str]) -> TokenKind | None:
    for name in _MEANING:
        words = set(re.findall(r"[a-z]+", (row.get(name) or "").lower()))
        if words & {"cached", "cache"}:
            return "cache_write" if words & {"write", "creation"} else "cached_input"
        if "input" in words:
            return "input"
        if "output" in words:
            return "output"
    return None


def _tier(row: Mapping[str, str]) -> str | None:
    words = " ".join((row.get(name) or "").lower() for name in _MEANING)
    found = re.search(r"\b(batch|flex|priority)\b", words)
    return found.group() if found else None


def _tokens(row: Mapping[str, str]) -> int | None:
    unit, quantity = row.get("ConsumedUnit") or "", (row.get("ConsumedQuantity") or "").strip()
    size = _UNIT.fullmatch(unit)
    if size is None or not quantity:
        return None
    tokens = amount_of("ConsumedQuantity", quantity) * _SIZES[(size.group(1) or "").lower()]
    return int(tokens.to_integral_value()) if tokens >= Decimal(0) else None
