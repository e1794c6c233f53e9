"""Prices of genai-prices, the price book that comes with the package."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from aegis_graph.config.specs import EmbeddingSpec, ProviderSpec
from aegis_graph.pricing.cache_writes import cache_write_rates
from aegis_graph.pricing.prices import Price
from aegis_graph.pricing.rates import Rate

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices
    from genai_prices.types import Provider as BookProvider

_CONTEXTS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    # OpenAI bills flex at its batch rates: https://developers.openai.com/api/docs/guides/flex-processing
    "flex": ({"service_tier": "flex"}, {"processing": "batch"}),
    "batch": ({"processing": "batch"},),
    "priority": ({"service_tier": "priority"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
}
"""How the book names the service tiers; the first that it has for a model counts."""

_RATES: Mapping[str, str] = {
    "input": "input_mtok",
    "output": "output_mtok",
    "reasoning_output": "output_reasoning_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "audio_input": "input_audio_mtok",
    "image_input": "input_image_mtok",
    "audio_output": "output_audio_mtok",
    "image_output": "output_image_mtok",
}
"""Our name for a rate, and the book's."""


def book_price(spec: ProviderSpec) -> Price | None:
    """The price book's price of a model; ``None`` where the book does not know all of it."""
    found = _find(spec)
    if found is None:
        return None
    provider, model = found
    # Some models are billed by the second, or by the page: the ledger counts tokens.
    needed = {"input_mtok"} if isinstance(spec, EmbeddingSpec) else {"input_mtok", "output_mtok"}
    if not all(needed <= vars(prices).keys() for prices in _all_prices(model)):
        return None
    # Of a model that a provider resells, the book knows the standard tier only.
    tiered = any(model is own for own in provider.models)

    def rates_at(moment: datetime, tier: str | None) -> tuple[Rate, ...] | None:
        if tier is None:
            return _rates(model.get_prices(moment), spec.model)
        for context in _CONTEXTS.get(tier, ()) if tiered else ():
            if _has_variant(model, context, moment):
                return _rates(model.get_prices(moment, context), spec.model)
        return None

    return Price(rates_at)


def book_context(spec: ProviderSpec) -> int | None:
    """The length of a model's context in tokens, where the price book knows it."""
    found = _find(spec)
    return None if found is None else found[1].context_window


def _find(spec: ProviderSpec) -> tuple[BookProvider, ModelInfo] | None:
    # It lists what is sold, and a server at a local address may resell that.
    if spec.location == "local" and spec.price == "free":
        return None
    # Imported here: reading the book takes a quarter of the package's import time.
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    # A compatible endpoint is known by its address, whatever protocol it speaks.
    provider_id = spec.kind if spec.base_url is None else None
    try:
        return get_snapshot().find_provider_model(spec.model, None, provider_id, spec.base_url)
    except LookupError:
        return None


def _all_prices(model: ModelInfo) -> list[ModelPrice]:
    """What a model has cost, costs, and will cost."""
    if isinstance(model.prices, list):
        return [one.prices for one in model.prices]
    return [model.prices]


def _has_variant(model: ModelInfo, context: Mapping[str, str], moment: datetime) -> bool:
    return any(
        variant.when == context
        and (variant.constraint is None or variant.constraint.active(moment))
        for variant in model.price_variants or ()
    )


def _rates(prices: ModelPrice, model: str) -> tuple[Rate, ...]:
    """The lines of a price: one for each size of requests."""
    named: dict[str, Decimal | TieredPrices] = {
        ours: price
        for ours, theirs in _RATES.items()
        if (price := vars(prices).get(theirs)) is not None
    }
    ends = {
        tier.start for price in named.values() if hasattr(price, "tiers") for tier in price.tiers
    }
    per_request = Decimal(vars(prices).get("requests_kcount") or 0) / 1000
    return tuple(
        _rate(
            {name: _at_size(price, end) for name, price in named.items()}, model, per_request, end
        )
        for end in (*sorted(ends), None)
    )


def _rate(
    known: Mapping[str, Decimal], model: str, per_request: Decimal, up_to: int | None
) -> Rate:
    # An embedding has no output.
    rates: dict[str, Any] = {"output": Decimal(0), **known}
    return Rate(
        **{**cache_write_rates(model, rates["input"]), **rates},
        per_request=per_request,
        up_to=up_to,
    )


def _at_size(price: Decimal | TieredPrices, up_to: int | None) -> Decimal:
    """The price of a request whose input is no larger than this."""
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if up_to is None or tier.start < up_to]
    return reached[-1] if reached else price.base
