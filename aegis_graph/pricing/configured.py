"""Prices that a row of the configuration gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from aegis_graph.config.price_specs import HoursSpec, PriceSpec, RateFields, RatesSpec, SizeTierSpec
from aegis_graph.pricing.cache_writes import cache_write_rates
from aegis_graph.pricing.rates import Rate

_SUFFIX = "_usd_per_mtok"


class ConfiguredRates:
    """The lines of a configured price, by moment and service tier.

    Args:
        spec: The price.
        model: The model's name, which says what its cache writes cost where the price does not.
        thinks: Whether the model is asked to think: then all its output is billed as such.
    """

    def __init__(self, spec: PriceSpec, model: str, *, thinks: bool) -> None:
        self._model = model
        self._thinks = thinks
        tiers: dict[str | None, RatesSpec] = {None: RatesSpec()}
        tiers.update(spec.service_tiers)
        self._always = {name: self._rates(spec, tier) for name, tier in tiers.items()}
        self._hours = [
            (hours, {name: self._rates(spec, hours, tier) for name, tier in tiers.items()})
            for hours in spec.hours
        ]

    def __call__(self, moment: datetime, tier: str | None) -> Sequence[Rate] | None:
        """The lines that hold then; ``None`` for a tier that the price does not name."""
        now = moment.time()
        for hours, rates in self._hours:
            if _is_within(now, hours):
                return rates.get(tier)
        return self._always.get(tier)

    def _rates(self, *layers: RatesSpec) -> tuple[Rate, ...]:
        """The lines where each layer goes before those that stand before it."""
        sized = next((layer for layer in reversed(layers) if layer.tiers), None)
        tiers = [*sized.tiers, None] if sized else [None]
        return tuple(self._rate(layers, sized, tier) for tier in tiers)

    def _rate(
        self, layers: Sequence[RatesSpec], sized: RatesSpec | None, tier: SizeTierSpec | None
    ) -> Rate:
        named: dict[str, Any] = {}
        for layer in layers:
            named |= _named_rates(layer)
            if layer is sized and tier is not None:
                named |= _named_rates(tier)
        if self._thinks and "thinking_output" in named:
            named["output"] = named["thinking_output"]
        writes = cache_write_rates(self._model, named["input"])
        # As documented in ``PriceSpec``: what a price does not say of cached input is that it costs
        # as much as other input.
        rates = {"cached_input": named["input"], **writes, **named}
        return Rate(**rates, up_to=None if tier is None else tier.up_to)


def _named_rates(layer: RateFields) -> Mapping[str, Decimal]:
    rates = {
        name.removesuffix(_SUFFIX).replace("write_5m", "write"): getattr(layer, name)
        for name in type(layer).model_fields
        if name.endswith(_SUFFIX)
    }
    return {name: rate for name, rate in rates.items() if rate is not None}


def _is_within(now: time, hours: HoursSpec) -> bool:
    if hours.start < hours.end:
        return hours.start <= now < hours.end
    # Over midnight.
    return now >= hours.start or now < hours.end
