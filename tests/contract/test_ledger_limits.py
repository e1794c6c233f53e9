"""Limits of calls and tokens: admitted with money, in one transaction, on both stores."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest

from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.limits import LimitRefusal, UnitLimit
from aegis_graph.ledger.maintenance import verify
from aegis_graph.ledger.records import Admission, Hold
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.types import LIMIT_UNITS, LimitUnit
from tests.contract import processes
from tests.contract.ledger_store import USD, Store, hold, settlement


def limited(unit: LimitUnit, most: int, scope: str = "provider:cheap", **more: Any) -> Hold:
    return hold(0, limits=(UnitLimit(scope, unit, most),), **{"tokens": 10, **more})


def later(store: Store, seconds: float) -> None:
    store.now += timedelta(seconds=seconds)


def refusal_of(admission: Admission) -> LimitRefusal:
    (refusal,) = admission.refusals
    assert isinstance(refusal, LimitRefusal)
    return refusal


async def fits(ledger: SqlLedger, one: Hold) -> bool:
    return (await ledger.admit([one])).hold_id is not None


async def test_calls_under_way_are_the_slots(store: Store) -> None:
    ledger, other = store.open(), store.open()
    first = await ledger.admit([limited("max_concurrency", 2)])
    assert await fits(other, limited("max_concurrency", 2))
    refused = await ledger.admit([limited("max_concurrency", 2)])
    assert refusal_of(refused).reason() == "2 of 2 slots busy"
    assert refused.free_in_s is None
    await other.settle([settlement(first, 0)])
    assert await fits(ledger, limited("max_concurrency", 2))
    assert not await fits(other, limited("max_concurrency", 2))


async def test_the_slot_of_a_lost_call_comes_back_when_its_lease_ends(store: Store) -> None:
    ledger = store.open()
    await ledger.admit([limited("max_concurrency", 1, lease_s=90.0)])
    later(store, 90)
    assert not await fits(ledger, limited("max_concurrency", 1))
    later(store, 0.001)
    assert await fits(ledger, limited("max_concurrency", 1))
    assert await verify(ledger) == []


async def test_a_slot_that_was_taken_before_midnight_is_busy_after_it(store: Store) -> None:
    ledger = store.open()
    later(store, 12 * 3600 - 1)
    await ledger.admit([limited("max_concurrency", 1)])
    later(store, 2)
    assert not await fits(ledger, limited("max_concurrency", 1))


async def test_calls_of_programs_without_the_limit_take_slots_too(store: Store) -> None:
    ledger = store.open()
    made = await ledger.admit([hold(5)])
    assert not await fits(ledger, limited("max_concurrency", 1))
    await ledger.settle([settlement(made, 5)])
    assert await fits(ledger, limited("max_concurrency", 1))


async def test_no_minute_has_more_requests_than_the_limit(store: Store) -> None:
    ledger = store.open()
    for _ in range(3):
        made = await ledger.admit([limited("requests_per_minute", 3)])
        await ledger.settle([settlement(made, 0)])
        later(store, 10)
    refused = await ledger.admit([limited("requests_per_minute", 3)])
    assert refusal_of(refused).reason() == "3 of 3 requests in the last minute, free in 31 s"
    assert refused.free_in_s == 31
    later(store, 30)
    assert not await fits(ledger, limited("requests_per_minute", 3))
    later(store, 1)
    assert await fits(ledger, limited("requests_per_minute", 3))
    assert not await fits(ledger, limited("requests_per_minute", 3))


async def test_tokens_count_as_they_may_be_and_then_as_they_were(store: Store) -> None:
    ledger = store.open()
    made = await ledger.admit([limited("tokens_per_minute", 100, tokens=80)])
    refused = await ledger.admit([limited("tokens_per_minute", 100, tokens=30)])
    says = "needs up to 30 tokens, 80 of 100 tokens in the last minute, free in 61 s"
    assert refusal_of(refused).reason() == says
    await ledger.settle([settlement(made, 0, input_tokens=40, output_tokens=30)])
    assert await fits(ledger, limited("tokens_per_minute", 100, tokens=30))
    assert not await fits(ledger, limited("tokens_per_minute", 100, tokens=1))


async def test_of_an_unknown_outcome_the_most_that_it_can_be_counts(store: Store) -> None:
    ledger = store.open()
    made = await ledger.admit([limited("tokens_per_minute", 100, tokens=80)])
    unknown = {"input_tokens": None, "output_tokens": None, "cost_basis": "held"}
    await ledger.settle([settlement(made, 0, status="failed", **unknown)])
    assert not await fits(ledger, limited("tokens_per_minute", 100, tokens=30))


@pytest.mark.parametrize(
    "unit", ["requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day"]
)
async def test_a_hold_that_was_not_used_counts_nowhere(store: Store, unit: LimitUnit) -> None:
    ledger = store.open()
    most = 1 if unit.startswith("requests") else 10
    made = await ledger.admit([limited(unit, most)])
    assert not await fits(ledger, limited(unit, most))
    assert made.hold_id is not None
    await ledger.settle([unused_hold(made.hold_id)])
    assert await fits(ledger, limited(unit, most))
    assert not await fits(ledger, limited(unit, most))


async def test_what_no_window_can_ever_hold_is_said_so(store: Store) -> None:
    ledger = store.open()
    refusal = refusal_of(await ledger.admit([limited("tokens_per_minute", 100, tokens=101)]))
    assert (refusal.may_fit, refusal.free_in_s) == (False, None)
    assert refusal.reason() == "needs up to 101 tokens, more than the 100 that a minute may take"


async def test_days_are_those_of_the_ledger(store: Store) -> None:
    ledger = store.open(zone="Europe/Berlin")
    # Before the limit was written down, too.
    await ledger.settle([settlement(await ledger.admit([hold(0)]), 0)])
    assert await fits(ledger, limited("requests_per_day", 2))
    refused = await ledger.admit([limited("requests_per_day", 2)])
    # From 13:00 in Berlin to its midnight.
    assert refused.free_in_s == 11 * 3600
    later(store, 11 * 3600 - 1)
    assert not await fits(ledger, limited("requests_per_day", 2))
    later(store, 1)
    assert await fits(ledger, limited("requests_per_day", 2))


async def test_tokens_of_a_day_are_what_was_used_and_what_may_be(store: Store) -> None:
    ledger = store.open()
    made = await ledger.admit([limited("tokens_per_day", 100, tokens=90)])
    await ledger.settle([settlement(made, 0, input_tokens=50, output_tokens=10)])
    later(store, 7200)
    assert not await fits(ledger, limited("tokens_per_day", 100, tokens=41))
    assert await fits(ledger, limited("tokens_per_day", 100, tokens=40))
    assert not await fits(ledger, limited("tokens_per_day", 100, tokens=1))


async def test_a_limit_for_each_user_is_for_each_alone(store: Store) -> None:
    ledger = store.open()
    for user in ("ada", "bob"):
        assert await fits(ledger, limited("max_concurrency", 1, "user:*", user=user))
    refused = await ledger.admit([limited("max_concurrency", 1, "user:*", user="ada")])
    assert refusal_of(refused).reason() == "limit user:ada (user:*): 1 of 1 slots busy"
    no_tag = limited("max_concurrency", 1, "tag:team=*", user="eve")
    assert await fits(ledger, no_tag)
    assert await fits(ledger, no_tag)


async def test_the_next_hold_is_made_where_one_is_full_unless_it_is_waited_for(
    store: Store,
) -> None:
    ledger = store.open()
    await ledger.admit([limited("max_concurrency", 1)])
    wished = limited("max_concurrency", 1)
    other = limited("max_concurrency", 1, "provider:dear", provider="dear")
    waits = limited("max_concurrency", 1, waits=True)
    made = await ledger.admit([waits, other])
    assert (made.hold_id, len(made.refusals)) == (None, 1)
    assert (await ledger.admit([wished, other])).index == 1


async def test_a_budget_is_looked_at_before_a_limit(store: Store) -> None:
    ledger = store.open(("total", "day", "0"))
    await ledger.admit([limited("max_concurrency", 1)])
    both = hold(USD, limits=(UnitLimit("total", "max_concurrency", 1),))
    (refusal,) = (await ledger.admit([both])).refusals
    assert refusal.code == "budget"


async def test_a_crowd_of_callers_gets_as_many_slots_as_there_are(store: Store) -> None:
    ledgers = [store.open() for _ in range(3)]
    wishes = [ledgers[n % 3].admit([limited("max_concurrency", 7)]) for n in range(150)]
    made = await asyncio.gather(*wishes)
    assert sum(one.hold_id is not None for one in made) == 7


async def test_the_last_minute_keeps_a_minute(store: Store) -> None:
    ledger = store.open()
    for _ in range(400):
        await ledger.admit([limited("requests_per_minute", 1000)])
        later(store, 1)
    parts = [row["part"] for row in store.rows("limit_counts")]
    assert len([part for part in parts if part.startswith("s")]) <= 62
    later(store, 3 * 86_400)
    await ledger.admit([limited("requests_per_minute", 1000)])
    assert len(store.rows("limit_counts")) == 2


async def test_settling_late_after_the_sweep_takes_nothing_twice(store: Store) -> None:
    ledger = store.open()
    made = await ledger.admit([limited("tokens_per_day", 100, tokens=60, lease_s=61.0)])
    later(store, 62)
    assert not await fits(ledger, limited("tokens_per_day", 100, tokens=50))
    late = [settlement(made, 0, input_tokens=5, output_tokens=5)]
    await ledger.settle(late)
    await ledger.settle(late)
    assert await fits(ledger, limited("tokens_per_day", 100, tokens=90))
    assert not await fits(ledger, limited("tokens_per_day", 100, tokens=1))
    assert await verify(ledger) == []


def take_a_slot(store: Store, pipe: Connection) -> None:
    """Take the slot, and never come back."""

    async def take() -> None:
        made = await store.open().admit([limited("max_concurrency", 1, lease_s=90.0)])
        pipe.send(made.hold_id)
        await asyncio.Event().wait()

    asyncio.run(take())


async def test_the_slot_of_a_killed_process_comes_back_with_its_lease(store: Store) -> None:
    place = Store(store.folder, store.url)
    process, pipe = processes.start(take_a_slot, place)
    assert processes.heard(pipe) is not None
    process.kill()
    assert processes.ended(process) == -signal.SIGKILL
    ledger = store.open()
    later(store, 90)
    assert not await fits(ledger, limited("max_concurrency", 1))
    later(store, 1)
    assert await fits(ledger, limited("max_concurrency", 1))


async def test_what_is_in_use_is_shown(store: Store) -> None:
    ledger = store.open()
    units: list[LimitUnit] = [*LIMIT_UNITS]
    all_units = tuple(UnitLimit("user:*", unit, 100) for unit in units)
    for user in ("ada", "bob"):
        made = await ledger.admit([hold(0, user=user, limits=all_units, tokens=40)])
    await ledger.settle([settlement(made, 0, input_tokens=20, output_tokens=5)])
    shown = {(one.scope, one.unit): one.used for one in await ledger.limits(all_units)}
    assert shown == {
        **{("user:*", unit): None for unit in units},
        **dict(zip([("user:ada", unit) for unit in units], (1, 1, 40, 1, 40), strict=True)),
        **dict(zip([("user:bob", unit) for unit in units], (0, 1, 25, 1, 25), strict=True)),
    }
