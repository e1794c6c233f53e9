"""Metrics are sums of the ledger, exact, and the same after everything that happens to it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette

from aegis_graph import RouterConfig
from aegis_graph.ledger.maintenance import prune
from aegis_graph.pricing.money import usd_text
from aegis_graph.server import create_app
from tests.contract.ledger_store import Store, hold, settlement
from tests.server.apps import client_of, made_key, services

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana" / "aegis.json"


def app_of(store: Store, **more: Any) -> Starlette:
    row = {"kind": "ollama", "model": "m", "location": "local", "price": "free"}
    rows = [{**row, "name": "cheap", "max_concurrency": 3}, {**row, "name": "dear"}]
    config = RouterConfig.model_validate(
        {
            "ledger": {"url": store.url, "timezone": "Europe/Berlin"},
            "providers": rows,
            "budgets": [
                {"scope": "total", "window": "month", "limit_usd": "1"},
                {"scope": "user:*", "window": "day", "limit_usd": "1"},
                {"scope": "user:ada", "window": "day", "limit_usd": "1"},
                {"scope": "tag:team=search", "window": "total", "limit_usd": "2"},
            ],
            "limits": [{"scope": "user:*", "requests_per_minute": 5}],
        }
    )
    return create_app(config, clock=lambda: store.now, environ={}, **more)


@pytest.fixture
async def app(store: Store) -> AsyncIterator[Starlette]:
    made = app_of(store)
    yield made
    services(made).ledger.close()


async def scrape(app: Starlette) -> str:
    async with client_of(app) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def values(text: str) -> dict[str, str]:
    """The lines with a value, as they are written."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


async def spend(app: Starlette, cost: int, **more: Any) -> None:
    names = ("status", "error_type", "cached_input_tokens", "cache_write_tokens", "input_tokens")
    outcome = {name: more.pop(name) for name in names if name in more}
    ledger = services(app).ledger
    made = await ledger.admit([hold(max(cost, 100), **more)])
    await ledger.settle([settlement(made, cost, **outcome)])


async def test_counters_are_the_sums_of_the_ledger(app: Starlette) -> None:
    more = {"input_tokens": 9, "cached_input_tokens": 4, "cache_write_tokens": 3}
    await spend(app, 123_456_789, tags='{"team": "search"}', **more)
    await spend(app, 1, provider="dear", task="answer", status="failed")
    await services(app).ledger.admit([hold(77)])
    found = values(await scrape(app))
    expected = {
        'aegis_provider_cost_usd_total{provider="cheap"}': "0.123456789",
        'aegis_provider_cost_usd_total{provider="dear"}': "0.000000001",
        'aegis_model_cost_usd_total{model="m"}': "0.12345679",
        'aegis_task_attempts_total{task="chat"}': "2",
        'aegis_task_failures_total{task="answer"}': "1",
        'aegis_provider_tokens_total{provider="cheap",kind="fresh_input"}': "2",
        'aegis_provider_tokens_total{provider="cheap",kind="cache_read"}': "4",
        'aegis_provider_tokens_total{provider="cheap",kind="cache_write"}': "3",
        'aegis_provider_tokens_total{provider="cheap",kind="output"}': "3",
        "aegis_open_holds": "1",
        "aegis_held_usd": "0.000000077",
        "aegis_waiting_requests": "0",
        'aegis_limit_most{scope="provider:cheap",unit="max_concurrency"}': "3",
        'aegis_limit_used{scope="provider:cheap",unit="max_concurrency"}': "1",
        'aegis_budget_left_usd{scope="total",window="month"}': "0.876543133",
        'aegis_budget_spent_usd{scope="tag:team=search",window="total"}': "0.123456789",
        # Midnight in Berlin.
        'aegis_budget_end_timestamp_seconds{scope="total",window="month"}': "1796079600",
    }
    assert {name: found.get(name) for name in expected} == expected


async def test_every_amount_agrees_with_the_report(app: Starlette) -> None:
    for number in range(30):
        await spend(app, number**5 + 7, provider=("cheap", "dear")[number % 2])
    found = values(await scrape(app))
    for row in await services(app).ledger.report(
        "provider", first_day="0000-00-00", end_day="9999-99-99"
    ):
        name = f'aegis_provider_cost_usd_total{{provider="{row.name}"}}'
        assert found[name] == usd_text(row.spent_nano_usd)


async def test_a_restart_and_pruning_change_no_counter(app: Starlette, store: Store) -> None:
    await spend(app, 50)
    store.now += timedelta(days=3)
    await spend(app, 60)
    before = await scrape(app)
    ledger = services(app).ledger
    today = store.now.date()
    gone = await prune(ledger, today, zone=ZoneInfo("Europe/Berlin"))
    assert gone.rows == 1
    ledger.close()
    again = app_of(store)
    assert await scrape(again) == before
    services(again).ledger.close()


async def test_failures_by_reason_are_those_of_the_ledger_whatever_became_of_their_rows(
    app: Starlette, store: Store
) -> None:
    for provider, outcome in (
        ("cheap", {"status": "failed", "error_type": "AttemptTimeoutError"}),
        ("cheap", {"status": "failed", "error_type": "AttemptTimeoutError"}),
        ("cheap", {"status": "cancelled"}),
        ("dear", {"status": "failed", "error_type": "RejectedAnswerError"}),
        ("dear", {}),
    ):
        await spend(app, 5, provider=provider, **outcome)
        store.now += timedelta(hours=7)
    ledger = services(app).ledger
    await ledger.admit([hold(5, lease_s=1.0)])
    store.now += timedelta(days=1)
    await ledger.sweep()
    name = "aegis_provider_failures_by_reason_total"
    expected = {
        f'{name}{{provider="cheap",reason="AttemptTimeoutError"}}': "2",
        f'{name}{{provider="cheap",reason="cancelled"}}': "1",
        f'{name}{{provider="cheap",reason="expired"}}': "1",
        f'{name}{{provider="dear",reason="RejectedAnswerError"}}': "1",
    }
    for days in (1, 0):
        # Some are counted from rows, others from what is kept of them; the second time all are.
        await prune(ledger, store.now.date() - timedelta(days=days), zone=ZoneInfo("Europe/Berlin"))
        found = values(await scrape(app))
        assert {key: value for key, value in found.items() if key.startswith(name)} == expected
        for provider in ("cheap", "dear"):
            reasons = [int(value) for key, value in expected.items() if f'"{provider}"' in key]
            assert found[f'aegis_provider_failures_total{{provider="{provider}"}}'] == str(
                sum(reasons)
            )


async def test_no_user_and_nothing_that_callers_make_up_is_a_label(app: Starlette) -> None:
    for number in range(50):
        await spend(
            app,
            5,
            user=f"person-{number}",
            task=f"made-up-{number}",
            run_id=f"run-{number}",
            tags=json.dumps({"team": f"t{number}"}),
        )
    await spend(app, 5, user="ada")
    text = await scrape(app)
    for word in ("person", "ada", "made-up", "run-", "t1"):
        assert word not in text
    assert values(text)['aegis_task_attempts_total{task="other"}'] == "50"
    assert len(text.splitlines()) < 110


async def test_hostile_names_stay_in_their_labels(app: Starlette) -> None:
    name = 'a"} 1\nevil{b="\\'
    await spend(app, 5, provider=name)
    families = {one.name: one for one in text_string_to_metric_families(await scrape(app))}
    costs = families["aegis_provider_cost_usd"].samples
    assert [one.labels["provider"] for one in costs] == [name]
    assert "evil" not in families


async def test_an_empty_ledger_has_metrics(app: Starlette, store: Store) -> None:
    families = [*text_string_to_metric_families(await scrape(app))]
    assert all(one.documentation and one.type in ("counter", "gauge") for one in families)
    assert values(await scrape(app))["aegis_open_holds"] == "0"
    assert not (store.folder / "costs.db").exists()


async def test_another_machine_needs_a_key_that_reads(app: Starlette) -> None:
    async with client_of(app, address="203.0.113.9") as client:
        assert (await client.get("/metrics")).status_code == 401
    for role, status in (("call", 403), ("read", 200)):
        key = await made_key(app, role, role="read" if role == "read" else "call")
        async with client_of(app, authorization=f"Bearer {key}") as client:
            assert (await client.get("/metrics")).status_code == status


async def test_the_dashboard_asks_for_metrics_that_exist(app: Starlette) -> None:
    await spend(app, 5, tags='{"team": "search"}')
    await spend(app, 5, status="failed")
    text = await scrape(app)
    there = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    labels = set(re.findall(r'[{,](\w+)="', text))
    panels = json.loads(GRAFANA.read_text(encoding="utf-8"))["panels"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    assert set(re.findall(r"\baegis_\w+", " ".join(asked))) <= there
    grouped = {
        name.strip()
        for names in re.findall(r"by \(([^)]*)\)", " ".join(asked))
        for name in names.split(",")
    }
    legends = " ".join(target["legendFormat"] for panel in panels for target in panel["targets"])
    assert grouped | set(re.findall(r"{{(\w+)}}", legends)) <= labels
    assert Decimal(values(text)['aegis_budget_limit_usd{scope="total",window="month"}']) == 1
