"""What pictures are drawn from: sums by time and name, failures by reason, single attempts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.activity import (
    ActivityPoint,
    FailureCount,
    activity,
    failures,
    tag_keys,
    unanswered,
)
from aegis_graph.ledger.attempts import (
    held_now,
    last_attempts,
    open_attempts,
    recorded_request,
)
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.queries import Query, Statement, advance
from aegis_graph.ledger.report import latencies
from aegis_graph.ledger.row_selection import RowSelection, TagValue
from aegis_graph.ledger.windows import Days
from tests.contract.ledger_store import NOON, Store, failed_request, hold, settlement

DAYS = Days("2026-11-01", "2026-12-01")
ALL = RowSelection(days=DAYS)


async def call(ledger: SqlLedger, cost: int, **more: Any) -> str:
    """One attempt; what ``hold`` does not know is of its settlement."""
    outcome = {
        name: more.pop(name)
        for name in (
            "status",
            "error_type",
            "latency_ms",
            "first_token_ms",
            "cached_input_tokens",
        )
        if name in more
    }
    tags = more.pop("tags", None)
    wanted = hold(100, tags=json.dumps(tags) if tags else None, **more)
    made = await ledger.admit([wanted])
    await ledger.settle([settlement(made, cost, **outcome)])
    return wanted.request.route_id


async def filled(store: Store) -> SqlLedger:
    """Three days, two users, two providers; the second call of the last day fell back."""
    ledger = store.open(zone="Europe/Berlin")
    for back, cost in ((2, 40), (1, 30), (0, 20)):
        store.now = NOON - timedelta(days=back)
        await call(ledger, cost, tags={"team": "search"}, cached_input_tokens=4, thread_id="t")
        await call(ledger, 7, user="bob", provider="dear", latency_ms=90)
    store.now = NOON + timedelta(hours=2)
    more = {"route_id": "second", "task": "answer", "run_id": "deep"}
    await call(ledger, 3, status="failed", error_type="RateLimited", **more)
    await call(ledger, 9, attempt=2, provider="dear", **more)
    await ledger.admit([hold(50, user="eve")])
    return ledger


def spent(points: list[ActivityPoint]) -> dict[tuple[str, str], int]:
    return {(point.time, point.name): point.sums.spent_nano_usd for point in points}


async def test_days_of_names_are_those_of_the_totals(store: Store) -> None:
    ledger = await filled(store)
    assert spent(await ledger.read(activity("provider", "day", ALL))) == {
        ("2026-11-21", "cheap"): 40,
        ("2026-11-21", "dear"): 7,
        ("2026-11-22", "cheap"): 30,
        ("2026-11-22", "dear"): 7,
        ("2026-11-23", "cheap"): 23,
        ("2026-11-23", "dear"): 16,
    }
    points = await ledger.read(activity("total", "day", replace(ALL, user="ada")))
    assert [(point.name, point.sums.calls) for point in points] == [("total", 1)] * 2 + [
        ("total", 3)
    ]
    assert points[0].sums.cached_input_tokens == 4


@pytest.mark.parametrize("by", ["total", "provider", "model", "task", "user", "run", "tag:team"])
async def test_rows_and_totals_agree(store: Store, by: str) -> None:
    ledger = await filled(store)
    totals = await ledger.read(activity(by, "day", ALL))
    hours = await ledger.read(activity(by, "hour", ALL))
    # What all rows have makes the question one that only they answer.
    rows = await ledger.read(activity(by, "day", replace(ALL, sensitivity="public")))
    assert totals == rows
    assert sum(point.sums.spent_nano_usd for point in hours) == sum(spent(totals).values())
    report = (
        await ledger.report(by, first_day=DAYS.first, end_day=DAYS.end) if by != "total" else []
    )
    for row in report:
        of_name = [point.sums for point in totals if point.name == row.name]
        assert row.spent_nano_usd == sum(sums.spent_nano_usd for sums in of_name)
        assert row.cached_input_tokens == sum(sums.cached_input_tokens for sums in of_name)


async def test_hours_are_those_of_utc_on_days_of_the_ledgers_zone(store: Store) -> None:
    ledger = store.open(zone="Europe/Berlin")
    store.now = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # Half past midnight in Berlin.
    await call(ledger, 5)
    today = RowSelection(days=Days("2026-11-23", "2026-11-24"))
    assert spent(await ledger.read(activity("total", "hour", today))) == {
        ("2026-11-22T23", "total"): 5
    }


@pytest.mark.parametrize(
    ("chosen", "cost"),
    [
        ({"provider": "dear"}, 30),
        ({"provider": "dear", "user": "bob"}, 21),
        ({"tag": TagValue("team", "search")}, 90),
        ({"tag": TagValue("team", "search"), "user": "bob"}, 0),
        ({"thread": "t"}, 90),
        ({"status": "failed"}, 3),
        ({"error": "RateLimited"}, 3),
        ({"run": "deep", "task": "answer"}, 12),
        ({"user": "'; DROP TABLE requests; --"}, 0),
        ({"days": Days("2026-11-22", "2026-11-23"), "provider": "cheap", "user": "ada"}, 30),
    ],
)
async def test_what_is_chosen_is_counted(store: Store, chosen: dict[str, Any], cost: int) -> None:
    ledger = await filled(store)
    points = await ledger.read(activity("task", "day", replace(ALL, **chosen)))
    assert sum(spent(points).values()) == cost


async def test_a_day_begins_at_its_first_row(store: Store) -> None:
    ledger = await filled(store)
    first = {row["day"]: row["first_id"] for row in store.rows("days")}
    rows = store.rows()
    assert first == {
        day: min(row["id"] for row in rows if row["day"] == day)
        for day in {row["day"] for row in rows}
    }
    # A clock that was set back writes a day's rows behind those of the next one.
    store.now = NOON - timedelta(days=1)
    await call(ledger, 1000)
    day = RowSelection(days=Days("2026-11-22", "2026-11-23"), sensitivity="public")
    assert sum(spent(await ledger.read(activity("total", "day", day))).values()) == 1037


async def test_failures_are_counted_by_reason_with_their_fallbacks(store: Store) -> None:
    ledger = await filled(store)
    await call(ledger, 0, status="cancelled")
    store.now += timedelta(minutes=5)
    await ledger.sweep()
    assert await ledger.read(failures(ALL)) == [
        FailureCount("RateLimited", 1, 1, 3),
        FailureCount("cancelled", 1, 0, 0),
        FailureCount("expired", 1, 0, 50),
    ]
    assert await ledger.read(failures(replace(ALL, provider="dear"))) == []


async def test_requests_without_an_answer_are_counted_by_reason(store: Store) -> None:
    ledger = store.open()
    tags = '{"team": "search"}'
    for number in range(3):
        asked = failed_request(route_id=f"n{number}", user_id="ada", tags=tags if number else None)
        await ledger.settle([], failed_request=asked)
    days = ("2026-11-23T00:00:00.000Z", "2026-11-24T00:00:00.000Z")
    counted = {
        "all": RowSelection(),
        "ada": RowSelection(user="ada"),
        "tag": RowSelection(tag=TagValue("team", "search")),
        "bob": RowSelection(user="bob"),
        "of attempts": RowSelection(provider="cheap"),
    }
    found = {name: await ledger.read(unanswered(one, *days)) for name, one in counted.items()}
    assert found == {
        "all": [FailureCount("NoProviderError", 3, 0, 0)],
        "ada": [FailureCount("NoProviderError", 3, 0, 0)],
        "tag": [FailureCount("NoProviderError", 2, 0, 0)],
        "bob": [],
        "of attempts": [],
    }
    assert await ledger.read(unanswered(RowSelection(), "2026-11-24", "2026-11-25")) == []


async def test_percentiles_are_of_what_is_chosen(store: Store) -> None:
    ledger = await filled(store)
    found = await ledger.read(latencies("provider", replace(ALL, user="bob")))
    assert found == {"dear": (90, 90, 90)}
    await call(ledger, 1, user="bob", first_token_ms=12)
    first = await ledger.read(latencies("user", ALL, of="first_token_ms"))
    assert first == {"bob": (12, 12, 12)}


async def test_the_last_attempts_come_page_by_page(store: Store) -> None:
    ledger = await filled(store)
    first = await ledger.read(last_attempts(ALL, most=4))
    rest = await ledger.read(last_attempts(ALL, most=9, before=first[-1].id))
    assert [len(first), len(rest)] == [4, 5]
    ids = [row.id for row in (*first, *rest)]
    assert ids == sorted(ids, reverse=True)
    tagged = await ledger.read(last_attempts(replace(ALL, tag=TagValue("team", "search")), most=9))
    assert [row.tag_values for row in tagged] == [{"team": "search"}] * 3
    assert [row.user_id for row in await ledger.read(open_attempts(9))] == ["eve"]
    assert await ledger.read(held_now()) == (1, 50)


async def test_a_request_is_all_its_attempts_and_why_it_failed(store: Store) -> None:
    ledger = await filled(store)
    found = await ledger.read(recorded_request("second"))
    assert [(row.attempt, row.status, row.error_type) for row in found.attempts] == [
        (1, "failed", "RateLimited"),
        (2, "answered", None),
    ]
    assert found.unanswered is None
    await ledger.settle([], failed_request=failed_request("no money", route_id="poor"))
    poor = await ledger.read(recorded_request("poor"))
    assert poor.unanswered is not None
    assert (poor.attempts, poor.unanswered.reasons) == ([], "no money")


async def test_keys_of_tags_are_found_without_reading_their_values(store: Store) -> None:
    ledger = store.open()
    for number in range(30):
        await call(ledger, 1, tags={"env": f"e={number}", "team": "search", "a.b-c_": "x"})
    asked = 0
    query = tag_keys()

    def counted() -> Query[Any]:
        nonlocal asked
        step = advance(query, None)
        while isinstance(step, Statement):
            asked += 1
            step = advance(query, (yield step))
        return step.value

    assert await ledger.read(counted()) == ["a.b-c_", "env", "team"]
    assert asked == 4


async def test_an_empty_ledger_has_no_activity(store: Store) -> None:
    ledger = store.open()
    assert await ledger.read(activity("user", "day", ALL)) == []
    assert await ledger.read(activity("user", "hour", ALL)) == []
    assert await ledger.read(failures(ALL)) == []
    assert await ledger.read(tag_keys()) == []
    assert await ledger.read(last_attempts(ALL, most=5)) == []
    with pytest.raises(ConfigError, match="by: 'moon' is none of"):
        await ledger.read(activity("moon", "hour", ALL))
