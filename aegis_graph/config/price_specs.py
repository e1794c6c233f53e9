"""Prices as a row of the configuration gives them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from aegis_graph.config.config_model import ConfigModel, Usd


class RateFields(ConfigModel):
    """Prices in USD per million tokens, of each kind of them."""

    input_usd_per_mtok: Usd | None = None
    output_usd_per_mtok: Usd | None = None
    thinking_output_usd_per_mtok: Usd | None = None
    """Price of all output of an answer that was thought over; the output price when absent."""
    cached_input_usd_per_mtok: Usd | None = None
    """Price of input tokens the provider read from its cache; the input price when absent."""
    cache_write_5m_usd_per_mtok: Usd | None = None
    """Price of input that the provider writes to its cache for five minutes. When absent, 1.25
    times the input price for the models that are known to be billed so (Claude, GPT from 5.6 on,
    Alibaba's Qwen); for others the cost of such input is ``estimated`` at the input price."""
    cache_write_1h_usd_per_mtok: Usd | None = None
    """The same for an hour. When absent, twice the input price for Claude; for others the cost is
    ``estimated`` at the price for five minutes."""
    audio_input_usd_per_mtok: Usd | None = None
    """Price of what is heard; when absent, the cost is ``estimated`` at the price of text."""
    audio_output_usd_per_mtok: Usd | None = None
    """Price of what is spoken; when absent, the cost is ``estimated`` at the price of text."""
    image_input_usd_per_mtok: Usd | None = None
    """Price of the tokens of images; the input price when absent."""
    image_output_usd_per_mtok: Usd | None = None
    """Price of drawn images; when absent, the cost is ``estimated`` at the price of text."""


class SizeTierSpec(RateFields):
    """Prices of all tokens of requests up to a size. What it leaves out is as in the row it is in.

    Larger requests have the row's own prices.
    """

    up_to: int = Field(ge=1)
    """Input tokens of the largest request, cached ones included."""


class RatesSpec(RateFields):
    """Prices of one service tier, or of some hours. What it leaves out is as in the price itself.

    Where it names no sizes of its own, its prices hold for requests of every size.
    """

    tiers: tuple[SizeTierSpec, ...] = ()
    """The sizes of requests that have other prices, the smallest first."""

    @field_validator("tiers")
    @classmethod
    def _in_order(cls, tiers: tuple[SizeTierSpec, ...]) -> tuple[SizeTierSpec, ...]:
        ends = [tier.up_to for tier in tiers]
        if ends != sorted(set(ends)):
            raise ValueError("up_to must grow from one tier to the next")
        return tiers


class HoursSpec(RatesSpec):
    """Prices of some hours of each day, by UTC. The hour at which a request is admitted counts."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=True)

    start: time = Field(alias="from")
    end: time = Field(alias="to")
    """The first moment after them; before ``from`` where they go over midnight."""

    @model_validator(mode="after")
    def _is_a_part_of_a_day(self) -> HoursSpec:
        if self.start == self.end:
            raise ValueError("from and to are the same: a price of all hours needs none")
        if self.start.tzinfo or self.end.tzinfo:
            raise ValueError("from and to are in UTC and name no zone")
        return self


class PriceSpec(RatesSpec):
    """A price in USD per million tokens. It overrides the price book.

    Example:
        >>> flex = {"input_usd_per_mtok": "1.25", "output_usd_per_mtok": "5"}
        >>> PriceSpec.model_validate({
        ...     "input_usd_per_mtok": "5",
        ...     "output_usd_per_mtok": "20",
        ...     "tiers": [
        ...         {"up_to": 200_000, "input_usd_per_mtok": "2.5", "output_usd_per_mtok": "10"}
        ...     ],
        ...     "service_tiers": {"flex": flex},
        ...     "hours": [{"from": "16:30", "to": "00:30", "input_usd_per_mtok": "1"}],
        ... }).tiers[0].up_to
        200000
    """

    input_usd_per_mtok: Usd
    output_usd_per_mtok: Usd
    service_tiers: Mapping[str, RatesSpec] = Field(default_factory=dict)
    """Prices by the provider's name of a service tier (``flex``, ``priority``, ``batch``). A tier
    that is not named here costs as much as the standard one, and its cost is ``estimated``."""
    hours: tuple[HoursSpec, ...] = ()
    """Prices by the hour; the first that fits counts. A service tier's go before an hour's."""


FREE, PRICED = "literal['free']", "PriceSpec"

# Decided by the value first: a fault in a price is not hidden behind "should be 'free'".
PriceChoice = Annotated[
    Annotated[Literal["free"], Tag(FREE)] | Annotated[PriceSpec, Tag(PRICED)],
    Discriminator(lambda value: FREE if isinstance(value, str) else PRICED),
]
