"""A person allows more than a budget has: once, for its window, in the admission's transaction."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from typing import Any

from aegis_graph.ledger.approvals import Approval
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.maintenance import verify
from aegis_graph.ledger.records import Admission, BudgetRefusal
from tests.contract.ledger_store import USD, Store, hold, settlement
from tests.contract.processes import ended, heard, start
from tests.contract.test_ledger_budgets import with_alert

MONTH = ("total", "month", "1")


def allow(nano_usd: int, question_id: str = "q1", by: str = "ada") -> Approval:
    return Approval(question_id, nano_usd, by)


async def full(ledger: SqlLedger) -> Admission:
    """A ledger with a budget that is spent."""
    spent = await ledger.admit([hold(USD)])
    await ledger.settle([settlement(spent, USD)])
    return spent


def refusal(admission: Admission) -> BudgetRefusal:
    found = admission.refusals[0]
    assert isinstance(found, BudgetRefusal)
    return found


async def limit_and_left(ledger: SqlLedger) -> list[tuple[int, int, int]]:
    rows = await ledger.budgets()
    return [(row.limit_nano_usd, row.raised_nano_usd, row.left_nano_usd) for row in rows]


async def test_it_makes_room_for_the_hold_and_is_recorded(store: Store) -> None:
    ledger = store.open(MONTH)
    await full(ledger)
    assert refusal(await ledger.admit([hold(10)])).lacking_nano_usd == 10
    made = await ledger.admit([hold(10, route_id="mine")], approval=allow(25))
    assert made.hold_id is not None
    assert await limit_and_left(ledger) == [(USD + 25, 25, 15)]
    (row,) = store.rows("budget_raises")
    assert row == {
        "question_id": "q1", "budget": "total", "scope": "total", "period": "month",
        "first_day": "2026-11-01", "nano_usd": 25, "timestamp": "2026-11-23T12:00:00.000Z",
        "route_id": "mine", "approved_by": "ada",
    }  # fmt: skip
    (shown,) = await ledger.raises()
    assert (shown.scope, shown.nano_usd, shown.approved_by) == ("total", 25, "ada")
    assert await verify(ledger) == []


async def test_the_same_question_raises_once(store: Store) -> None:
    ledger = store.open(MONTH)
    await full(ledger)
    assert (await ledger.admit([hold(10)], approval=allow(10))).hold_id is not None
    again = await ledger.admit([hold(10)], approval=allow(10))
    assert again.hold_id is None
    assert refusal(again).left_nano_usd == 0
    # Also where the answer was too little for anything.
    assert (await ledger.admit([hold(10)], approval=allow(3, "q2"))).hold_id is None
    assert refusal(await ledger.admit([hold(10)], approval=allow(3, "q2"))).left_nano_usd == 3
    assert (await ledger.admit([hold(10)], approval=allow(7, "q3"))).hold_id is not None
    assert await limit_and_left(ledger) == [(USD + 20, 20, 0)]


async def test_too_little_counts_and_the_refusals_say_what_is_left_then(store: Store) -> None:
    ledger = store.open(MONTH)
    await full(ledger)
    refused = await ledger.admit([hold(30), hold(20)], approval=allow(5))
    assert [one.left_nano_usd for one in refused.refusals] == [5, 5]  # type: ignore[union-attr]
    assert [one.lacking_nano_usd for one in refused.refusals] == [25, 15]  # type: ignore[union-attr]


async def test_nothing_is_raised_where_a_hold_fits_without_it(store: Store) -> None:
    ledger = store.open(MONTH)
    assert (await ledger.admit([hold(10)], approval=allow(25))).hold_id is not None
    assert store.rows("budget_raises") == []


async def test_every_budget_in_the_way_of_the_first_that_fits_is_raised(store: Store) -> None:
    ledger = store.open(MONTH, ("user:*", "day", "0.5"), ("provider:dear", "month", "0"))
    await full_day(ledger)
    refused = refusal(await ledger.admit([hold(USD)]))
    assert [(one.budget.scope, one.scope) for one in (refused, *refused.others)] == [
        ("total", "total"), ("user:*", "user:ada"),
    ]  # fmt: skip
    assert [one.days.end for one in (refused, *refused.others)] == ["2026-12-01", "2026-11-24"]
    made = await ledger.admit(
        [hold(USD, provider="dear"), hold(USD // 2)], approval=allow(USD // 2)
    )
    assert made.index == 1
    assert [
        (row["budget"], row["scope"], row["period"]) for row in store.rows("budget_raises")
    ] == [("user:*", "user:ada", "day")]
    # Of another user nothing was raised.
    assert (await ledger.admit([hold(1, user="bob", route_id="b")])).hold_id is None
    assert (await ledger.admit([hold(6 * USD // 10, user="eve")])).hold_id is None


async def full_day(ledger: SqlLedger) -> None:
    spent = await ledger.admit([hold(USD // 2)])
    await ledger.settle([settlement(spent, USD // 2)])


async def test_a_runs_envelope_is_raised_for_the_run(store: Store) -> None:
    ledger = store.open()
    run: dict[str, Any] = {"run_id": "r", "run_limit_nano_usd": 10}
    assert (await ledger.admit([hold(10, **run)])).hold_id is not None
    assert (await ledger.admit([hold(5, **run)])).hold_id is None
    assert (await ledger.admit([hold(5, **run)], approval=allow(6))).hold_id is not None
    assert (await ledger.admit([hold(1, **run)])).hold_id is not None
    assert (await ledger.admit([hold(1, **run)])).hold_id is None
    assert (await ledger.admit([hold(11, run_id="s", run_limit_nano_usd=10)])).hold_id is None


async def test_it_ends_with_its_window(store: Store) -> None:
    ledger = store.open(("total", "day", "1"))
    await full(ledger)
    assert (await ledger.admit([hold(10)], approval=allow(50))).hold_id is not None
    store.now += timedelta(days=1)
    assert await limit_and_left(ledger) == [(USD, 0, USD)]
    assert await ledger.raises() == []
    assert (await ledger.admit([hold(USD + 1)])).hold_id is None


async def test_a_limit_that_is_set_anew_keeps_what_was_allowed_beyond_it(store: Store) -> None:
    ledger = store.open(MONTH)
    await full(ledger)
    assert (await ledger.admit([hold(10)], approval=allow(10))).hold_id is not None
    await ledger.set_budget("total", "month", Decimal(2))
    assert await limit_and_left(ledger) == [(2 * USD + 10, 10, USD)]


async def test_a_raise_waits_with_its_hold_for_a_slot(store: Store) -> None:
    ledger = store.open(MONTH)
    await full(ledger)
    one_at_a_time = (UnitLimit("provider:cheap", "max_concurrency", 1),)
    free = hold(0, limits=one_at_a_time)
    running = await ledger.admit([free])
    wish = hold(10, limits=one_at_a_time, waits=True)
    waiting = await ledger.admit([wish], approval=allow(10))
    assert [one.code for one in waiting.refusals] == ["limit"]
    await ledger.settle([settlement(running, 0)])
    assert (await ledger.admit([wish], approval=allow(10))).hold_id is not None
    assert len(store.rows("budget_raises")) == 1


async def test_an_alert_is_due_by_the_limit_that_is_in_force(store: Store) -> None:
    ledger = with_alert(store, "total", "day")
    made = await ledger.admit([hold(300)], approval=allow(900))
    assert await ledger.settle([settlement(made, 300)]) == ()
    made = await ledger.admit([hold(500)])
    (alert,) = await ledger.settle([settlement(made, 500)])
    assert (alert.limit_nano_usd, alert.spent_nano_usd) == (1000, 800)


def answer_at_once(place: Store, pipe: Connection) -> None:
    """One of several processes that are given the same answers to the same questions."""

    async def work() -> list[int | None]:
        ledger = place.open(MONTH)
        await ledger.check()
        pipe.send("ready")
        pipe.recv()
        asked = [ledger.admit([hold(10)], approval=allow(10, f"q{one}")) for one in range(20)]
        made = [(await one).hold_id for one in [asyncio.ensure_future(one) for one in asked]]
        ledger.close()
        return made

    pipe.send(asyncio.run(work()))


async def test_many_processes_that_give_the_same_answers_raise_each_once(store: Store) -> None:
    ledger = store.open(MONTH)
    await full(ledger)
    place = Store(store.folder, store.url, store.now)
    running = [start(answer_at_once, place) for _ in range(3)]
    for _, pipe in running:
        assert heard(pipe) == "ready"
    for _, pipe in running:
        pipe.send("go")
    made = [one for _, pipe in running for one in heard(pipe)]
    for process, _ in running:
        ended(process)
    # 20 questions of 10 each, and so 20 holds of 10, whoever asked.
    assert len([one for one in made if one is not None]) == 20
    assert await limit_and_left(ledger) == [(USD + 200, 200, 0)]
    assert await verify(ledger) == []
