"""What every ledger promises of corrections: only what was held changes, and each is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.ledger import maintenance
from aegis_graph.ledger.bills.bill_line import Period
from aegis_graph.ledger.bills.booked import booked_calls, held_rows
from aegis_graph.ledger.corrections import Correction, shared_cost
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.pricing.money import to_nano_usd
from tests.contract.ledger_store import NOON, Store, hold, settlement


async def made(ledger: SqlLedger, nano_usd: int, cost: int, **facts: Any) -> int:
    """A settled row; what it costs is not known to the ledger where its basis is ``held``."""
    admission = await ledger.admit([hold(nano_usd, tags='{"team": "a"}', run_id="nightly")])
    assert admission.hold_id is not None
    await ledger.settle([settlement(admission, cost, **facts)])
    return admission.hold_id


async def test_a_held_row_gets_its_cost_and_every_total_follows(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    known = await made(ledger, 100, 60)
    held = await made(ledger, 100, 100, status="cancelled", cost_basis="held")
    before = {row["id"]: row for row in store.rows()}
    wanted = [Correction(held, 70), Correction(known, 1), Correction(999, 1)]
    assert await ledger.correct(wanted, source="bill november.csv") == 1
    rows = {row["id"]: row for row in store.rows()}
    assert rows[known] == before[known]
    assert (rows[held]["cost_nano_usd"], rows[held]["cost_basis"]) == (70, "estimated")
    assert rows[held]["status"] == "cancelled"
    assert await maintenance.verify(ledger) == []
    [budget] = await ledger.budgets()
    assert budget.spent_nano_usd == 130
    [kept] = store.rows("corrections")
    assert kept == {
        "request_id": held,
        "timestamp": "2026-11-23T12:00:00.000Z",
        "old_nano_usd": 100,
        "new_nano_usd": 70,
        "source": "bill november.csv",
    }
    # What was corrected is held no longer.
    assert await ledger.correct([Correction(held, 5)], source="again") == 0
    assert len(store.rows("corrections")) == 1


async def test_a_lost_attempt_is_one_no_longer(store: Store) -> None:
    ledger = store.open()
    admission = await ledger.admit([hold(100, lease_s=1)])
    store.now = store.now.replace(hour=13)
    await ledger.sweep()
    [lost] = await ledger.read(maintenance.open_holds(store.now))
    assert await ledger.correct([Correction(lost.id, 0)], source="bill") == 1
    assert await ledger.read(maintenance.open_holds(store.now)) == []
    [row] = store.rows()
    assert (row["status"], row["error_type"], row["cost_nano_usd"]) == ("failed", "Reconciled", 0)
    assert await maintenance.verify(ledger) == []
    # Its own settlement comes too late, and changes nothing.
    await ledger.settle([settlement(admission, 50)])
    assert await maintenance.verify(ledger) == []
    assert store.rows()[0]["cost_nano_usd"] == 0


async def test_an_open_hold_is_not_corrected(store: Store) -> None:
    ledger = store.open()
    admission = await ledger.admit([hold(100)])
    assert admission.hold_id is not None
    assert await ledger.correct([Correction(admission.hold_id, 1)], source="bill") == 0
    assert store.rows("corrections") == []


async def test_of_two_that_correct_a_row_at_once_one_does(store: Store) -> None:
    held = await made(store.open(), 100, 100, status="failed", cost_basis="held")
    both = [store.open(), store.open()]
    done = await asyncio.gather(
        *(one.correct([Correction(held, 30 + at)], source="b") for at, one in enumerate(both))
    )
    assert sum(done) == 1
    assert await maintenance.verify(both[0]) == []


async def test_sums_and_held_rows_are_those_of_the_time_that_was_asked_for(store: Store) -> None:
    ledger = store.open()
    store.now = NOON.replace(day=22)
    await made(ledger, 100, 1)
    store.now = NOON.replace(minute=9)
    await made(ledger, 100, 60)
    store.now = NOON.replace(minute=10)
    held = await made(ledger, 100, 100, status="failed", cost_basis="held")
    await ledger.admit([hold(40)])
    day = Period(NOON.replace(hour=0), NOON.replace(day=24, hour=0))
    first, second = await ledger.read(booked_calls([day]))
    assert (first.moment, second.moment) == (NOON, NOON.replace(minute=10))
    assert (first.calls, to_nano_usd(first.known_usd), to_nano_usd(first.held_usd)) == (1, 60, 0)
    amounts = map(to_nano_usd, (second.known_usd, second.held_usd, second.open_usd))
    assert (second.calls, *amounts) == (1, 0, 100, 40)
    assert first.input_tokens + first.output_tokens == 10
    [row] = await ledger.read(held_rows([day]))
    assert (row.id, row.nano_usd, row.moment) == (held, 100, NOON.replace(minute=10))


@given(st.lists(st.integers(0, 10**12), max_size=20), st.data())
def test_shares_add_up_and_none_is_above_its_hold(holds: list[int], data: st.DataObject) -> None:
    cost = data.draw(st.integers(0, sum(holds)))
    shares = shared_cost(list(enumerate(holds)), cost)
    assert sum(one.cost_nano_usd for one in shares) == (cost if sum(holds) else 0)
    assert all(0 <= one.cost_nano_usd <= holds[one.row_id] for one in shares)


def test_nothing_is_shared_among_none() -> None:
    with pytest.raises(StopIteration):
        next(iter(shared_cost([], 5)))
