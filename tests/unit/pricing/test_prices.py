"""What attempts cost, with numbers worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.pricing.prices import Price, TokenUsage, most_usd
from aegis_graph.providers.dashscope.prices import DASHSCOPE_RATES
from aegis_graph.providers.registry import create_provider

INTL = "https://dashscope-intl.aliyuncs.com/api/v1"


def price(kind: str, model: str, **more: Any) -> Price:
    spec = {"name": "p", "kind": kind, "model": model, "location": "cloud", **more}
    return create_provider(ProviderSpec.model_validate(spec), source="aegis.toml").price


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        # 2.50 in, 1.25 cached, 10.00 out
        ("gpt-4o", TokenUsage(1000, 500), "0.0075"),
        ("gpt-4o", TokenUsage(1000, 500, cached_input_tokens=400), "0.007"),
        ("gpt-4o", TokenUsage(1000, 0, cached_input_tokens=1000), "0.00125"),
        ("gpt-4o", TokenUsage(1, 1), "0.0000125"),
        # 0.15 in, 0.075 cached, 0.60 out: not the price of its big sister
        ("gpt-4o-mini", TokenUsage(1000, 500), "0.00045"),
        ("gpt-4o-mini", TokenUsage(1000, 500, cached_input_tokens=400), "0.00042"),
    ],
)
def test_openai_models_cost_what_the_book_says(model: str, usage: TokenUsage, usd: str) -> None:
    assert price("openai", model)(usage) == Decimal(usd)


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("qwen-plus", TokenUsage(1000, 500), "0.001"),
        ("qwen-plus", TokenUsage(256_000, 0), "0.1024"),
        ("qwen-plus", TokenUsage(256_001, 0), "0.3072012"),
        ("qwen-plus", TokenUsage(255_999, 1_000_000), "1.3023996"),
        ("qwen-plus", TokenUsage(256_000, 1_000_000), "1.3024"),
        ("qwen-plus", TokenUsage(256_001, 1_000_000), "3.9072012"),
        ("qwen-flash", TokenUsage(256_000, 1000), "0.0132"),
        ("qwen-flash", TokenUsage(256_001, 1000), "0.06600025"),
        ("qwen-turbo", TokenUsage(1_000_000, 1_000_000), "0.25"),
        ("qwen-max", TokenUsage(1_000_000, 1_000_000), "8.00"),
        ("qwen3-32b", TokenUsage(1_000_000, 1_000_000), "3.50"),
        ("qwen3-vl-30b-a3b-instruct", TokenUsage(1_000_000, 1_000_000), "1.00"),
        ("qwen3-vl-30b-a3b-thinking", TokenUsage(1_000_000, 1_000_000), "2.60"),
        ("qwen3-vl-plus", TokenUsage(32_000, 1000), "0.008"),
        ("qwen3-vl-plus", TokenUsage(32_001, 1000), "0.0120003"),
        ("qwen3-vl-plus", TokenUsage(128_000, 1000), "0.0408"),
        ("qwen3-vl-plus", TokenUsage(128_001, 1000), "0.0816006"),
    ],
)
def test_the_whole_of_a_request_is_billed_at_the_tier_of_its_input(
    model: str, usage: TokenUsage, usd: str
) -> None:
    assert price("dashscope", model, base_url=INTL)(usage) == Decimal(usd)


@pytest.mark.parametrize(
    ("model", "usd"), [("qwen-plus", "4"), ("qwen-turbo", "0.5"), ("qwen3-32b", "8.4")]
)
def test_all_output_of_a_model_that_thinks_is_billed_at_the_thinking_price(
    model: str, usd: str
) -> None:
    assert price("dashscope", model, thinking=True)(TokenUsage(0, 1_000_000)) == Decimal(usd)


def test_thinking_has_tiers_too() -> None:
    thinking = price("dashscope", "qwen-plus", thinking=True)
    assert thinking(TokenUsage(256_000, 1_000_000)) == Decimal("4.1024")
    assert thinking(TokenUsage(256_001, 1_000_000)) == Decimal("12.3072012")


@pytest.mark.parametrize("model", sorted(DASHSCOPE_RATES))
def test_cached_input_of_dashscope_costs_a_fifth(model: str) -> None:
    cost = price("dashscope", model)
    assert cost(TokenUsage(10_000, 0, cached_input_tokens=10_000)) * 5 == cost(
        TokenUsage(10_000, 0)
    )


def test_the_tier_counts_the_cached_tokens_as_well() -> None:
    cost = price("dashscope", "qwen-plus")(TokenUsage(256_001, 0, cached_input_tokens=256_001))
    assert cost == Decimal("0.06144024")


def test_a_price_of_the_configuration_wins_over_every_book() -> None:
    given = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "2"}
    for kind, model in (("openai", "gpt-4o"), ("dashscope", "qwen-plus"), ("ollama", "x")):
        cost = price(kind, model, price=given)
        assert cost(TokenUsage(1_000_000, 1_000_000)) == 3
        assert cost(TokenUsage(1_000_000, 0, cached_input_tokens=1_000_000)) == 1
    cached = {**given, "cached_input_usd_per_mtok": "0.25"}
    cost = price("openai", "gpt-4o", price=cached)
    assert cost(TokenUsage(1_000_000, 0, cached_input_tokens=1_000_000)) == Decimal("0.25")


@pytest.mark.parametrize("kind", ["ollama", "openai", "dashscope", "extractive"])
def test_free_is_free_whatever_the_usage(kind: str) -> None:
    assert price(kind, "gpt-4o", price="free")(TokenUsage(10**9, 10**9)) == 0


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("openai", {"model": "gpt-99"}),
        ("openai", {"model": "qwen-plus"}),
        ("openai", {"model": "gpt-4o", "base_url": "http://127.0.0.1:8000/v1"}),
        ("ollama", {"model": "llama3.2:3b"}),
        ("ollama", {"model": "gpt-4o"}),
        ("dashscope", {"model": "gpt-4o"}),
        ("dashscope", {"model": "qwen-plus-2099"}),
    ],
)
def test_a_model_without_a_known_price_is_refused(kind: str, more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^aegis\.toml: providers\.p\.price: no price is known"):
        price(kind, **more)


@pytest.mark.parametrize(
    "host",
    [
        "dashscope.aliyuncs.com",
        "dashscope-us.aliyuncs.com",
        "DashScope.aliyuncs.com.",
        "cn-hongkong.dashscope.aliyuncs.com",
        "ws1.cn-beijing.maas.aliyuncs.com",
    ],
)
def test_the_prices_of_singapore_are_not_taken_for_another_region(host: str) -> None:
    with pytest.raises(ConfigError, match="no price is known"):
        price("dashscope", "qwen-plus", base_url=f"https://{host}/api/v1")


@pytest.mark.parametrize("url", [None, INTL, "https://ws1.ap-southeast-1.maas.aliyuncs.com/api/v1"])
def test_the_prices_of_singapore_hold_for_its_hosts(url: str | None) -> None:
    assert price("dashscope", "qwen-max", base_url=url)(TokenUsage(1_000_000, 0)) == Decimal("1.6")


prices = st.sampled_from(
    [
        *(price("dashscope", model) for model in DASHSCOPE_RATES),
        *(price("dashscope", model, thinking=True) for model in DASHSCOPE_RATES),
        *(price("openai", model) for model in ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "o3", "gpt-5")),
        *(
            price(
                "openai",
                "x",
                price={
                    "input_usd_per_mtok": a,
                    "output_usd_per_mtok": b,
                    "cached_input_usd_per_mtok": c,
                },
            )
            for a, b, c in ((1, 0, 5), (5, 0, 1), (0, 0, 0), (0, 3, None))
        ),
    ]
)
bounds = st.one_of(st.integers(0, 1_000_000), st.sampled_from([32_000, 128_001, 256_000, 256_001]))


@given(prices, bounds, bounds, st.data())
def test_no_usage_within_the_bounds_costs_more_than_the_most(
    cost: Price, input_bound: int, output_bound: int, data: st.DataObject
) -> None:
    tokens = data.draw(st.integers(0, input_bound))
    cached = data.draw(st.integers(0, tokens))
    usage = TokenUsage(
        tokens,
        data.draw(st.integers(0, output_bound)),
        cached_input_tokens=cached,
        cache_write_tokens=data.draw(st.integers(0, tokens - cached)),
    )
    assert 0 <= cost(usage) <= most_usd(cost, input_bound, output_bound)
