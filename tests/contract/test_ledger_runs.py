"""A run's envelope: all requests of one run together stay below the limit that they carry."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from datetime import timedelta
from multiprocessing.connection import Connection
from zoneinfo import ZoneInfo

import pytest

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.maintenance import prune, verify
from aegis_graph.ledger.records import Hold
from tests.contract.ledger_store import DAYS, USD, Store, full_budget, hold, settlement
from tests.contract.processes import WAIT_S, ended, heard, start


def step(nano_usd: int, limit: int | None = 100, *, run: str = "r", **more: str) -> Hold:
    return hold(nano_usd, run_id=run, run_limit_nano_usd=limit, **more)


def opened(store: Store, *budgets: tuple[str, str, str]) -> SqlLedger:
    ledger = store.open(*budgets)
    assert isinstance(ledger, SqlLedger)
    return ledger


async def used(ledger: SqlLedger, run: str = "r") -> tuple[int, int]:
    rows = await ledger.run_cost(run)
    return sum(row.spent_nano_usd for row in rows), sum(row.held_nano_usd for row in rows)


async def test_fifty_concurrent_requests_share_an_envelope_to_the_nano_dollar(store: Store) -> None:
    ledgers = [opened(store, ("total", "month", "1")) for _ in range(3)]
    made = await asyncio.gather(*(ledgers[n % 3].admit([step(8)]) for n in range(50)))
    assert sum(one.hold_id is not None for one in made) == 12
    assert await used(ledgers[0]) == (0, 96)
    refused = next(one for one in made if one.hold_id is None)
    (refusal,) = refused.refusals
    assert full_budget(refused).scope == "run:r"
    assert refusal.reason() == (
        "budget run:r per total: needs up to $0.000000008, $0.000000004 left"
    )
    assert (await ledgers[1].admit([step(4)])).hold_id is not None
    assert (await ledgers[2].admit([step(1)])).hold_id is None


def ask_at_once(url: str, pipe: Connection) -> None:
    async def one() -> int:
        made = await ledger.admit([step(USD // 100, USD // 5)])
        if made.hold_id is not None:
            await ledger.settle([settlement(made, USD // 100)])
        return int(made.hold_id is not None)

    async def work() -> int:
        return sum(await asyncio.gather(*(one() for _ in range(25))))

    config = RouterConfig.model_validate({"ledger": {"url": url, "busy_timeout_s": WAIT_S}})
    ledger = create_ledger(config)
    pipe.send("ready")
    pipe.recv()
    pipe.send(asyncio.run(work()))
    ledger.close()


async def test_the_processes_of_a_run_share_its_envelope(store: Store) -> None:
    crowd = [start(ask_at_once, store.url) for _ in range(4)]
    assert [heard(pipe) for _, pipe in crowd] == ["ready"] * 4
    for _, pipe in crowd:
        pipe.send("go")
    assert sum(heard(pipe) for _, pipe in crowd) == 20
    assert [ended(process) for process, _ in crowd] == [0] * 4
    assert await used(opened(store)) == (USD // 5, 0)


async def test_an_envelope_is_one_more_budget_and_all_must_admit(store: Store) -> None:
    ledger = opened(store, ("total", "month", "0.00000005"))
    assert full_budget(await ledger.admit([step(60)])).scope == "total"
    assert full_budget(await ledger.admit([step(40, 30)])).scope == "run:r"
    assert store.rows() == []
    assert (await ledger.admit([step(30, 30)])).hold_id is not None
    assert (await ledger.admit([hold(20)])).hold_id is not None
    assert full_budget(await ledger.admit([step(1, run="other")])).scope == "total"


async def test_a_cheaper_provider_may_fit_where_the_first_does_not(store: Store) -> None:
    ledger = opened(store)
    made = await ledger.admit([step(101, provider="dear"), step(100)])
    assert (made.index, [refusal.provider for refusal in made.refusals]) == (1, ["dear"])


async def test_each_request_is_held_to_the_limit_that_it_carries(store: Store) -> None:
    ledger = opened(store)
    assert (await ledger.admit([step(90)])).hold_id is not None
    assert (await ledger.admit([step(1, 90)])).hold_id is None
    assert (await ledger.admit([step(20, 110)])).hold_id is not None
    assert (await ledger.admit([step(1, None)])).hold_id is not None
    assert await used(ledger) == (0, 111)


async def test_an_envelope_of_zero_pays_for_nothing_and_lets_free_calls_pass(store: Store) -> None:
    ledger = opened(store)
    assert (await ledger.admit([step(1, 0)])).hold_id is None
    assert (await ledger.admit([step(0, 0)])).hold_id is not None


async def test_what_was_not_spent_is_there_for_the_next_step(store: Store) -> None:
    ledger = opened(store)
    first = await ledger.admit([step(100)])
    assert (await ledger.admit([step(1)])).hold_id is None
    second = await ledger.admit([step(60)], settle=[settlement(first, 40)])
    assert second.hold_id is not None
    assert await used(ledger) == (40, 60)


async def test_a_step_that_never_reported_stays_spent_until_it_does(store: Store) -> None:
    ledger = opened(store)
    lost = await ledger.admit([step(70)])
    store.now += timedelta(days=40)  # An envelope has no window that could end.
    assert (await ledger.admit([step(31)])).hold_id is None
    assert await used(ledger) == (70, 0)
    await ledger.settle([settlement(lost, 10)])
    assert (await ledger.admit([step(90)])).hold_id is not None
    assert await verify(ledger) == []


async def test_a_run_is_reported_by_name_and_by_step(store: Store) -> None:
    ledger = opened(store)
    for task, cost, status in (("decompose", 5, "answered"), ("answer", 30, "failed")):
        made = await ledger.admit([hold(50, task=task, run_id="r")])
        await ledger.settle([settlement(made, cost, status=status)])
    await ledger.admit([hold(9, task="answer", run_id="r")])
    await ledger.settle([settlement(await ledger.admit([hold(50, run_id="cheaper")]), 1)])
    await ledger.settle([settlement(await ledger.admit([hold(50)]), 40)])
    steps = [
        (row.name, row.calls, row.failures, row.spent_nano_usd, row.held_nano_usd)
        for row in await ledger.run_cost("r")
    ]
    assert steps == [("answer", 2, 1, 30, 9), ("decompose", 1, 0, 5, 0)]
    runs = await ledger.report("run", latency=True, **DAYS)
    assert [(row.name, row.calls, row.spent_nano_usd) for row in runs] == [
        ("r", 3, 35),
        ("cheaper", 1, 1),
    ]
    assert [row.latency_ms and row.latency_ms.p50 for row in runs] == [5, 5]
    assert await ledger.run_cost("unknown") == []


async def test_totals_of_runs_are_verified_and_survive_pruning(store: Store) -> None:
    ledger = opened(store)
    for run in ("r", None):
        made = await ledger.admit([hold(50, run_id=run)])
        await ledger.settle([settlement(made, 40)])
    assert await verify(ledger) == []
    await ledger.transact(
        lambda rows: rows.execute("UPDATE totals SET spent_nano_usd = 1 WHERE scope = 'run:r'")
    )
    assert [(row.scope, row.total, row.rows) for row in await verify(ledger)] == [("run:r", 1, 40)]
    store.now += timedelta(days=1)
    await prune(ledger, store.now.date(), zone=ZoneInfo("UTC"))
    (row,) = await ledger.report("run", **DAYS)
    assert (row.name, row.spent_nano_usd) == ("r", 1)
    assert (await ledger.admit([step(100)])).hold_id is None


async def test_an_export_names_the_run_and_no_spreadsheet_runs_it(store: Store) -> None:
    ledger = opened(store)
    await ledger.settle([settlement(await ledger.admit([hold(1, run_id="=r")]), 1)])
    lines = {}
    for kind in ("csv", "focus", "jsonl"):
        stream = io.BytesIO()
        await ledger.export(stream, format=kind)
        lines[kind] = stream.getvalue().decode()
    for kind in ("csv", "focus"):
        (row,) = csv.DictReader(io.StringIO(lines[kind]))
        assert row["run_id" if kind == "csv" else "x_Run_Id"] == "'=r"
    assert '"run_id": "=r"' in lines["jsonl"]


async def test_rows_of_other_runs_do_not_count(store: Store) -> None:
    ledger = opened(store)
    names = ("r", "r2", "R", "r:", "%", "r%")
    made = [await ledger.admit([step(100, run=name)]) for name in names]
    assert Counter(one.hold_id is not None for one in made) == {True: len(names)}


async def test_a_limit_beyond_64_bits_is_an_error_of_its_caller_alone(store: Store) -> None:
    ledger = opened(store)
    with pytest.raises(LedgerError):
        await ledger.admit([step(2**63, 2**64)])
    assert (await ledger.admit([step(1)])).hold_id is not None
