"""What every ledger promises of its windows and reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from aegis_graph.ledger.report_rows import Overrun
from aegis_graph.ledger.windows import ALL_DAYS
from aegis_graph.types import UNBELIEVED, GroupBy
from tests.contract.ledger_store import (
    DAYS,
    USD,
    Store,
    failed_request,
    hold,
    settlement,
    spent_and_held,
)


@pytest.mark.parametrize(
    ("window", "end"), [("day", "2026-11-24"), ("week", "2026-11-30"), ("month", "2026-12-01")]
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
async def test_a_budget_is_whole_again_with_the_first_instant_of_its_next_window(
    store: Store, window: str, end: str, zone: str
) -> None:
    ledger = store.open(("total", window, "1"), zone=zone)
    local = ZoneInfo(zone)
    store.now = datetime(2026, 11, 23, tzinfo=local).astimezone(UTC)
    await ledger.settle([settlement(await ledger.admit([hold(USD)]), USD)])
    edge = datetime.fromisoformat(end).replace(tzinfo=local).astimezone(UTC)
    store.now = edge - timedelta(milliseconds=1)
    assert (await ledger.admit([hold(1)])).hold_id is None
    store.now = edge
    assert (await ledger.admit([hold(USD)])).hold_id is not None


async def test_a_budget_without_an_end_never_comes_back(store: Store) -> None:
    ledger = store.open(("total", "total", "1"))
    await ledger.settle([settlement(await ledger.admit([hold(USD)]), USD)])
    store.now += timedelta(days=40_000)
    assert (await ledger.admit([hold(1)])).hold_id is None


async def test_a_late_settlement_counts_in_the_window_of_its_hold(store: Store) -> None:
    ledger = store.open(("total", "day", "1"))
    yesterday = await ledger.admit([hold(100)])
    store.now += timedelta(days=1)
    await ledger.settle([settlement(yesterday, 40)])
    assert await spent_and_held(ledger) == [(0, 0)]
    assert [(day.name, day.spent_nano_usd) for day in await ledger.report("day", **DAYS)] == [
        ("2026-11-23", 40)
    ]


async def test_a_request_without_an_answer_is_noted_once(store: Store) -> None:
    ledger = store.open()
    noted = failed_request("no provider", route_id="r", sensitivity="pii", thread_id="t")
    await ledger.settle([], failed_request=noted)
    await ledger.settle([], failed_request=noted)
    (row,) = store.rows("unanswered")
    assert (row["route_id"], row["sensitivity"], row["reasons"]) == ("r", "pii", "no provider")
    assert store.rows() == []


@pytest.mark.parametrize("by", ["provider", "model", "task", "user", "day", "month"])
async def test_every_report_adds_up_to_the_rows(store: Store, by: GroupBy) -> None:
    ledger = store.open(("total", "month", "1"))
    for number in range(12):
        facts = {"provider": ("cheap", "dear")[number % 2], "user": f"u{number % 3};'"}
        admission = await ledger.admit([hold(100 + number, **facts)])
        if number % 4:
            status = "failed" if number % 4 == 1 else "answered"
            await ledger.settle([settlement(admission, number, status=status)])
        store.now += timedelta(hours=7)
    rows = [{**row, "month": row["day"][:7]} for row in store.rows()]
    report = await ledger.report(by, **DAYS)
    column = "user_id" if by == "user" else by
    assert {line.name for line in report} == {row[column] for row in rows}
    for line in report:
        mine = [row for row in rows if row[column] == line.name]
        assert (line.calls, line.failures) == (
            len(mine),
            sum(row["status"] in {"failed", "cancelled", "expired"} for row in mine),
        )
        assert line.spent_nano_usd == sum(row["cost_nano_usd"] for row in mine)
        held = [row["hold_nano_usd"] for row in mine if row["status"] == "reserved"]
        assert line.held_nano_usd == sum(held)
        assert line.input_tokens == sum(row["input_tokens"] or 0 for row in mine)
    order = [line.name if by in {"day", "month"} else -line.spent_nano_usd for line in report]
    assert order == sorted(order)


async def test_a_closed_ledger_opens_again_and_knows_everything(store: Store) -> None:
    ledger = store.open(("total", "month", "1"))
    admission = await ledger.admit([hold(100)])
    ledger.settle_soon(settlement(admission, 40))
    ledger.close()
    assert [row["cost_nano_usd"] for row in store.rows()] == [40]
    assert await spent_and_held(ledger) == [(40, 0)]
    assert await ledger.check() >= 1


async def test_months_are_in_their_order(store: Store) -> None:
    ledger = store.open()
    for cost in (5, 7, 1):
        await ledger.settle([settlement(await ledger.admit([hold(9)]), cost)])
        store.now += timedelta(days=20)
    report = await ledger.report("month", first_day=ALL_DAYS.first, end_day=ALL_DAYS.end)
    assert [(row.name, row.spent_nano_usd) for row in report] == [
        ("2026-11", 5),
        ("2026-12", 7),
        ("2027-01", 1),
    ]


async def test_latencies_are_percentiles_by_nearest_rank(store: Store) -> None:
    ledger = store.open()
    measured = {"cheap": [30, 10, 20, 40], "dear": list(range(200, 0, -1)), "one": [7]}
    for provider, times in measured.items():
        for latency_ms in times:
            admission = await ledger.admit([hold(0, provider=provider)])
            await ledger.settle([settlement(admission, 0, latency_ms=latency_ms)])
    for provider in ("cheap", "down"):
        failed = await ledger.admit([hold(0, provider=provider)])
        await ledger.settle([settlement(failed, 0, status="failed", latency_ms=99_999)])
    await ledger.admit([hold(0)])
    report = await ledger.report("provider", **DAYS, latency=True)
    assert {row.name: row.latency_ms for row in report} == {
        "cheap": (20, 40, 40),
        "dear": (100, 190, 198),
        "one": (7, 7, 7),
        "down": None,
    }
    assert {row.latency_ms for row in await ledger.report("provider", **DAYS)} == {None}


async def test_the_time_in_the_queue_stands_beside_the_latencies(store: Store) -> None:
    ledger = store.open()
    for queued_ms in (0, 0, 900, None):
        asked = replace(hold(0, provider="gpu"), queued_ms=queued_ms)
        await ledger.settle([settlement(await ledger.admit([asked]), 0, latency_ms=5)])
    await ledger.settle([settlement(await ledger.admit([hold(0, provider="cloud")]), 0)])
    report = await ledger.report("provider", **DAYS, latency=True)
    assert {row.name: row.queued_ms for row in report} == {"gpu": (0, 900, 900), "cloud": None}
    assert {row.queued_ms for row in await ledger.report("provider", **DAYS)} == {None}


@pytest.mark.parametrize("by", get_args(GroupBy))
async def test_latencies_go_by_everything_that_costs_go_by(store: Store, by: GroupBy) -> None:
    ledger = store.open()
    for latency_ms in (3, 8):
        made = await ledger.admit([hold(9, run_id="r")])
        await ledger.settle([settlement(made, 1, latency_ms=latency_ms)])
        store.now += timedelta(days=30)
    (row,) = await ledger.report(by, **DAYS, latency=True)
    assert row.latency_ms == (3, 3, 3)


async def test_what_cost_more_than_was_reserved_is_found_by_provider(store: Store) -> None:
    ledger = store.open()
    for provider, overrun in (
        ("cheap", 5),
        ("cheap", 7),
        ("cheap", 0),
        ("dear", 40),
        ("dear", UNBELIEVED),
        ("odd", UNBELIEVED),
        ("sound", 0),
    ):
        made = await ledger.admit([hold(100, provider=provider)])
        await ledger.settle([settlement(made, 100 + max(0, overrun), overrun=overrun)])
    await ledger.admit([hold(100)])
    today = store.now.date().isoformat()
    assert await ledger.overruns(today) == [
        Overrun("dear", attempts=1, nano_usd=40, unbelieved=1),
        Overrun("cheap", attempts=2, nano_usd=12, unbelieved=0),
        Overrun("odd", attempts=0, nano_usd=0, unbelieved=1),
    ]
    tomorrow = (store.now + timedelta(days=1)).date().isoformat()
    assert await ledger.overruns(tomorrow) == []
