"""In which order providers are asked: by listing, price, latency or weight, and why."""

from __future__ import annotations

import random
from collections import Counter
from itertools import permutations
from typing import Any

import pytest

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.routing.order import Expectation, Option, in_order_of
from aegis_graph.routing.policy import Candidate
from aegis_graph.types import Order


def option(name: str, nano_usd: int = 0, **more: Any) -> Option:
    times = {key: more.pop(key) for key in ("whole_ms", "first_ms") if key in more}
    cached, stands_in = more.pop("cached", 0), more.pop("stands_in", False)
    row = {"name": name, "kind": "openai", "model": "m", "location": "cloud", **more}
    spec = ProviderSpec.model_validate(row)
    expected = Expectation(nano_usd, 1000, 100, cached, **times)
    return Option(Candidate(spec, f"{spec.location}, listed"), expected, stands_in)


def names(order: Order, *options: Option, **more: Any) -> list[str]:
    found = in_order_of(order, options, **{"request_id": "r", **more})
    return [one.spec.name for one in found]


def reasons(order: Order, *options: Option, **more: Any) -> list[str]:
    found = in_order_of(order, options, **{"request_id": "r", **more})
    return [one.reason for one in found]


def test_the_cheapest_goes_first_and_says_what_the_next_ones_cost() -> None:
    chain = option("dear", 310_000), option("cheap", 123_456), option("dearer", 2_000_000_000)
    assert names("price", *chain) == ["cheap", "dear", "dearer"]
    assert reasons("price", *chain) == [
        "expected $0.00012; dear $0.00031, dearer $2",
        "expected $0.00031; dearer $2",
        "expected $2",
    ]
    found = in_order_of("price", chain, request_id="r")
    assert [one.expected_nano_usd for one in found] == [123_456, 310_000, 2_000_000_000]


def test_what_is_free_and_local_goes_before_what_is_free_elsewhere() -> None:
    chain = option("trial"), option("here", location="local"), option("paid", 1)
    assert names("price", *chain) == ["here", "trial", "paid"]


def test_equal_prices_keep_the_order_of_the_list() -> None:
    assert names("price", option("b", 5), option("a", 5), option("c", 4)) == ["c", "b", "a"]


def test_a_price_with_tokens_from_the_cache_says_so() -> None:
    assert reasons("price", option("a", 400_000, cached=12_000))[0] == (
        "expected $0.0004 with 12,000 tokens from its cache"
    )


def test_the_soonest_end_goes_first_and_in_a_stream_the_soonest_token() -> None:
    chain = option("a", whole_ms=900, first_ms=800), option("b", whole_ms=1200, first_ms=100)
    assert names("latency", *chain) == ["a", "b"]
    assert reasons("latency", *chain) == ["expected 0.9 s; b 1.2 s", "expected 1.2 s"]
    assert names("latency", *chain, streams=True) == ["b", "a"]


def test_what_was_never_measured_is_measured_first() -> None:
    chain = option("known", whole_ms=10), option("new")
    assert names("latency", *chain) == ["new", "known"]
    assert reasons("latency", *chain) == ["not measured yet; known 0.01 s", "expected 0.01 s"]


@pytest.mark.parametrize("order", ["price", "latency", "weighted"])
def test_what_stands_in_for_a_model_is_asked_after_all_models(order: Order) -> None:
    stand_in = option("quotes", whole_ms=1, stands_in=True, location="local")
    assert names(order, stand_in, option("model", 9, whole_ms=99))[-1] == "quotes"


def test_a_provider_that_the_request_has_waited_for_is_asked_again_first() -> None:
    chain = option("cheap", 1), option("busy", 2)
    assert names("price", *chain, first="busy") == ["busy", "cheap"]
    assert names("price", *chain, first="gone") == ["cheap", "busy"]


def test_equals_are_drawn_by_their_weights_and_a_request_is_always_drawn_the_same() -> None:
    chain = option("a", weight=3), option("b", weight=1)
    drawn = [names("weighted", *chain, request_id=f"r{number}") for number in range(4000)]
    assert drawn == [names("weighted", *chain, request_id=f"r{number}") for number in range(4000)]
    first = Counter(one[0] for one in drawn)
    assert 2850 < first["a"] < 3150
    assert reasons("weighted", *chain, request_id="r0")[0].startswith("drawn by its weight of ")


def test_a_row_without_weight_keeps_its_place_between_the_groups() -> None:
    chain = option("a", weight=1), option("b", weight=1), option("own"), option("c", weight=9)
    for number in range(50):
        found = names("weighted", *chain, request_id=f"r{number}")
        assert (set(found[:2]), found[2:]) == ({"a", "b"}, ["own", "c"])
    assert reasons("weighted", *chain)[2] == "cloud, listed"


def test_weights_share_what_costs_the_same() -> None:
    chain = option("a", 5, weight=1), option("b", 5, weight=1), option("c", 1, weight=1)
    found = {tuple(names("price", *chain, request_id=f"r{number}")) for number in range(50)}
    assert found == {("c", "a", "b"), ("c", "b", "a")}


def test_the_order_by_price_costs_least_of_all_orders_until_an_answer() -> None:
    """Against every order, where attempts fail, and some failures are paid for."""
    draws = random.Random(11)
    for _ in range(300):
        # Of each: what an answer costs, what a failure does, and the share of answers in tenths.
        facts = {
            f"p{number}": (draws.randint(1, 900), draws.randint(0, 400), draws.randint(1, 10))
            for number in range(4)
        }
        options = [
            # Scaled by what divides every share, so that no rounding decides.
            option(name, 2520 * answer + 2520 * failure * (10 - share) // share)
            for name, (answer, failure, share) in facts.items()
        ]

        def expected(order: Any, facts: Any = facts) -> int:
            """In units that keep the shares whole."""
            total, reached = 0, 10**4
            for name in order:
                answer, failure, share = facts[name]
                total += reached * (share * answer + (10 - share) * failure)
                reached = reached * (10 - share) // 10
            return total

        chosen = expected(names("price", *options))
        assert chosen == min(map(expected, permutations(facts)))
