"""What an attempt costs: configuration first, then the kind's own table or genai-prices.

Unknown is an error at start-up, never 0. Amounts are Decimal USD until the ledger rounds them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from aegis_graph.config.specs import EmbeddingSpec, PriceSpec, ProviderSpec
from aegis_graph.errors import ConfigError

MTOK = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one attempt. Input includes the cached ones, output the reasoning ones."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0


Price = Callable[[TokenUsage], Decimal]
"""The cost of an attempt in USD."""


@dataclass(frozen=True, slots=True)
class Rate:
    """USD per million tokens, for requests of up to ``up_to`` input tokens."""

    input: Decimal
    output: Decimal
    thinking_output: Decimal | None = None
    """Price of all output of a call that thinks; the output price when absent."""
    cached_input: Decimal | None = None
    """Price of input read from the provider's cache; the input price when absent."""
    up_to: int | None = None

    def cost(self, usage: TokenUsage, *, thinking: bool) -> Decimal:
        """The cost of an attempt in USD."""
        output = self.thinking_output if thinking and self.thinking_output else self.output
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = usage.input_tokens - usage.cached_input_tokens
        return (
            self.input * fresh + cached * usage.cached_input_tokens + output * usage.output_tokens
        ) / MTOK


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
        return no_cost
    if isinstance(spec.price, PriceSpec):
        given = spec.price
        rate = Rate(
            given.input_usd_per_mtok,
            given.output_usd_per_mtok,
            cached_input=given.cached_input_usd_per_mtok,
        )
        return lambda usage: rate.cost(usage, thinking=False)
    known = own_price()
    if known is None:
        table = "embeddings" if isinstance(spec, EmbeddingSpec) else "providers"
        raise ConfigError(
            f"{source}: {table}.{spec.name}.price: no price is known for {spec.model!r};"
            ' set price = "free" or give input_usd_per_mtok and output_usd_per_mtok'
        )
    return known


def no_cost(usage: TokenUsage) -> Decimal:
    """The price of what is free."""
    return Decimal(0)


def most_usd(price: Price, input_tokens: int, output_tokens: int) -> Decimal:
    """The most that an attempt can cost, given bounds of its tokens, in USD."""
    plain = TokenUsage(input_tokens, output_tokens)
    # Some models bill tokens written to their cache above the input price, and a configuration
    # may say so of those read from it.
    written = TokenUsage(input_tokens, output_tokens, cache_write_tokens=input_tokens)
    cached = TokenUsage(input_tokens, output_tokens, cached_input_tokens=input_tokens)
    return max(price(plain), price(written), price(cached))


def book_price(spec: ProviderSpec) -> Price | None:
    """The price book's price of a model; ``None`` where the book does not know it."""
    # Imported here: reading the book takes a quarter of the package's import time.
    from genai_prices import Usage as BookUsage  # noqa: PLC0415
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    book = get_snapshot()
    # A compatible endpoint is known by its address, whatever protocol it speaks.
    provider_id = spec.kind if spec.base_url is None else None

    def cost(usage: TokenUsage) -> Decimal:
        counted = BookUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_input_tokens or None,
            cache_write_tokens=usage.cache_write_tokens or None,
        )
        return book.calc(counted, spec.model, provider_id, spec.base_url, None, None).total_price

    # Once at start-up, so that no later call finds its model missing.
    try:
        cost(TokenUsage(1, 1))
    except LookupError:
        return None
    return cost
