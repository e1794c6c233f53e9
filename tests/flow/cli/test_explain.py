"""``aegis explain`` and ``aegis costs --savings``: plans and comparisons, which buy nothing."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph import RouterConfig, create_ledger, create_router
from aegis_graph.clock import utc_now
from aegis_graph.routing.explain import explain
from tests.contract.ledger_store import hold, settlement
from tests.flow.cli.command import aegis

FILE = """
[ledger]
url = "sqlite:///costs.db"

[routing]
order = "price"
baseline = "dear"

[[providers]]
name = "dear"
kind = "openai"
model = "dear-1"
base_url = "http://localhost:9/v1"
location = "cloud"
price = { input_usd_per_mtok = "10", output_usd_per_mtok = "20" }

[[providers]]
name = "cheap"
kind = "openai"
model = "cheap-1"
base_url = "http://localhost:9/v1"
location = "cloud"
price = { input_usd_per_mtok = "1", output_usd_per_mtok = "2" }

[[providers]]
name = "here"
kind = "ollama"
model = "h"
location = "local"
price = "free"
tasks = ["vision"]

[[budgets]]
scope = "provider:cheap"
window = "month"
limit_usd = "LIMIT"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "aegis.toml").write_text(FILE.replace("LIMIT", "5"))
    return tmp_path


def explained(folder: Path, *arguments: str) -> Any:
    done = aegis("explain", "--config", "aegis.toml", "--json", *arguments, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def fill(folder: Path) -> None:
    """Two answers by the cheap provider, of which each spent 3 micro-dollars, and a failure."""
    ledger = create_ledger(RouterConfig.load(folder / "aegis.toml", environ={}))

    async def work() -> None:
        counts = {"input_tokens": 1000, "output_tokens": 500}
        for more in (counts, counts, {"status": "failed"}):
            made = await ledger.admit([hold(9000, provider="cheap", model="cheap-1")])
            await ledger.settle([settlement(made, 3000, **more)])

    asyncio.run(work())
    ledger.close()


def test_a_plan_is_shown_with_its_numbers_and_nothing_is_asked(folder: Path) -> None:
    plan = explained(folder, "Why?", "--task", "answer")
    assert [one["provider"] for one in plan["candidates"]] == ["cheap", "dear"]
    first = plan["candidates"][0]
    assert first["reason"].startswith("expected $0.00062; dear $0.0062")
    assert (first["expected_usd"], first["expected_output_tokens"]) == ("0.000621", 300)
    assert float(first["most_usd"]) > float(first["expected_usd"])
    assert [(one["provider"], one["code"]) for one in plan["skipped"]] == [("here", "task")]
    (budget,) = plan["budgets"]
    assert (budget["scope"], budget["left_usd"]) == ("provider:cheap", "5")
    assert not (folder / "costs.db").exists()


def test_an_order_of_its_own_and_a_full_budget_are_explained(folder: Path) -> None:
    listed = explained(folder, "Why?", "--order", "listed")
    assert [one["reason"] for one in listed["candidates"]] == [
        "cloud, candidate 1",
        "cloud, candidate 2",
    ]
    (folder / "aegis.toml").write_text(FILE.replace("LIMIT", "0"))
    full = explained(folder, "Why?")
    assert [one["provider"] for one in full["candidates"]] == ["dear"]
    reason = next(one["reason"] for one in full["skipped"] if one["provider"] == "cheap")
    assert reason.startswith("budget provider:cheap per month: needs up to $")
    private = explained(folder, "Why?", "--sensitivity", "pii")
    assert private["candidates"] == []


def test_a_model_that_is_chosen_is_the_only_candidate(folder: Path) -> None:
    plan = explained(folder, "Why?", "--model", "dear-1")
    assert [one["provider"] for one in plan["candidates"]] == ["dear"]
    assert "cheap" in [one["provider"] for one in plan["skipped"]]


def test_a_plan_goes_by_what_the_ledger_knows(folder: Path) -> None:
    fill(folder)
    plan = explained(folder, "Why?", "--task", "chat")
    assert plan["candidates"][0]["expected_output_tokens"] in (499, 500)


def test_a_person_reads_a_table_and_what_is_left(folder: Path) -> None:
    done = aegis("explain", "--config", "aegis.toml", "Why?", cwd=folder)
    assert done.returncode == 0
    assert "Asked in this order (price), each if the one before it fails" in done.stdout
    assert "expected $0.00062; dear $0.0062" in done.stdout
    assert "not asked  serves vision only, not chat" in done.stdout
    assert "provider:cheap per month: $5 left of $5" in done.stdout


def test_savings_are_what_the_same_tokens_cost_at_the_baseline(folder: Path) -> None:
    fill(folder)
    command = ("costs", "--config", "aegis.toml", "--savings")
    done = aegis(*command, "--json", cwd=folder)
    (row,) = json.loads(done.stdout)["rows"]
    # Two answers of 1,000 and 500 tokens at 10 and 20 dollars; all three attempts cost.
    assert (row["provider"], row["baseline_usd"]) == ("cheap", "0.04")
    assert (row["cost_usd"], row["saved_usd"]) == ("0.000009", "0.039991")
    table = aegis(*command, cwd=folder).stdout
    assert "at dear USD" in table
    assert "0.039991" in table
    month = aegis(*command, "--by", "month", "--format", "csv", cwd=folder)
    (line,) = csv.DictReader(io.StringIO(month.stdout))
    assert (line["month"], line["saved_usd"]) == (f"{utc_now():%Y-%m}", "0.039991")
    plain = aegis("costs", "--config", "aegis.toml", "--json", cwd=folder)
    assert "saved_usd" not in plain.stdout


def test_savings_need_a_baseline(folder: Path) -> None:
    text = FILE.replace('baseline = "dear"', "").replace("LIMIT", "5")
    (folder / "aegis.toml").write_text(text)
    done = aegis("costs", "--config", "aegis.toml", "--savings", cwd=folder)
    assert done.returncode == 2
    assert 'write baseline = "NAME" under [routing]' in done.stderr


def test_the_check_of_the_task_is_named(folder: Path) -> None:
    file = folder / "aegis.toml"
    file.write_text(file.read_text() + '\n[accept]\nanswer = "citations"\n')
    assert explained(folder, "Why?", "--task", "answer")["accept"] == "citations"
    assert explained(folder, "Why?", "--task", "chat")["accept"] is None
    done = aegis("explain", "--config", "aegis.toml", "Why?", "--task", "answer", cwd=folder)
    assert "An answer must pass citations, else the next one is asked." in done.stdout


LIMITED = """
[[limits]]
scope = "user:*"
requests_per_day = 3
"""


def test_a_full_limit_is_waited_for_or_passed_over_as_the_row_says(folder: Path) -> None:
    one_slot = 'name = "cheap"\nmax_concurrency = 1\n'
    waits = FILE.replace('name = "cheap"\n', f"{one_slot}queue_s = 20\n").replace("LIMIT", "5")
    (folder / "aegis.toml").write_text(waits)
    take_slot(folder)
    first, _ = explained(folder, "Why?")["candidates"]
    assert first["provider"] == "cheap"
    assert first["reason"].endswith("; waited for up to 20 s: 1 of 1 slots busy")
    (folder / "aegis.toml").write_text(waits.replace("queue_s = 20", "queue_s = 0"))
    plan = explained(folder, "Why?")
    assert [one["provider"] for one in plan["candidates"]] == ["dear"]
    assert ("cheap", "limit", "1 of 1 slots busy") in [
        (one["provider"], one["code"], one["reason"]) for one in plan["skipped"]
    ]


def test_a_day_that_is_used_up_is_said_of_the_one_user(folder: Path) -> None:
    (folder / "aegis.toml").write_text(FILE.replace("LIMIT", "5") + LIMITED)
    fill(folder)
    plan = explained(folder, "Why?", "--user", "ada")
    reasons = {one["reason"] for one in plan["skipped"] if one["code"] == "limit"}
    assert plan["candidates"] == []
    assert reasons == {"limit user:ada (user:*): 3 of 3 requests today"}
    assert len(explained(folder, "Why?", "--user", "bob")["candidates"]) == 2


def take_slot(folder: Path) -> None:
    """A call of another program, which is under way."""
    ledger = create_ledger(RouterConfig.load(folder / "aegis.toml", environ={}))
    asyncio.run(ledger.admit([hold(9000, provider="cheap", model="cheap-1")]))
    ledger.close()


async def test_a_policy_of_the_application_is_asked(folder: Path) -> None:
    config = RouterConfig.load(folder / "aegis.toml", environ={})
    ledger = create_ledger(config)
    router = create_router(config, ledger=ledger, policy=lambda found, *_: found[1:])
    plan = await explain(router, ledger, {"messages": [HumanMessage("Why?")]})
    assert [one.provider for one in plan.candidates] == ["dear"]
    assert ("cheap", "policy") in [(one["provider"], one["code"]) for one in plan.skipped]
