"""Care of the ledger: pruning keeps every total, verifying finds what differs, holds settle."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.maintenance import (
    BATCH,
    Difference,
    Pruned,
    differences,
    open_holds,
    prune,
    verify,
)
from aegis_graph.ledger.totals import TOTAL_COLUMNS
from tests.contract.ledger_store import (
    DAYS,
    NOON,
    Store,
    failed_request,
    hold,
    settlement,
    spent_and_held,
)

TODAY = NOON.date()


def opened(store: Store, *budgets: tuple[str, str, str], zone: str = "UTC") -> SqlLedger:
    ledger = store.open(*budgets, zone=zone)
    assert isinstance(ledger, SqlLedger)
    return ledger


async def call(ledger: SqlLedger, cost: int = 40, **more: Any) -> int:
    made = await ledger.admit([hold(100, user=more.pop("user", "ada"))])
    await ledger.settle([settlement(made, cost, **more)])
    assert made.hold_id is not None
    return made.hold_id


async def three_days(store: Store) -> SqlLedger:
    """Each day one answered, one failed and one open attempt, of two users."""
    ledger = opened(store, ("total", "month", "1"))
    for back in (2, 1, 0):
        store.now = NOON - timedelta(days=back)
        await call(ledger, 40, cached_input_tokens=2, cache_write_tokens=1)
        await call(ledger, 7, user="bob", status="failed")
        await ledger.admit([hold(100, lease_s=10 * 86_400.0)])
    return ledger


async def fail(ledger: SqlLedger, route_id: str) -> None:
    await ledger.settle([], failed_request=failed_request(route_id=route_id))


async def test_pruning_drops_settled_rows_and_keeps_every_total(store: Store) -> None:
    ledger = await three_days(store)
    before = store.rows("totals"), await ledger.budgets(), await ledger.report("user", **DAYS)
    done = await prune(ledger, TODAY, zone=ZoneInfo("UTC"))
    assert done == Pruned(rows=4, unanswered=0, open_holds=2)
    assert (store.rows("totals"), await ledger.budgets(), await ledger.report("user", **DAYS)) == (
        before
    )
    left = sorted((row["day"], row["status"]) for row in store.rows())
    assert left == [
        ("2026-11-21", "reserved"),
        ("2026-11-22", "reserved"),
        *(("2026-11-23", status) for status in ("answered", "failed", "reserved")),
    ]
    assert await prune(ledger, TODAY, zone=ZoneInfo("UTC")) == Pruned(0, 0, 2)


async def test_a_hold_that_stayed_can_still_be_settled(store: Store) -> None:
    ledger = opened(store, ("total", "month", "1"))
    made = await ledger.admit([hold(100, lease_s=10 * 86_400.0)])
    store.now += timedelta(days=1)
    await prune(ledger, store.now.date(), zone=ZoneInfo("UTC"))
    await ledger.settle([settlement(made, 40)])
    assert await spent_and_held(ledger) == [(40, 0)]


async def test_pruning_goes_by_the_ledgers_own_midnight(store: Store) -> None:
    ledger = opened(store, zone="America/New_York")
    for hour in (4, 5):  # Midnight in New York is at 5 in UTC.
        store.now = datetime(2026, 11, 23, hour, tzinfo=UTC)
        await call(ledger)
        await fail(ledger, f"nobody at {hour}")
    done = await prune(ledger, date(2026, 11, 23), zone=ZoneInfo("America/New_York"))
    assert done == Pruned(rows=1, unanswered=1, open_holds=0)
    assert [row["timestamp"] for row in store.rows()] == ["2026-11-23T05:00:00.000Z"]
    assert [row["route_id"] for row in store.rows("unanswered")] == ["nobody at 5"]


async def test_pruning_takes_more_rows_than_one_transaction_looks_at(store: Store) -> None:
    ledger = opened(store)
    count = BATCH + 3
    held = [hold(0, lease_s=0.0) for _ in range(count)]
    ids = [(await ledger.admit([one])).hold_id for one in held[:3]]
    await ledger.transact(
        lambda rows: rows.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task,"
            " sensitivity, user_id, query_hash, status, hold_nano_usd, expires_at)"
            " SELECT timestamp, day, route_id, attempt, provider, model, task, sensitivity,"
            " user_id, query_hash, 'answered', 0, expires_at FROM requests, n WHERE id = ?",
            (count, ids[0]),
        )
    )
    store.now += timedelta(days=1)
    done = await prune(ledger, store.now.date(), zone=ZoneInfo("UTC"))
    assert (done.rows, len(store.rows())) == (count, 3)


async def test_the_totals_of_every_kind_of_row_are_the_sums_of_the_rows(store: Store) -> None:
    ledger = await three_days(store)
    for status in ("answered", "failed", "cancelled"):
        await call(ledger, 3, status=status)
    await ledger.admit([hold(100, provider="dear", lease_s=1.0)])
    store.now += timedelta(minutes=1)
    assert await ledger.sweep() == 1
    assert await verify(ledger) == []
    await prune(ledger, TODAY, zone=ZoneInfo("UTC"))
    assert await verify(ledger) == []


async def test_verifying_an_unused_ledger_creates_nothing(store: Store) -> None:
    assert await verify(opened(store)) == []
    assert not (store.folder / "costs.db").exists()


async def test_verifying_says_which_total_differs_and_by_what(store: Store) -> None:
    ledger = await three_days(store)
    await ledger.transact(
        lambda rows: rows.execute(
            "UPDATE totals SET spent_nano_usd = spent_nano_usd + 1, failures = 0"
            " WHERE scope = 'user:bob' AND day = '2026-11-22'"
        )
    )
    await ledger.transact(lambda rows: rows.execute("DELETE FROM totals WHERE scope = 'model:m'"))
    found = await verify(ledger)
    assert [row for row in found if row.scope == "user:bob"] == [
        Difference("user:bob", "2026-11-22", "spent_nano_usd", 8, 7),
        Difference("user:bob", "2026-11-22", "failures", 0, 1),
    ]
    missing = [row for row in found if row.scope == "model:m"]
    assert {(row.column, row.total, row.rows) for row in missing} == {
        ("spent_nano_usd", 0, 47),
        ("held_nano_usd", 0, 100),
        ("calls", 0, 3),
        ("failures", 0, 1),
        ("input_tokens", 0, 14),
        ("output_tokens", 0, 6),
        ("open_holds", 0, 1),
        ("cached_input_tokens", 0, 2),
        ("cache_write_tokens", 0, 1),
    }
    assert len(found) == 2 + 3 * len(TOTAL_COLUMNS)


async def test_a_row_that_vanished_is_found(store: Store) -> None:
    ledger = opened(store)
    number = await call(ledger)
    await ledger.transact(lambda rows: rows.execute("DELETE FROM requests WHERE id = ?", (number,)))
    found = await ledger.read(differences())
    assert {row.scope for row in found} == {
        "total",
        "provider:cheap",
        "model:m",
        "task:chat",
        "user:ada",
    }


async def test_open_holds_are_listed_with_age_and_state(store: Store) -> None:
    ledger = opened(store)
    await call(ledger)
    made = [await ledger.admit([hold(5, lease_s=s, route_id="r")]) for s in (60.0, 600.0, 9000.0)]
    store.now += timedelta(minutes=5)
    await ledger.sweep()
    later = store.now + timedelta(minutes=55)
    found = await ledger.read(open_holds(later))
    assert [(one.id, one.status, one.overdue) for one in found] == [
        (made[0].hold_id, "expired", True),
        (made[1].hold_id, "reserved", True),
        (made[2].hold_id, "reserved", False),
    ]
    assert {one.age for one in found} == {timedelta(hours=1)}
    assert {(o.nano_usd, o.provider, o.model, o.route_id) for o in found} == {
        (5, "cheap", "m", "r")
    }


@pytest.mark.parametrize("swept", [False, True], ids=["reserved", "expired"])
async def test_reconciling_gives_a_lost_attempt_its_real_cost(store: Store, swept: bool) -> None:
    ledger = opened(store, ("total", "month", "1"))
    made = await ledger.admit([hold(100)])
    assert made.hold_id is not None
    if swept:
        store.now += timedelta(hours=1)
        await ledger.sweep()
    assert await ledger.reconcile(made.hold_id, 130) == ()
    assert await spent_and_held(ledger) == [(130, 0)]
    (row,) = store.rows()
    wanted = ("failed", "reported", "Reconciled", 130)
    assert (row["status"], row["cost_basis"], row["error_type"], row["cost_nano_usd"]) == wanted
    assert row["overrun"] == 30
    assert await verify(ledger) == []
    with pytest.raises(LedgerError, match=f"^row {made.hold_id} is settled already"):
        await ledger.reconcile(made.hold_id, 1)
    assert await spent_and_held(ledger) == [(130, 0)]


async def test_reconciling_a_row_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(LedgerError, match="the ledger has no row 4711"):
        await opened(store).reconcile(4711, 1)


async def test_removing_a_limit_changes_no_total(store: Store) -> None:
    ledger = await three_days(store)
    await ledger.set_budget("total", "month", Decimal(0))
    assert await verify(ledger) == []
