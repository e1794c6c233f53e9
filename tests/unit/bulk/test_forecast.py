from __future__ import annotations

import random
from decimal import Decimal

import pytest

from aegis_graph import InvalidRequestError
from aegis_graph.bulk.forecast import forecast_of, student, sum_of_rest
from aegis_graph.bulk.records import JobFacts
from aegis_graph.bulk.sample import SampledItem


def facts(*, total: int, done: int, spent: int) -> JobFacts:
    return JobFacts(
        name="cities",
        graph={},
        format="jsonl",
        state="running",
        reason=None,
        created_at="",
        total=total,
        done=done,
        failed=0,
        set_aside=0,
        leased=0,
        pending=total - done,
        workers=0,
        max_attempts=3,
        envelope_nano_usd=None,
        spent_nano_usd=spent,
        twice_items=0,
        twice_nano_usd=0,
        items_per_s=0,
    )


def test_items_that_all_cost_the_same_have_an_exact_forecast() -> None:
    sample = [SampledItem(1_500_000, 2.0)] * 50
    found = forecast_of(facts(total=1000, done=50, spent=75_000_000), sample, at_once=10)
    assert found.cost_usd == found.least_cost_usd == found.most_cost_usd == Decimal("1.5")
    assert found.seconds == found.most_seconds == 190
    assert (
        str(found)
        == "1,000 items: $1.5 ($1.5 to $1.5), 190 s (190 to 190) from here, by 50 of them"
    )


def test_an_amount_below_the_last_digit_is_rounded_outwards() -> None:
    found = forecast_of(facts(total=3, done=3, spent=1_000_000_001), [SampledItem(1, 0)], at_once=1)
    assert (found.least_cost_usd, found.most_cost_usd) == (Decimal(1), Decimal("1.000001"))


def test_the_interval_has_the_real_sum_as_often_as_it_says() -> None:
    chance, held = random.Random(17), 0
    for _ in range(400):
        costs = [Decimal(round(chance.gauss(1000, 300))) for _ in range(500)]
        chance.shuffle(costs)
        sample, rest = costs[:20], costs[20:]
        found = sum_of_rest(len(rest), sample)
        held += found.least <= sum(rest) <= found.most
    assert 0.92 < held / 400 < 0.98


@pytest.mark.parametrize(
    ("freedom", "bound"), [(1, 12.706), (2, 4.303), (3, 3.182), (9, 2.262), (49, 2.010)]
)
def test_the_bounds_are_those_of_the_tables(freedom: int, bound: float) -> None:
    assert student(freedom) == pytest.approx(bound, rel=0.003)


def test_one_item_says_little() -> None:
    found = sum_of_rest(10, [Decimal(5)])
    assert (found.least, found.likely, found.most) == (Decimal(0), Decimal(50), Decimal(100))


def test_without_a_result_there_is_no_forecast() -> None:
    with pytest.raises(InvalidRequestError, match="none of the items has a result"):
        forecast_of(facts(total=3, done=0, spent=0), [], at_once=1)
