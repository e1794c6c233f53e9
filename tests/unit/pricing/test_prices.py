"""What attempts cost, with numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from aegis_graph.config.price_specs import PriceSpec
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ConfigError
from aegis_graph.pricing.book import book_price
from aegis_graph.pricing.prices import Price, most_usd
from aegis_graph.pricing.rates import TokenUsage
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


@pytest.mark.parametrize("model", sorted(DASHSCOPE_RATES))
def test_the_explicit_cache_of_dashscope_costs_a_tenth_to_read_and_a_quarter_more_to_write(
    model: str,
) -> None:
    cost = price("dashscope", model)
    plain = cost(TokenUsage(10_000, 0))
    marked = TokenUsage(10_000, 0, cached_input_tokens=10_000, explicit_cached_tokens=10_000)
    assert cost(marked) * 10 == plain
    assert cost(TokenUsage(10_000, 0, cache_write_tokens=10_000)) == plain * Decimal("1.25")


MTOK = 1_000_000
GIVEN = {"input_usd_per_mtok": "2", "output_usd_per_mtok": "8"}


def given_price(model: str = "x", **more: Any) -> Price:
    return price("openai", model, price={**GIVEN, **more})


@pytest.mark.parametrize(
    ("model", "brief", "hour"),
    [
        ("gpt-5.6-luna", "0.3125", "0.3125"),
        ("openai/gpt-5.10", "0.3125", "0.3125"),
        ("gpt-6", "0.3125", "0.3125"),
        ("claude-sonnet-4-6", "0.3125", "0.5"),
        ("qwen3-coder-plus", "0.3125", None),
    ],
)
def test_cache_writes_of_known_families_cost_more_also_at_a_configured_price(
    model: str, brief: str, hour: str | None
) -> None:
    cost = price("openai", model, price={**GIVEN, "input_usd_per_mtok": "2.50"})
    written = TokenUsage(100_000, 0, cache_write_tokens=100_000)
    assert cost.cost(written) == (Decimal(brief), True)
    assert most_usd(cost, 100_000, 0, kinds=["explicit_cache_write"]) == Decimal(brief)
    if hour is not None:
        kept = replace(written, cache_write_1h_tokens=100_000)
        assert cost.cost(kept) == (Decimal(hour), True)
        assert most_usd(cost, 100_000, 0) == Decimal(hour)


@pytest.mark.parametrize(
    "model", ["gpt-5", "gpt-5-2025-08-07", "gpt-5.5", "gpt-35-turbo", "qwen2:7b"]
)
def test_cache_writes_of_other_models_are_no_sure_cost(model: str) -> None:
    written = TokenUsage(MTOK, 0, cache_write_tokens=MTOK)
    assert given_price(model).cost(written) == (Decimal(2), False)


def test_a_price_can_say_what_each_kind_of_token_costs() -> None:
    cost = given_price(
        cached_input_usd_per_mtok="0.2",
        cache_write_5m_usd_per_mtok="3",
        cache_write_1h_usd_per_mtok="5",
        audio_input_usd_per_mtok="40",
        image_input_usd_per_mtok="4",
        audio_output_usd_per_mtok="80",
        image_output_usd_per_mtok="30",
    )
    usage = TokenUsage(
        6 * MTOK,
        3 * MTOK,
        cached_input_tokens=MTOK,
        cache_write_tokens=2 * MTOK,
        cache_write_1h_tokens=MTOK,
        audio_input_tokens=MTOK,
        image_input_tokens=MTOK,
        audio_output_tokens=MTOK,
        image_output_tokens=MTOK,
    )
    assert cost.cost(usage) == (Decimal("0.2") + 3 + 5 + 40 + 4 + 2 + 80 + 30 + 8, True)
    assert most_usd(cost, MTOK, MTOK) == 40 + 80
    assert most_usd(cost, MTOK, MTOK, kinds=["image"]) == 4 + 80
    assert most_usd(cost, MTOK, MTOK, kinds=[]) == 3 + 80


@pytest.mark.parametrize(
    "kind", ["audio_input_tokens", "audio_output_tokens", "image_output_tokens"]
)
def test_what_a_price_does_not_say_is_no_sure_cost(kind: str) -> None:
    usage = replace(TokenUsage(MTOK, MTOK), **{kind: 5})
    assert given_price().cost(usage) == (Decimal(10), False)
    assert given_price(cached_input_usd_per_mtok="3").cost(usage).usd <= most_usd(
        given_price(cached_input_usd_per_mtok="3"), MTOK, MTOK
    )


def test_images_and_cached_input_cost_as_much_as_text_where_a_price_does_not_say_it() -> None:
    usage = TokenUsage(MTOK, 0, cached_input_tokens=500_000, image_input_tokens=500_000)
    assert given_price().cost(usage) == (Decimal(2), True)


def test_all_output_of_an_answer_that_was_thought_over_has_the_price_of_thinking() -> None:
    cost = given_price(thinking_output_usd_per_mtok="20")
    assert cost(TokenUsage(0, MTOK, reasoning_tokens=1)) == 20
    assert cost(TokenUsage(0, MTOK)) == 8
    assert most_usd(cost, 0, MTOK) == 20
    row = {**GIVEN, "thinking_output_usd_per_mtok": "20"}
    assert price("openai", "x", price=row, thinking=True)(TokenUsage(0, MTOK)) == 20


TIERS = [{"up_to": 200_000, "input_usd_per_mtok": "1"}, {"up_to": 400_000}]


def test_the_whole_request_is_billed_at_the_configured_tier_of_its_size() -> None:
    cost = given_price(tiers=TIERS)
    assert cost(TokenUsage(200_000, MTOK)) == Decimal("8.2")
    assert cost(TokenUsage(200_001, MTOK)) == Decimal("8.400002")
    assert cost(TokenUsage(MTOK, MTOK)) == 10


def test_a_small_request_may_be_the_dearest() -> None:
    cost = given_price(tiers=[{"up_to": 1000, "input_usd_per_mtok": "5000"}])
    assert most_usd(cost, 2000, 0) == 5 == cost(TokenUsage(1000, 0))
    assert most_usd(cost, 500, 0) == Decimal("2.5")


def test_a_service_tier_has_its_own_prices_and_the_others_are_no_sure_cost() -> None:
    flex = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "4"}
    cost = given_price(cached_input_usd_per_mtok="0.5", service_tiers={"flex": flex})
    usage = TokenUsage(MTOK, MTOK, cached_input_tokens=MTOK)
    assert cost.cost(usage, service_tier="flex") == (Decimal("4.5"), True)
    assert cost.cost(usage, service_tier="default") == (Decimal("8.5"), True)
    assert cost.cost(usage, service_tier="priority") == (Decimal("8.5"), False)
    # A provider may serve the standard tier where it has no room in another.
    assert most_usd(cost, MTOK, MTOK, service_tier="flex") == 10
    dear = {"input_usd_per_mtok": "4", "output_usd_per_mtok": "16"}
    cost = given_price(service_tiers={"priority": dear})
    assert most_usd(cost, MTOK, MTOK, service_tier="priority") == 20
    assert most_usd(cost, MTOK, MTOK) == 10


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 29, hour, minute, tzinfo=UTC)


def test_hours_of_the_day_have_their_own_prices() -> None:
    night = {"from": "16:30", "to": "00:30", "input_usd_per_mtok": "1"}
    noon = {"from": "11:00", "to": "12:00", "input_usd_per_mtok": "3"}
    cost = given_price(hours=[night, noon], service_tiers={"flex": {"output_usd_per_mtok": "4"}})
    usage = TokenUsage(MTOK, MTOK)
    paid = {
        moment: cost.cost(usage, at=moment).usd
        for moment in (at(0, 29), at(0, 30), at(11), at(11, 59), at(12), at(16, 29), at(16, 30))
    }
    assert list(paid.values()) == [9, 10, 11, 11, 10, 10, 9]
    assert cost.cost(usage, at=at(11), service_tier="flex") == (Decimal(7), True)
    assert [most_usd(cost, MTOK, MTOK, at=moment) for moment in paid] == list(paid.values())


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"tiers": [{"up_to": 5}, {"up_to": 5}]}, "up_to must grow"),
        ({"tiers": [{"up_to": 5}, {"up_to": 4}]}, "up_to must grow"),
        ({"tiers": [{"up_to": 0}]}, "greater than or equal to 1"),
        ({"hours": [{"from": "10:00", "to": "10:00"}]}, "the same"),
        ({"hours": [{"from": "10:00+02:00", "to": "11:00"}]}, "name no zone"),
        ({"hours": [{"from": "10:00"}]}, "Field required"),
        ({"audio_input_usd_per_mtok": "-1"}, "greater than or equal to 0"),
        ({"service_tiers": {"flex": {"up_to": 5}}}, "Extra inputs"),
    ],
)
def test_a_price_that_cannot_be_meant_is_refused(more: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        PriceSpec.model_validate({**GIVEN, **more})


def test_a_dumped_price_can_be_read_again() -> None:
    night = {"from": "16:30", "to": "00:30", "input_usd_per_mtok": "1"}
    spec = PriceSpec.model_validate({**GIVEN, "hours": [night], "tiers": TIERS})
    assert PriceSpec.model_validate(spec.model_dump()) == spec
    assert PriceSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_the_book_knows_service_tiers_and_hours() -> None:
    usage = TokenUsage(MTOK // 10, 0, cache_write_tokens=MTOK // 10)
    luna = price("openai", "gpt-5.6-luna")
    moment = datetime(2026, 11, 29, tzinfo=UTC)
    paid = {
        tier: luna.cost(usage, at=moment, service_tier=tier)
        for tier in (None, "default", "flex", "priority", "batch", "scale")
    }
    assert paid == {
        None: (Decimal("0.025"), True),
        "default": (Decimal("0.025"), True),
        "flex": (Decimal("0.0125"), True),
        "priority": (Decimal("0.05"), True),
        "batch": (Decimal("0.0125"), True),
        "scale": (Decimal("0.025"), False),
    }
    deepseek = book_price(book_row("deepseek", "deepseek-flash"))
    assert deepseek is not None
    assert [
        deepseek.cost(TokenUsage(MTOK, 0), at=at(*when)).usd for when in ((5, 59), (6, 59))
    ] == [
        Decimal("0.15"),
        Decimal("0.3"),
    ]


def test_flex_is_billed_at_the_rates_of_batches_where_the_book_has_only_those() -> None:
    cost, usage = price("openai", "o3-pro"), TokenUsage(MTOK, MTOK)
    assert cost.cost(usage, at=at(0), service_tier="flex") == (Decimal(50), True)
    assert cost.cost(usage, at=at(0)) == (Decimal(100), True)


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


@cache
def book_models() -> list[tuple[str, str]]:
    """Every model of the book that has prices for tokens, and its provider there."""
    return [
        (provider.id, model.id)
        for provider in get_snapshot().providers
        for model in provider.models
        if book_price(book_row(provider.id, model.id)) is not None
    ]


def test_a_free_local_model_is_not_looked_up_in_the_book() -> None:
    sold = book_row("openai", "gpt-4o")
    assert book_price(sold) is not None
    assert book_price(sold.model_copy(update={"location": "local", "price": "free"})) is None


def book_row(provider: str, model: str) -> ProviderSpec:
    row = {"name": "p", "kind": provider, "model": model, "location": "cloud"}
    return ProviderSpec.model_validate(row)


def usage_within(data: st.DataObject, input_bound: int, output_bound: int) -> TokenUsage:
    tokens, written = (data.draw(st.integers(0, one)) for one in (input_bound, output_bound))
    parts = [data.draw(st.integers(0, tokens)) for _ in range(6)]
    outputs = [data.draw(st.integers(0, written)) for _ in range(3)]
    return TokenUsage(tokens, written, *parts, *outputs)


@given(prices, bounds, bounds, st.data())
def test_no_usage_within_the_bounds_costs_more_than_the_most(
    cost: Price, input_bound: int, output_bound: int, data: st.DataObject
) -> None:
    usage = usage_within(data, input_bound, output_bound)
    assert 0 <= cost(usage) <= most_usd(cost, input_bound, output_bound)


@given(st.deferred(lambda: st.sampled_from(book_models())), bounds, bounds, st.data())
@settings(max_examples=1000)
def test_no_usage_of_any_model_of_the_book_costs_more_than_the_most(
    model: tuple[str, str], input_bound: int, output_bound: int, data: st.DataObject
) -> None:
    cost = book_price(book_row(*model))
    assert cost is not None
    usage = usage_within(data, input_bound, output_bound)
    days = data.draw(st.floats(0, 500))
    moment = datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=days)
    tier = data.draw(st.sampled_from([None, "default", "flex", "priority", "fast", "batch", "odd"]))
    paid = cost.cost(usage, at=moment, service_tier=tier).usd
    assert 0 <= paid <= most_usd(cost, input_bound, output_bound, at=moment, service_tier=tier)
