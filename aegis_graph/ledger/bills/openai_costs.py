"""OpenAI's bill: pages of ``/v1/organization/costs``, best with ``group_by=line_item``.

Source: https://platform.openai.com/docs/api-reference/usage/costs
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from aegis_graph.ledger.bills.bill_line import BillLine, Period, TokenKind
from aegis_graph.ledger.bills.fields import NANO, amount_of

PROVIDER = "openai"
"""The ledger's name for it, where the configuration gives it no other."""

ALL_MODELS = "all models"
"""In place of a model where a bill does not tell them apart."""

_KINDS: Mapping[str, TokenKind] = {
    "input": "input",
    "cached input": "cached_input",
    "cache write": "cache_write",
    "output": "output",
}
"""Ends of a line item, such as ``gpt-4o-2024-08-06, cached input``."""

_TIERS = re.compile(r"\b(batch|flex|priority)\b", re.I)


def openai_lines(document: Any) -> list[BillLine]:
    """The lines of one page, or of a list of pages.

    Raises:
        ValueError: It has another form, or another currency than USD.
    """
    pages = document if isinstance(document, list) else [document]
    last = pages[-1] if pages else {}
    if isinstance(last, dict) and last.get("has_more"):
        # A part of a bill would be compared with all of the ledger.
        raise ValueError("'has_more' is true: add the pages that follow, as a JSON list of pages")
    return [line for page in pages for line in _page_lines(page)]


def _page_lines(page: Any) -> Iterator[BillLine]:
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        raise ValueError("no page of OpenAI's costs: it has no list 'data'")
    for at, bucket in enumerate(page["data"]):
        try:
            period = Period(*(datetime.fromtimestamp(bucket[key], UTC) for key in _EDGES))
            for result in bucket["results"]:
                yield _line(period, result)
        except (KeyError, TypeError, OverflowError, OSError) as error:
            raise ValueError(f"data[{at}]: not a bucket of costs ({error})") from error


_EDGES = ("start_time", "end_time")


def _line(period: Period, result: Mapping[str, Any]) -> BillLine:
    amount = result["amount"]
    currency = str(amount.get("currency", "usd")).lower()
    if currency != "usd":
        raise ValueError(f"amounts are in {currency!r}; only USD can be compared")
    item = str(result.get("line_item") or "")
    tier = _TIERS.search(item)
    name, _, end = _TIERS.sub("", item).strip(" ,").rpartition(", ")
    kind = _KINDS.get(end.strip(" ,").lower())
    model = name if kind is not None else (item or ALL_MODELS)
    return BillLine(
        period,
        PROVIDER,
        model.strip(" ,"),
        amount_of("amount.value", amount["value"]),
        NANO,
        kind=kind,
        tier=tier.group().lower() if tier else None,
    )
