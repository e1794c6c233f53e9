"""What every ledger promises of a request's tags: scopes of budgets, columns of reports."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.factory import create_store
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.maintenance import prune, verify
from aegis_graph.ledger.migrate import migrate
from aegis_graph.ledger.records import Hold
from aegis_graph.ledger.scopes import tags_text
from aegis_graph.types import GroupBy, SettlementRecord
from tests.contract.ledger_store import (
    DAYS,
    USD,
    Store,
    empty_store,
    failed_request,
    hold,
    settlement,
)
from tests.contract.processes import WAIT_S, ended, heard, start

SEARCH = {"team": "search", "env": "live"}


def tagged(nano_usd: int, tags: dict[str, str] = SEARCH, **more: Any) -> Hold:
    return hold(nano_usd, tags=tags_text(tags), **more)


async def spent(ledger: SqlLedger, by: str = "tag:team") -> dict[str, tuple[int, int, int, int]]:
    return {
        row.name: (row.calls, row.failures, row.spent_nano_usd, row.held_nano_usd)
        for row in await ledger.report(by, **DAYS)
    }


async def test_a_budget_of_a_tag_is_spent_by_its_requests_alone(store: Store) -> None:
    ledger = store.open(("tag:team=search", "month", "0.0000001"))
    await ledger.settle([settlement(await ledger.admit([tagged(70)]), 60)])
    refused = await ledger.admit([tagged(41)])
    assert [one.reason() for one in refused.refusals] == [
        "budget tag:team=search per month: needs up to $0.000000041, $0.00000004 left"
    ]
    for other in ({}, {"team": "searching"}, {"team": "Search"}, {"steam": "search"}):
        assert (await ledger.admit([tagged(USD, other)])).hold_id is not None
    assert (await ledger.admit([tagged(40)])).hold_id is not None
    assert await verify(ledger) == []


async def test_each_value_of_a_tag_has_the_budget_alone(store: Store) -> None:
    ledger = store.open(("tag:team=*", "day", "0.0000001"))
    for team in ("ads", "search", "a=b", "*", "ü ü", "'", "%"):
        assert (await ledger.admit([tagged(100, {"team": team})])).hold_id is not None
        assert (await ledger.admit([tagged(1, {"team": team})])).hold_id is None
    assert (await ledger.admit([tagged(USD, {"env": "live"})])).hold_id is not None
    assert [row.scope for row in await ledger.budgets()] == [
        f"tag:team={team}" for team in ("%", "'", "*", "a=b", "ads", "search", "ü ü")
    ]


async def test_a_budget_of_a_tag_is_set_and_removed_while_programs_run(store: Store) -> None:
    ledger, other = store.open(), store.open()
    assert await ledger.set_budget("tag:team=*", "total", Decimal(0))
    assert (await other.admit([tagged(1)])).hold_id is None
    assert await ledger.set_budget("tag:team=*", "total", None)
    assert (await other.admit([tagged(1)])).hold_id is not None


@pytest.mark.parametrize(
    "scope", ["tag:team", "tag:team=", "tag:=x", "tag:a b=x", "tag:team=a\nb", f"tag:t={'x' * 81}"]
)
async def test_a_scope_that_no_tag_can_have_is_refused(store: Store, scope: str) -> None:
    with pytest.raises(ConfigError, match=r"budget scope: .* tag:KEY=VALUE"):
        await store.open().set_budget(scope, "day", Decimal(1))


async def test_all_that_can_happen_to_an_attempt_moves_the_totals_of_its_tags(store: Store) -> None:
    ledger = store.open(("tag:team=*", "total", "1"))
    answered, failed, late, lost, unsettled = [
        await ledger.admit([tagged(100, lease_s=lease)]) for lease in (600, 600, 1, 1, 600)
    ]
    await ledger.settle([settlement(answered, 40), settlement(failed, 0, status="failed")])
    assert await spent(ledger) == {"search": (5, 1, 40, 300)}
    store.now += timedelta(seconds=2)
    assert await ledger.sweep() == 2
    assert await spent(ledger) == {"search": (5, 3, 240, 100)}
    ledger.settle_soon(settlement(late, 30))
    assert lost.hold_id is not None
    await ledger.reconcile(lost.hold_id, 7)
    await ledger.settle([settlement(unsettled, 0, status="cancelled")])
    assert await spent(ledger) == {"search": (5, 3, 77, 0)}
    assert await spent(ledger, "tag:env") == {"live": (5, 3, 77, 0)}
    assert await verify(ledger) == []


async def test_an_alert_names_the_value_whose_budget_it_is(store: Store) -> None:
    rows = [{"scope": "tag:team=*", "window": "day", "limit_usd": "1", "alert_at": "0.5"}]
    config = RouterConfig.model_validate({"ledger": {"url": store.url}, "budgets": rows})
    ledger = create_ledger(config, clock=lambda: store.now)
    (alert,) = await ledger.settle([settlement(await ledger.admit([tagged(USD)]), USD // 2)])
    assert (alert.scope, alert.spent_nano_usd) == ("tag:team=search", USD // 2)
    ledger.close()


async def test_a_swept_hold_is_counted_by_the_next_admission(store: Store) -> None:
    ledger = store.open(("tag:team=search", "total", "0.0000001"))
    await ledger.admit([tagged(60, lease_s=1)])
    store.now += timedelta(seconds=2)
    assert (await ledger.admit([tagged(41)])).hold_id is None
    assert await spent(ledger) == {"search": (1, 1, 60, 0)}


async def test_a_row_has_its_tags_in_both_places(store: Store) -> None:
    ledger = store.open()
    await ledger.admit([tagged(1)])
    await ledger.admit([hold(1)])
    assert [row["tags"] for row in store.rows()] == ['{"env": "live", "team": "search"}', None]
    (first, _) = [row["id"] for row in store.rows()]
    assert sorted((row["request_id"], row["key"], row["value"]) for row in tag_rows(store)) == [
        (first, "env", "live"),
        (first, "team", "search"),
    ]


def tag_rows(store: Store) -> list[dict[str, Any]]:
    return store.rows("request_tags")


async def test_a_request_without_an_answer_keeps_its_tags(store: Store) -> None:
    ledger = store.open()
    await ledger.settle([], failed_request=failed_request(tags=tags_text(SEARCH)))
    assert [json.loads(row["tags"]) for row in store.rows("unanswered")] == [SEARCH]


async def test_a_report_by_tag_is_dearest_first_with_latencies(store: Store) -> None:
    ledger = store.open()
    for team, cost in (("ads", 5), ("search", 30), ("search", 1), ("web", 9)):
        made = await ledger.admit([tagged(100, {"team": team})])
        await ledger.settle([settlement(made, cost, latency_ms=cost)])
    await ledger.settle([settlement(await ledger.admit([hold(100)]), 100)])
    report = await ledger.report("tag:team", **DAYS, latency=True)
    assert [(row.name, row.spent_nano_usd, row.latency_ms) for row in report] == [
        ("search", 31, (1, 30, 30)),
        ("web", 9, (9, 9, 9)),
        ("ads", 5, (5, 5, 5)),
    ]
    assert await ledger.report("tag:tea", **DAYS, latency=True) == []


@pytest.mark.parametrize("by", ["tag", "tag:", "tag:a b", "tag:a=b", "team", "", "' OR 1 --"])
async def test_a_report_by_nothing_known_is_refused(store: Store, by: str) -> None:
    with pytest.raises(ConfigError, match=r"^by: .* is none of provider, .*, tag:KEY$"):
        await store.open().report(by, **DAYS)


@pytest.mark.parametrize("by", get_args(GroupBy))
async def test_tags_change_no_other_report(store: Store, by: GroupBy) -> None:
    ledger = store.open()
    for tags in (SEARCH, {}):
        made = await ledger.admit([tagged(9, tags, run_id="r")])
        await ledger.settle([settlement(made, 5)])
    assert list((await spent(ledger, by)).values()) == [(2, 0, 10, 0)]


async def test_pruning_drops_the_tags_of_the_rows_that_go(store: Store) -> None:
    ledger = store.open()
    for lease, done in ((600, True), (10**6, False)):
        made = await ledger.admit([tagged(100, lease_s=lease)])
        if done:
            await ledger.settle([settlement(made, 40)])
    store.now += timedelta(days=1)
    today = await ledger.admit([tagged(100)])
    await prune(ledger, store.now.date(), zone=ZoneInfo("UTC"))
    kept = {row["id"] for row in store.rows()}
    assert kept == {made.hold_id, today.hold_id}
    assert {row["request_id"] for row in tag_rows(store)} == kept
    # The total keeps what was pruned, and the hold that stayed can still move it.
    assert await spent(ledger) == {"search": (3, 0, 40, 200)}
    await ledger.settle([settlement(made, 5)])
    assert await spent(ledger) == {"search": (3, 0, 45, 100)}


async def test_verify_finds_a_total_of_a_tag_that_is_not_its_rows(store: Store) -> None:
    ledger = store.open()
    await ledger.settle([settlement(await ledger.admit([tagged(100)]), 40)])
    assert await verify(ledger) == []
    await ledger.transact(
        lambda rows: rows.execute(
            "UPDATE totals SET spent_nano_usd = 41 WHERE scope = 'tag:team=search'"
        )
    )
    (found,) = await verify(ledger)
    assert (found.scope, found.column, found.total, found.rows) == (
        "tag:team=search", "spent_nano_usd", 41, 40,
    )  # fmt: skip
    await ledger.transact(lambda rows: rows.execute("DELETE FROM request_tags WHERE key = 'env'"))
    assert "tag:env=live" in {one.scope for one in await verify(ledger)}


async def test_every_export_has_the_tags(store: Store) -> None:
    ledger = store.open()
    tags = {"team": '=1,"x"', "env": "live"}
    for one in (tagged(1, tags), hold(1)):
        await ledger.settle([settlement(await ledger.admit([one]), 1)])
    found: list[list[Any]] = []
    for kind in ("csv", "focus", "json", "parquet"):
        stream = io.BytesIO()
        await ledger.export(stream, format=kind)
        if kind == "parquet":
            table = pyarrow.parquet.read_table(io.BytesIO(stream.getvalue()))
            found.append(table.column("tags").to_pylist())
            continue
        text = stream.getvalue().decode()
        rows = json.loads(text) if kind == "json" else csv.DictReader(io.StringIO(text, newline=""))
        found.append([row["Tags" if kind == "focus" else "tags"] or None for row in rows])
    text = '{"env": "live", "team": "=1,\\"x\\""}'
    assert found == [[text, None]] * 4


async def test_a_migration_takes_the_tags_along(tmp_path: Path, postgres_url: str) -> None:
    old = empty_store("sqlite", tmp_path)
    new = empty_store("postgres", tmp_path, postgres_url)
    source = old.open()
    await source.settle([settlement(await source.admit([tagged(100)]), 40)])
    waiting = await source.admit([tagged(100, {"team": "ads"})])
    for _ in range(2):
        migrate(
            *(create_store(LedgerSpec(url=place.url)) for place in (old, new)),
            progress=lambda done, rows: None,
        )
    target = new.open()
    late: SettlementRecord = settlement(waiting, 3)
    for ledger in (source, target):
        await ledger.settle([late])
        assert await spent(ledger) == {"search": (1, 0, 40, 0), "ads": (1, 0, 3, 0)}
        assert await verify(ledger) == []
        ledger.close()
    assert tag_rows(old) == tag_rows(new)


ROOM = 60
"""Requests that a team's budget has room for."""


def ask_at_once(url: str, pipe: Connection) -> None:
    async def one(team: str) -> int:
        made = await ledger.admit([tagged(USD // 100, {"team": team, "env": "live"})])
        if made.hold_id is not None:
            await ledger.settle([settlement(made, USD // 100)])
        return int(made.hold_id is not None)

    async def work() -> int:
        return sum(await asyncio.gather(*(one(("ads", "web")[n % 2]) for n in range(50))))

    limit = Decimal(ROOM) / 100
    rows = [{"scope": "tag:team=*", "window": "day", "limit_usd": limit}]
    place = {"url": url, "busy_timeout_s": WAIT_S}
    ledger = create_ledger(RouterConfig.model_validate({"ledger": place, "budgets": rows}))
    pipe.send("ready")
    pipe.recv()
    pipe.send(asyncio.run(work()))
    ledger.close()


async def test_a_crowd_of_processes_never_spends_more_than_a_tags_budget(store: Store) -> None:
    crowd = [start(ask_at_once, store.url) for _ in range(4)]
    assert [heard(pipe) for _, pipe in crowd] == ["ready"] * 4
    for _, pipe in crowd:
        pipe.send("go")
    # A hundred of each team asked.
    assert sum(heard(pipe) for _, pipe in crowd) == 2 * ROOM
    assert [ended(process) for process, _ in crowd] == [0] * 4
    ledger = store.open()
    totals = store.query("SELECT scope, spent_nano_usd, held_nano_usd FROM totals")
    used = {row["scope"]: (row["spent_nano_usd"], row["held_nano_usd"]) for row in totals}
    assert used["tag:team=ads"] == used["tag:team=web"] == (ROOM * USD // 100, 0)
    assert used["tag:env=live"] == (2 * ROOM * USD // 100, 0)
    assert await verify(ledger) == []
