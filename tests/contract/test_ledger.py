"""What every ledger promises, whatever it stores its rows in."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.maintenance import verify
from aegis_graph.ledger.records import Admission
from aegis_graph.ledger.settlements import unused_hold
from tests.contract.ledger_store import (
    DAYS,
    USD,
    Store,
    full_budget,
    hold,
    settlement,
    spent_and_held,
)


async def test_a_hold_is_taken_from_every_budget_it_touches(store: Store) -> None:
    scopes = ("total", "provider:cheap", "model:m", "task:chat", "user:ada", "user:*")
    ledger = store.open(*((scope, "month", "1") for scope in scopes))
    await ledger.admit([hold(5)])
    assert await spent_and_held(ledger) == [(0, 5)] * 6


@pytest.mark.parametrize("tight", ["total", "provider:cheap", "model:m", "task:chat", "user:*"])
async def test_one_budget_without_room_refuses_and_nothing_is_taken(
    store: Store, tight: str
) -> None:
    scopes = ("total", "provider:cheap", "model:m", "task:chat", "user:*")
    ledger = store.open(*((s, "month", "0.000000009" if s == tight else "1") for s in scopes))
    refused = await ledger.admit([hold(10)])
    assert refused.hold_id is None
    assert full_budget(refused).scope == tight
    assert store.rows() == []
    assert store.rows("totals") == []
    assert (await ledger.admit([hold(9)])).hold_id is not None


async def test_the_first_hold_that_fits_is_made_and_the_others_say_why_not(store: Store) -> None:
    ledger = store.open(("provider:dear", "month", "1"))
    asked = [hold(2 * USD, provider="dear"), hold(3, provider="cheap"), hold(1, provider="cheap")]
    admission = await ledger.admit(asked)
    assert admission.index == 1
    assert [row["provider"] for row in store.rows()] == ["cheap"]
    assert [refusal.reason() for refusal in admission.refusals] == [
        "budget provider:dear per month: needs up to $2, $1 left"
    ]


async def test_the_last_nano_dollar_can_be_reserved_and_not_one_more(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    assert (await ledger.admit([hold(USD - 1)])).hold_id is not None
    assert (await ledger.admit([hold(2)])).hold_id is None
    assert (await ledger.admit([hold(1)])).hold_id is not None
    assert (await ledger.budgets())[0].left_nano_usd == 0


async def test_a_budget_of_zero_means_nothing_and_not_unlimited(store: Store) -> None:
    ledger = store.open(("total", "total", "0"))
    assert (await ledger.admit([hold(1)])).hold_id is None
    assert (await ledger.admit([hold(0)])).hold_id is not None


async def test_a_free_hold_passes_a_budget_that_is_overspent(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    first = await ledger.admit([hold(USD)])
    await ledger.settle([settlement(first, 5 * USD)])
    assert (await ledger.budgets())[0].left_nano_usd == 0
    assert (await ledger.admit([hold(1)])).hold_id is None
    assert (await ledger.admit([hold(0)])).hold_id is not None


async def test_each_user_has_a_budget_of_their_own(store: Store) -> None:
    ledger = store.open(("user:*", "day", "1"), ("user:bob", "day", "0.5"))
    for user in ("ada", "cyd"):
        assert (await ledger.admit([hold(USD, user=user)])).hold_id is not None
        assert (await ledger.admit([hold(1, user=user)])).hold_id is None
    assert (await ledger.admit([hold(USD // 2 + 1, user="bob")])).hold_id is None
    assert (await ledger.admit([hold(USD // 2, user="bob")])).hold_id is not None
    statuses = [(row.scope, row.held_nano_usd) for row in await ledger.budgets()]
    wanted = [("user:ada", USD), ("user:bob", USD // 2), ("user:cyd", USD)]
    assert statuses == [*wanted, ("user:bob", USD // 2)]


async def test_a_hundred_concurrent_callers_share_a_budget_to_the_nano_dollar(store: Store) -> None:
    budget = ("total", "month", "1")
    ledgers = [store.open(budget), store.open(budget), store.open(budget)]
    made = await asyncio.gather(*(ledgers[n % 3].admit([hold(USD // 30)]) for n in range(100)))
    assert sum(one.hold_id is not None for one in made) == 30
    assert await spent_and_held(ledgers[0]) == [(0, USD // 30 * 30)]


async def test_a_settlement_replaces_the_hold_by_what_was_spent(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    admission = await ledger.admit([hold(100)])
    await ledger.settle([settlement(admission, 40)])
    assert await spent_and_held(ledger) == [(40, 0)]
    (row,) = store.rows()
    assert (row["status"], row["cost_nano_usd"], float(row["cost_usd"])) == ("answered", 40, 4e-8)
    assert (row["cost_basis"], row["input_tokens"], row["output_tokens"]) == ("reported", 7, 3)


async def test_a_hold_is_settled_once_whatever_comes_later(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    admission = await ledger.admit([hold(100)])
    again = settlement(admission, 99, status="failed")
    await ledger.settle([settlement(admission, 40), again])
    await ledger.settle([again])
    ledger.settle_soon(again)
    await ledger.admit([], settle=[again])
    assert await spent_and_held(ledger) == [(40, 0)]
    assert [row["status"] for row in store.rows()] == ["answered"]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "later"])
async def test_an_answer_that_is_refused_later_is_a_failure_at_the_same_cost_once(
    store: Store, together: bool
) -> None:
    ledger = store.open(("total", "month", "1"))
    admission = await ledger.admit([hold(100)])
    answered = settlement(admission, 40)
    # Also where the refusal says another cost: what was settled stays.
    refused = settlement(admission, 41, status="failed", error_type="RejectedAnswerError")
    if together:
        await ledger.settle([answered, refused, refused])
    else:
        await ledger.settle([answered])
        (before,) = store.rows()
        await ledger.admit([], settle=[refused])
        (after,) = store.rows()
        changed = {"status": "failed", "error_type": "RejectedAnswerError"}
        assert after == {**before, **changed}
    await ledger.settle([refused, answered])
    ledger.settle_soon(answered)
    await ledger.check()
    assert [row["status"] for row in store.rows()] == ["failed"]
    assert await spent_and_held(ledger) == [(40, 0)]
    (total,) = await ledger.report("provider", **DAYS)
    assert (total.calls, total.failures, total.input_tokens) == (1, 1, 7)
    assert await verify(ledger) == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_only_an_answer_can_be_refused_later(store: Store, status: str) -> None:
    ledger = store.open(("total", "month", "1"))
    admission = await ledger.admit([hold(100)])
    refused = settlement(admission, 40, status="failed", error_type="RejectedAnswerError")
    await ledger.settle([settlement(admission, 40, status=status)])
    await ledger.settle([refused])
    assert [(row["status"], row["error_type"]) for row in store.rows()] == [(status, None)]
    (total,) = await ledger.report("provider", **DAYS)
    assert (total.calls, total.failures) == (1, 1)


async def test_settling_a_row_that_is_not_there_is_an_error_and_undoes_the_rest(
    store: Store,
) -> None:
    ledger = store.open(("total", "month", "1"))
    admission = await ledger.admit([hold(100)])
    with pytest.raises(LedgerError, match="no row 4711"):
        await ledger.settle([settlement(admission, 40), unused_hold(4711)])
    assert await spent_and_held(ledger) == [(0, 100)]


@pytest.mark.parametrize("wrong", [-1, 2**63], ids=["negative", "beyond 64 bits"])
async def test_one_callers_error_is_not_anothers(store: Store, wrong: int) -> None:
    ledger = store.open(("total", "month", "1"))
    made = await ledger.admit([hold(100)])
    bad = settlement(made, wrong)
    outcomes = await asyncio.gather(
        ledger.settle([bad]), *(ledger.admit([hold(1)]) for _ in range(9)), return_exceptions=True
    )
    assert isinstance(outcomes[0], LedgerError)
    assert [type(outcome) for outcome in outcomes[1:]] == [Admission] * 9
    assert await spent_and_held(ledger) == [(0, 109)]


async def test_an_admission_settles_the_attempt_before_it_in_the_same_breath(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    first = await ledger.admit([hold(USD)])
    second = await ledger.admit([hold(USD)], settle=[settlement(first, 0, cost_basis="none")])
    assert second.hold_id is not None
    assert await spent_and_held(ledger) == [(0, USD)]


async def test_a_hold_whose_lease_is_over_becomes_spending_and_never_comes_back(
    store: Store,
) -> None:
    ledger = store.open(("total", "month", "1"))
    await ledger.admit([hold(100, lease_s=60.0), hold(1)])
    store.now += timedelta(seconds=60)
    assert await ledger.sweep() == 0
    store.now += timedelta(milliseconds=1)
    assert await ledger.sweep() == 1
    assert await ledger.sweep() == 0
    assert await spent_and_held(ledger) == [(100, 0)]
    (row,) = store.rows()
    assert (row["status"], row["cost_basis"], row["cost_nano_usd"]) == ("expired", "held", 100)


async def test_the_next_admission_sweeps_as_well(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    await ledger.admit([hold(100)])
    store.now += timedelta(hours=1)
    await ledger.admit([hold(1)])
    assert await spent_and_held(ledger) == [(100, 1)]


async def test_a_late_settlement_wins_over_the_sweeper_once(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    admission = await ledger.admit([hold(100)])
    store.now += timedelta(days=1)
    await ledger.sweep()
    late = settlement(admission, 40)
    await ledger.settle([late, late])
    assert await spent_and_held(ledger) == [(40, 0)]
    (total,) = await ledger.report("provider", **DAYS)
    assert (total.calls, total.failures, total.input_tokens) == (1, 0, 7)


async def test_a_caller_cancelled_while_it_waits_leaves_no_money_held(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    callers = [asyncio.create_task(ledger.admit([hold(10)])) for _ in range(50)]
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    for _ in range(2):  # The first is answered after the admissions, the second after the releases.
        await ledger.check()
    assert await spent_and_held(ledger) == [(0, 0)]
    released = {(row["status"], row["cost_basis"]) for row in store.rows()}
    assert (len(store.rows()), released) == (50, {("cancelled", "none")})


async def test_a_settlement_is_carried_out_although_its_caller_is_cancelled(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    admission = await ledger.admit([hold(100)])
    caller = asyncio.create_task(ledger.settle([settlement(admission, 40)]))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await ledger.check()
    assert await spent_and_held(ledger) == [(40, 0)]


async def test_a_thousand_operations_of_many_users_are_one_crowd(store: Store) -> None:
    ledger = store.open(("user:*", "day", "0.000000002"), ("total", "total", "0.00000075"))
    users = [f"user-{number % 400}" for number in range(1000)]
    made = await asyncio.gather(*(ledger.admit([hold(1, user=user)]) for user in users))
    held = [one for one in made if one.hold_id is not None]
    assert len(held) == 750
    assert {row.held_nano_usd for row in await ledger.budgets() if row.scope != "total"} == {1, 2}
    assert len({one.hold_id for one in held}) == 750
    await ledger.settle([settlement(one, 1) for one in held])
    assert sum(row.spent_nano_usd for row in await ledger.report("user", **DAYS)) == 750
    assert {(row["held_nano_usd"], row["calls"]) for row in store.rows("totals")} == {
        *((0, calls) for calls in (1, 2, 750))
    }
