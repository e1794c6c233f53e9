"""What Alibaba bills for its models in its international region."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.pricing.prices import Price
from aegis_graph.pricing.rates import Rate
from aegis_graph.providers.waiting_tier import BATCH as BATCH


def _rate(
    input_price: str, output: str, thinking: str | None = None, up_to: int | None = None
) -> Rate:
    price = Decimal(input_price)
    return Rate(
        input=price,
        output=Decimal(output),
        thinking_output=Decimal(thinking) if thinking else None,
        cached_input=price * Decimal("0.2"),
        explicit_cached_input=price * Decimal("0.1"),
        explicit_cache_write=price * Decimal("1.25"),
        up_to=up_to,
    )


DASHSCOPE_PRICES_DATE = "2026-11-23"

DASHSCOPE_RATES: dict[str, tuple[Rate, ...]] = {
    "qwen-turbo": (_rate("0.05", "0.20", "0.50"),),
    "qwen-flash": (_rate("0.05", "0.40", up_to=256_000), _rate("0.25", "2.00")),
    "qwen-plus": (
        _rate("0.40", "1.20", "4.00", up_to=256_000),
        _rate("1.20", "3.60", "12.00"),
    ),
    "qwen-max": (_rate("1.60", "6.40"),),
    "qwen3-32b": (_rate("0.70", "2.80", "8.40"),),
    "qwen3-vl-30b-a3b-instruct": (_rate("0.20", "0.80"),),
    "qwen3-vl-30b-a3b-thinking": (_rate("0.20", "2.40"),),
    "qwen3-vl-plus": (
        _rate("0.20", "1.60", up_to=32_000),
        _rate("0.30", "2.40", up_to=128_000),
        _rate("0.60", "4.80"),
    ),
    "text-embedding-v3": (_rate("0.07", "0"),),
    "text-embedding-v4": (_rate("0.07", "0"),),
}
"""International (Singapore) prices as of ``DASHSCOPE_PRICES_DATE``.

Source: https://www.alibabacloud.com/help/en/model-studio/model-pricing, with the price maps of
models.dev and litellm where the page names none. The whole request is billed at the tier of its
input tokens; the thinking price holds for all output of a call that thinks. What the service caches
by itself costs a fifth of the input price when it is read again; what a message marks with
``cache_control`` costs 1.25 times the input price when it is written, and a tenth when it is read:
https://www.alibabacloud.com/help/en/model-studio/context-cache.
"""

_OTHER_REGIONS = re.compile(
    r"(?!dashscope-intl\.|[\w-]+\.ap-southeast-1\.maas\.)([\w-]+\.)*aliyuncs\.com"
)
"""Alibaba's hosts outside Singapore, which have other prices."""


def dashscope_price(spec: ProviderSpec) -> Price | None:
    """The price of a model in Singapore; ``None`` for other regions and for unknown models."""
    rates = DASHSCOPE_RATES.get(spec.model)
    host = urlsplit(spec.base_url or "").hostname or ""
    if rates is None or _OTHER_REGIONS.fullmatch(host.rstrip(".")):
        return None

    # Whether a call thinks is the row's choice, and fixed before it is made.
    return Price.flat(
        *(
            replace(
                rate,
                output=(spec.thinking and rate.thinking_output) or rate.output,
                thinking_output=None,
            )
            for rate in rates
        )
    )


def batch_price(price: Price) -> Price:
    """What calls of Batch Chat cost: half of a row's price, unless it names one for ``batch``.

    Whatever tier an answer names, its host serves this one only.
    Source: https://help.aliyun.com/zh/model-studio/openai-compatible-batch-chat
    """

    def rates_at(moment: datetime, tier: str | None) -> Sequence[Rate]:
        named = price.rates_at(moment, BATCH)
        return named or [_half(rate) for rate in price.rates_at(moment, None) or ()]

    return Price(rates_at)


def _half(rate: Rate) -> Rate:
    names = [one.name for one in fields(rate) if one.name != "up_to"]
    halves: dict[str, Any] = {
        name: value / 2 for name in names if (value := getattr(rate, name)) is not None
    }
    # No source says that what is read from a cache costs even less there.
    return replace(
        rate, **{**halves, "cached_input": rate.input / 2, "explicit_cached_input": None}
    )
