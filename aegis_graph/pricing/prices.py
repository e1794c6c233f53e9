"""What an attempt costs: configuration first, then the DashScope table, then genai-prices.

Unknown is an error at start-up, never 0. Amounts are Decimal USD until the ledger rounds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from aegis_graph.config.specs import EmbeddingSpec, PriceSpec, ProviderSpec
from aegis_graph.errors import ConfigError

MTOK = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one attempt. Input includes the cached ones, output the reasoning ones."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0


Price = Callable[[Usage], Decimal]
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

    def cost(self, usage: Usage, *, thinking: bool) -> Decimal:
        """The cost of an attempt in USD."""
        output = self.thinking_output if thinking and self.thinking_output else self.output
        cached = self.input if self.cached_input is None else self.cached_input
        fresh = usage.input_tokens - usage.cached_input_tokens
        return (
            self.input * fresh + cached * usage.cached_input_tokens + output * usage.output_tokens
        ) / MTOK


def _rate(
    input_price: str, output: str, thinking: str | None = None, up_to: int | None = None
) -> Rate:
    price = Decimal(input_price)
    return Rate(
        input=price,
        output=Decimal(output),
        thinking_output=Decimal(thinking) if thinking else None,
        cached_input=price * Decimal("0.2"),
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
input tokens; the thinking price holds for all output of a call that thinks; a cache hit costs a
fifth of the input price.
"""

_OTHER_REGIONS = re.compile(
    r"(?!dashscope-intl\.|[\w-]+\.ap-southeast-1\.maas\.)([\w-]+\.)*aliyuncs\.com"
)
"""Alibaba's hosts outside Singapore, whose prices are others."""


def price_of(spec: ProviderSpec, *, source: str) -> Price:
    """The price of a configured provider.

    Args:
        spec: The provider.
        source: The configuration's file, for the error.

    Raises:
        ConfigError: Nobody knows what this model costs, and the configuration does not say.
    """
    if spec.price == "free" or spec.kind in {"extractive", "ocr"}:
        return lambda usage: Decimal(0)
    if isinstance(spec.price, PriceSpec):
        given = spec.price
        rate = Rate(
            given.input_usd_per_mtok,
            given.output_usd_per_mtok,
            cached_input=given.cached_input_usd_per_mtok,
        )
        return lambda usage: rate.cost(usage, thinking=False)
    known = _dashscope_price(spec) if spec.kind == "dashscope" else _book_price(spec)
    if known is None:
        table = "embeddings" if isinstance(spec, EmbeddingSpec) else "providers"
        raise ConfigError(
            f"{source}: {table}.{spec.name}.price: no price is known for {spec.model!r};"
            ' set price = "free" or give input_usd_per_mtok and output_usd_per_mtok'
        )
    return known


def most_usd(price: Price, input_tokens: int, output_tokens: int) -> Decimal:
    """The most that an attempt can cost, given bounds of its tokens, in USD."""
    plain = Usage(input_tokens, output_tokens)
    # Some models bill tokens written to their cache above the input price, and a configuration
    # may say so of those read from it.
    written = Usage(input_tokens, output_tokens, cache_write_tokens=input_tokens)
    cached = Usage(input_tokens, output_tokens, cached_input_tokens=input_tokens)
    return max(price(plain), price(written), price(cached))


def _dashscope_price(spec: ProviderSpec) -> Price | None:
    rates = DASHSCOPE_RATES.get(spec.model)
    host = urlsplit(spec.base_url or "").hostname or ""
    if rates is None or _OTHER_REGIONS.fullmatch(host.rstrip(".")):
        return None

    def cost(usage: Usage) -> Decimal:
        fitting = (rate for rate in rates if rate.up_to is None or usage.input_tokens <= rate.up_to)
        return next(fitting).cost(usage, thinking=spec.thinking)

    return cost


def _book_price(spec: ProviderSpec) -> Price | None:
    # Imported here: reading the book takes a quarter of the package's import time.
    from genai_prices import Usage as BookUsage  # noqa: PLC0415
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    book = get_snapshot()
    provider_id = spec.kind if spec.base_url is None else None

    def cost(usage: Usage) -> Decimal:
        counted = BookUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_input_tokens or None,
            cache_write_tokens=usage.cache_write_tokens or None,
        )
        return book.calc(counted, spec.model, provider_id, spec.base_url, None, None).total_price

    try:
        cost(Usage(1, 1))
    except LookupError:
        return None
    return cost
