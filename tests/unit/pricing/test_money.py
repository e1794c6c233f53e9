"""Money: exact, rounded once, and always to the safe side."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.pricing.money import NANO_PER_USD, limit_nano_usd, to_nano_usd, to_usd, usd_text

amounts = st.decimals(min_value=0, max_value=10**9, places=15)
nano_amounts = st.integers(min_value=0, max_value=2**63 - 1)


@pytest.mark.parametrize(
    ("usd", "nano"),
    [("0", 0), ("0.000000001", 1), ("0.0000000001", 1), ("0.0000000011", 2), ("10", 10 * 10**9)],
)
def test_a_cost_is_rounded_up(usd: str, nano: int) -> None:
    assert to_nano_usd(Decimal(usd)) == nano


@pytest.mark.parametrize(
    ("usd", "nano"), [("0", 0), ("0.0000000009", 0), ("0.0000000019", 1), ("20", 20 * 10**9)]
)
def test_a_limit_is_rounded_down(usd: str, nano: int) -> None:
    assert limit_nano_usd(Decimal(usd)) == nano


@given(amounts)
def test_rounding_is_never_off_by_a_whole_nano_dollar(usd: Decimal) -> None:
    assert 0 <= to_nano_usd(usd) - usd * NANO_PER_USD < 1
    assert 0 <= usd * NANO_PER_USD - limit_nano_usd(usd) < 1


@given(amounts, amounts)
def test_costs_within_a_limit_are_within_it_after_rounding_both(one: Decimal, two: Decimal) -> None:
    if to_nano_usd(one) <= limit_nano_usd(two):
        assert one <= two


@given(nano_amounts)
def test_what_the_ledger_holds_comes_back_exactly(nano: int) -> None:
    assert to_nano_usd(to_usd(nano)) == nano
    assert to_nano_usd(Decimal(usd_text(nano))) == nano


@given(nano_amounts)
def test_text_is_plain_decimal_digits(nano: int) -> None:
    assert set(usd_text(nano)) <= set("0123456789.")


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0"), (1, "0.000000001"), (1_500_000, "0.0015"), (10**10, "10"), (10**18, "1000000000")],
)
def test_text_has_no_exponent_and_no_needless_zero(nano: int, text: str) -> None:
    assert usd_text(nano) == text
