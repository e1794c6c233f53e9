"""What an attempt costs: configuration first, then the kind's own table or genai-prices.

Unknown is an error at start-up, never 0. Amounts are Decimal USD until the ledger rounds them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from aegis_graph.clock import utc_now
from aegis_graph.config.price_specs import PriceSpec
from aegis_graph.config.specs import EmbeddingSpec, ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.pricing.configured import ConfiguredRates
from aegis_graph.pricing.rates import INPUT_KINDS, Cost, InputKind, Rate, TokenUsage

STANDARD_TIERS = frozenset({"auto", "default", "standard", "on_demand", "standard_only"})
"""What providers call the service tier of a request that names none: OpenAI ``auto`` and
``default``, Anthropic ``standard_only`` and ``standard``, Groq ``on_demand``."""

MAX_KNOWN = 64
"""Models of one provider whose prices are kept beside its own."""

RatesAt = Callable[[datetime, str | None], Sequence[Rate] | None]
"""The lines that hold at a moment (aware, in UTC) for a service tier, the smallest requests first;
``None`` where the price list does not know the tier. The standard tier is ``None``, and known."""


class TokenPrices(NamedTuple):
    """One line of a price list as whole pico-USD per token: fast, for what is only expected."""

    input: int
    cached_input: int
    output: int
    per_request: int
    up_to: int | None

    def nano_usd(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
        """What so many tokens cost, rounded up; the cached ones are among the input."""
        pico_usd = (
            self.per_request
            + (input_tokens - cached_tokens) * self.input
            + cached_tokens * self.cached_input
            + output_tokens * self.output
        )
        return -(-pico_usd // 1000)


@dataclass(frozen=True, slots=True)
class Price:
    """What attempts at one model cost, in USD.

    Args:
        rates_at: The lines of the price list.

    Example:
        >>> rate = Rate(input=Decimal(1), output=Decimal(2))
        >>> Price.flat(rate)(TokenUsage(1_000_000, 500_000))
        Decimal('2')
    """

    rates_at: RatesAt

    @classmethod
    def flat(cls, *rates: Rate) -> Price:
        """A price that is the same at every hour, and known for the standard tier only."""
        return cls(lambda moment, tier: rates if tier is None else None)

    def __call__(self, usage: TokenUsage) -> Decimal:
        """What an attempt costs now, in the standard tier."""
        return self.cost(usage).usd

    def cost(
        self, usage: TokenUsage, *, at: datetime | None = None, service_tier: str | None = None
    ) -> Cost:
        """What an attempt cost.

        Args:
            usage: Its tokens.
            at: When it was admitted; now when absent. A price by the hour does not change on the
                way.
            service_tier: As the provider names the tier that it was served in. A tier that the
                price list does not know counts as the standard one, which is not exact.
        """
        moment, tier = at or utc_now(), None if service_tier in STANDARD_TIERS else service_tier
        known = self.rates_at(moment, tier)
        rates = self._standard(moment) if known is None else known
        # There is one: the last has no upper end.
        fitting = (one for one in rates if one.up_to is None or usage.input_tokens <= one.up_to)
        cost = next(fitting).cost(usage)
        return cost if known is not None else cost._replace(exact=False)

    def token_prices(
        self, moment: datetime, service_tier: str | None, *, thinks: bool
    ) -> list[TokenPrices]:
        """What tokens of an attempt cost then, the smallest requests first.

        Args:
            moment: When it is admitted.
            service_tier: The tier that is asked for.
            thinks: Whether its output is thought over.
        """
        tier = None if service_tier in STANDARD_TIERS else service_tier
        rates = self.rates_at(moment, tier) or self._standard(moment)
        return [_token_prices(rate, reasoning=int(thinks)) for rate in rates]

    def _standard(self, moment: datetime) -> Sequence[Rate]:
        rates = self.rates_at(moment, None)
        assert rates is not None, "every price list knows its standard tier"
        return rates


def _token_prices(rate: Rate, *, reasoning: int) -> TokenPrices:
    def pico_usd(input_tokens: int, cached: int, output_tokens: int) -> int:
        reasoned = reasoning * output_tokens
        usage = TokenUsage(input_tokens, output_tokens, cached, reasoning_tokens=reasoned)
        return int((rate.cost(usage).usd - rate.per_request) * 10**12)

    return TokenPrices(
        pico_usd(1, 0, 0),
        pico_usd(1, 1, 0),
        pico_usd(0, 0, 1),
        int(rate.per_request * 10**12),
        rate.up_to,
    )


def of_first_tier(price: Price, *tiers: str) -> Price | None:
    """The price of calls that are served in one tier only, whatever tier an answer names.

    Args:
        price: All that is known.
        tiers: Names of the tier; the first that the price has counts.

    Returns:
        ``None`` where it has none of them.
    """
    known = [tier for tier in tiers if price.rates_at(utc_now(), tier) is not None]
    return Price(lambda moment, _: price.rates_at(moment, known[0])) if known else None


def most_usd(
    price: Price,
    input_tokens: int,
    output_tokens: int,
    *,
    at: datetime | None = None,
    service_tier: str | None = None,
    kinds: Collection[InputKind] = INPUT_KINDS,
) -> Decimal:
    """The most that an attempt can cost, given bounds of its tokens, in USD.

    Args:
        price: What the attempt is billed by.
        input_tokens: The most that it can have.
        output_tokens: The most that it can have.
        at: When it is admitted; now when absent.
        service_tier: The tier that is asked for. The provider may serve the standard one instead.
        kinds: The special kinds of input that it may have.
    """
    moment = at or utc_now()
    asked = None if service_tier in STANDARD_TIERS else service_tier
    most = Decimal(0)
    for tier in dict.fromkeys((None, asked)):
        least = 0
        for rate in price.rates_at(moment, tier) or ():
            # Small requests may be dearer than large ones: each line counts that can be reached.
            if least <= input_tokens:
                up_to = input_tokens if rate.up_to is None else min(input_tokens, rate.up_to)
                most = max(most, rate.most_usd(up_to, output_tokens, kinds))
                least = up_to + 1
    return most


NO_COST = Price(lambda moment, tier: (Rate(Decimal(0), Decimal(0)),))
"""The price of what is free."""


class KnownPrices:
    """Prices of models, each looked up once.

    Args:
        find: Looks one up.
    """

    def __init__(self, find: Callable[[str], Price | None]) -> None:
        self._find = find
        self._found: dict[str, Price | None] = {}

    def of(self, model: str) -> Price | None:
        """The price of a model, where it is known."""
        if model in self._found:
            return self._found[model]
        price = self._find(model)
        # A server may make up any number of names.
        if len(self._found) < MAX_KNOWN:
            self._found[model] = price
        return price


def price_of(spec: ProviderSpec, own_price: Callable[[], Price | None], *, source: str) -> Price:
    """The price of a configured provider.

    Args:
        spec: The provider.
        own_price: What the provider's kind knows of its price, where the row does not say it.
        source: The configuration's file, for the error.

    Raises:
        ConfigError: No price of this model is known, and the configuration gives none.
    """
    if spec.price == "free":
        return NO_COST
    if isinstance(spec.price, PriceSpec):
        return Price(ConfiguredRates(spec.price, spec.model, thinks=spec.thinking))
    known = own_price()
    if known is None:
        table = "embeddings" if isinstance(spec, EmbeddingSpec) else "providers"
        raise ConfigError(
            f"{source}: {table}.{spec.name}.price: no price is known for {spec.model!r};"
            ' set price = "free" or give input_usd_per_mtok and output_usd_per_mtok'
        )
    return known
