"""Each cause of a difference is found, and the parts add up to it exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.bills.bill_line import BillLine, Period
from aegis_graph.ledger.bills.booked import BookedCalls
from aegis_graph.ledger.bills.comparison import ComparedGroup, compare

DAY = timedelta(days=1)
FIRST = datetime(2026, 11, 23, tzinfo=UTC)
NANO = Decimal("1E-9")


def day(number: int) -> Period:
    return Period(FIRST + number * DAY, FIRST + (number + 1) * DAY)


def billed(usd: str, number: int = 0, **more: Any) -> BillLine:
    given = {"model": "gpt-4o-2024-08-06", "unit_usd": NANO, **more}
    return BillLine(day(number), "openai", usd=Decimal(usd), **given)


def booked(known: str, hours: float = 12, **more: Any) -> BookedCalls:
    facts: dict[str, Any] = {
        "provider": "openai",
        "model": "gpt-4o",
        "served_model": "gpt-4o-2024-08-06",
        "tier": None,
        "calls": 10,
        "known_usd": Decimal(known),
        "held_usd": Decimal(0),
        "open_usd": Decimal(0),
        "input_tokens": 100,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 10,
    }
    money = {"held_usd", "open_usd"}
    facts |= {key: Decimal(one) if key in money else one for key, one in more.items()}
    return BookedCalls(FIRST + timedelta(hours=hours), **facts)


def causes(*lines: BillLine, of: list[BookedCalls]) -> list[dict[str, str]]:
    found = compare(lines, of)
    for one in found:
        assert sum(one.parts.values(), Decimal(0)) == one.difference
    return [{cause: f"{usd.normalize():f}" for cause, usd in one.parts.items()} for one in found]


def test_what_is_equal_has_no_parts() -> None:
    assert causes(billed("1.5"), of=[booked("1"), booked("0.5")]) == [{}]


@pytest.mark.parametrize(
    ("lines", "of", "expected"),
    [
        # The whole hold was spent, and less was billed.
        ([billed("1.2")], [booked("1", held_usd="0.5")], {"held": "-0.3"}),
        # Nothing at all was billed of what was held.
        ([billed("1")], [booked("1", held_usd="0.5")], {"held": "-0.5"}),
        # A call that has not reported yet was billed.
        ([billed("1.2")], [booked("1", open_usd="0.5")], {"held": "0.2"}),
        # Beyond what the held ones can have cost, the rest has another cause.
        ([billed("2")], [booked("1", held_usd="0.5")], {"price": "0.5"}),
        # Another program used the same account, with another model or with the same.
        ([billed("3", model="o9")], [], {"not_ours": "3"}),
        ([billed("3", calls=15)], [booked("2")], {"not_ours": "1"}),
        ([billed("3", calls=10)], [booked("2")], {"price": "1"}),
        # Rounded to cents, or up to a billionth at each call.
        ([billed("1.23", unit_usd=Decimal("0.005"))], [booked("1.2339")], {"rounding": "-0.0039"}),
        ([billed("1.23", unit_usd=Decimal("0.005"))], [booked("1.2351")], {"price": "-0.0051"}),
        ([billed("1")], [booked("1.00000001")], {"rounding": "-0.00000001"}),
        # Half the price, in a tier that the ledger was not told of; and known to both.
        ([billed("1", tier="flex")], [booked("2")], {"tier": "-1"}),
        ([billed("1", tier="flex")], [booked("2", tier="flex")], {"price": "-1"}),
        ([billed("1")], [booked("2", tier="default")], {"price": "-1"}),
        # Cached input of which the usage said nothing.
        (
            [billed("0.4", kind="input"), billed("0.1", kind="cached_input")],
            [booked("0.8")],
            {"cache": "-0.3"},
        ),
    ],
)
def test_each_cause_is_found(
    lines: list[BillLine], of: list[BookedCalls], expected: dict[str, str]
) -> None:
    assert causes(*lines, of=of) == [expected]


def tokens(kind: Any, count: int, usd: str, **more: Any) -> BillLine:
    return billed(usd, kind=kind, tokens=count, **more)


def test_tokens_tell_volume_cache_and_price_apart() -> None:
    # At $0.01 of input, $0.001 of cached input and $0.02 of output for each token.
    of = [booked("1.2", input_tokens=100, cached_input_tokens=0, output_tokens=10)]
    cached = [tokens("input", 60, "0.6"), tokens("cached_input", 40, "0.04")]
    assert causes(*cached, tokens("output", 10, "0.2"), of=of) == [{"cache": "-0.36"}]
    more = [tokens("input", 150, "1.5"), tokens("output", 10, "0.2")]
    assert causes(*more, of=of) == [{"not_ours": "0.5"}]
    dearer = [tokens("input", 100, "2"), tokens("output", 10, "0.2")]
    assert causes(*dearer, of=of) == [{"price": "1"}]
    held = [booked("1.2", input_tokens=100, output_tokens=10, held_usd="0.7")]
    assert causes(*more, of=held) == [{"held": "-0.2"}]


def test_calls_near_midnight_are_late_and_others_are_not() -> None:
    near = [booked("1", 10), booked("0.3", 23.5), booked("1", 36)]
    assert causes(billed("1"), billed("1.3", 1), of=near) == [{"late": "-0.3"}, {"late": "0.3"}]
    midday = [booked("1", 10), booked("0.3", 13), booked("1", 36)]
    found = causes(billed("1"), billed("1.3", 1), of=midday)
    assert not any("late" in parts for parts in found)
    # More than was called near midnight is not moved.
    found = causes(billed("0.9"), billed("1.4", 1), of=near)
    assert [parts["late"] for parts in found] == ["-0.3", "0.3"]


def test_tokens_move_over_midnight_too() -> None:
    of = [booked("1", 23.5, input_tokens=100, output_tokens=0)]
    found = causes(tokens("input", 40, "0.4"), tokens("input", 60, "0.6", number=1), of=of)
    assert found == [{"late": "-0.6"}, {"late": "0.6"}]


def test_one_factor_on_all_days_is_a_price_and_other_ones_are_others_calls() -> None:
    of = [booked("1", 12), booked("2", 36)]
    assert causes(billed("1.1"), billed("2.2", 1), of=of) == [{"price": "0.1"}, {"price": "0.2"}]
    found = causes(billed("1.1"), billed("5", 1), of=of)
    assert found == [{"not_ours": "0.1"}, {"not_ours": "3"}]


def test_a_conclusion_is_marked_as_one() -> None:
    [concluded] = compare([billed("2")], [booked("1")])
    [counted] = compare([billed("2", calls=10)], [booked("1")])
    assert (concluded.inferred, counted.inferred) == (True, False)


def test_models_are_matched_by_their_dated_and_their_librarys_names() -> None:
    of = [
        booked("1", served_model="gpt-4o"),
        booked("1", model="openai:gpt-4o", served_model="openai:gpt-4o"),
    ]
    assert causes(billed("2"), of=of) == [{}]
    assert causes(billed("2", model="gpt-4o"), of=[booked("2")]) == [{}]
    # A longer name is another model's.
    other = compare([billed("2", model="gpt-4o-mini")], [booked("2")])
    assert {one.group.model for one in other} == {"gpt-4o-mini", "gpt-4o-2024-08-06"}


def test_a_bill_without_models_is_for_all_of_them() -> None:
    of = [booked("1"), booked("2", model="o9", served_model="o9")]
    assert causes(billed("3", model="all models"), of=of) == [{}]


def test_a_day_that_the_bill_lacks_is_compared_and_other_providers_are_not() -> None:
    of = [booked("1", 12), booked("2", 36), booked("1", 60), booked("9", provider="ollama")]
    found = causes(billed("1"), billed("1", 2), of=of)
    assert found == [{}, {"late": "-2"}, {}]


def test_periods_that_overlap_are_refused() -> None:
    half = Period(FIRST + DAY / 2, FIRST + DAY * 3 / 2)
    with pytest.raises(ConfigError, match="periods of openai overlap at 2026-11-23 12:00 UTC"):
        compare([billed("1"), billed("1")._replace(period=half)], [])


MONEY = st.integers(0, 10**12).map(lambda nano: Decimal(nano) * NANO)


@st.composite
def calls_of_days(draw: st.DrawFn) -> BookedCalls:
    calls = booked("0", draw(st.sampled_from([0, 0.5, 12, 23.5, 24.2, 47.9, 60])))
    counts: dict[str, Any] = {
        name: draw(st.integers(0, 1000)) for name in BookedCalls._fields if name.endswith("_tokens")
    }
    money: dict[str, Any] = {name: draw(MONEY) for name in ("known_usd", "held_usd", "open_usd")}
    tier = draw(st.sampled_from([None, "flex", "default"]))
    return calls._replace(**counts, **money, tier=tier, calls=draw(st.integers(0, 50)))


@st.composite
def lines_of_days(draw: st.DrawFn) -> BillLine:
    line = billed("0", draw(st.integers(0, 2)))
    kinds: st.SearchStrategy[Any] = st.sampled_from(
        [None, "input", "cached_input", "cache_write", "output"]
    )
    return line._replace(
        usd=draw(MONEY) * draw(st.sampled_from([Decimal(1), Decimal("0.3333333"), Decimal(-1)])),
        kind=draw(kinds),
        tokens=draw(st.none() | st.integers(0, 1000)),
        calls=draw(st.none() | st.integers(0, 60)),
        tier=draw(st.sampled_from([None, "flex"])),
        unit_usd=draw(st.sampled_from([NANO, Decimal("0.005")])),
    )


@given(st.lists(lines_of_days(), max_size=6), st.lists(calls_of_days(), max_size=6))
def test_the_parts_always_add_up_and_holds_stay_within_their_bounds(
    lines: list[BillLine], of: list[BookedCalls]
) -> None:
    found: list[ComparedGroup] = compare(lines, of)
    for one in found:
        assert sum(one.parts.values(), Decimal(0)) == one.difference
        assert 0 <= one.held_is_usd <= one.group.booked_usd("held_usd")
    assert sum(one.group.bill_usd for one in found) == sum(line.usd for line in lines)
    # What moves from one day comes on the other; what is not billed yet comes back nowhere.
    assert sum(one.parts.get("late", Decimal(0)) for one in found) <= sum(
        line.usd for line in lines if line.usd > 0
    )
