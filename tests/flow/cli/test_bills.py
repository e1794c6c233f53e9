"""``aegis ledger reconcile --bill``: bills made by hand in each form, beside a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.ledger import maintenance
from tests.contract.ledger_store import Store, hold, settlement
from tests.flow.cli.test_ledger import Runner, configure

BILLS = Path(__file__).parent / "bills"
USD = 10**9


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Runner:
    configure(store, tmp_path)
    return Runner(tmp_path)


Call = tuple[str, str, str, int, dict[str, Any]]
"""When it was admitted, its provider, its model, what it cost, and how it was settled."""


def book(place: Store, calls: Sequence[Call]) -> None:
    """Put calls into the ledger."""

    async def work() -> None:
        ledger = place.open()
        for moment, provider, model, nano_usd, facts in calls:
            place.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
            made = hold(nano_usd, provider=provider, model=model, user="ada")
            await ledger.settle([settlement(await ledger.admit([made]), nano_usd, **facts)])

    asyncio.run(work())


HELD: dict[str, Any] = {"status": "cancelled", "cost_basis": "held"}


def test_openais_costs_are_compared(store: Store, run: Runner) -> None:
    book(
        store,
        [
            ("2026-11-23T12:00", "openai", "gpt-4o", USD, {"served_model": "gpt-4o-2024-08-06"}),
            ("2026-11-23T13:00", "openai", "gpt-4o", USD // 2, HELD),
        ],
    )
    found = run.json("ledger", "reconcile", "--bill", str(BILLS / "openai_costs.json"))
    search, answers = found["groups"]
    assert (search["model"], search["causes"]) == ("Web search tool calls", {"not_ours": "0.06"})
    assert (answers["bill_usd"], answers["ledger_usd"]) == ("1.2000000012", "1.5")
    assert answers["causes"] == {"held": "-0.2999999988"}
    assert found["difference_usd"] == "-0.2399999988"
    assert found["causes"]["held"] == "-0.2999999988"
    # What was billed is rounded up: no correction counts less as spent.
    [row] = found["held_rows"]
    assert (row["was_nano_usd"], row["nano_usd"]) == (USD // 2, 200_000_002)
    assert found["corrected"] == 0
    assert store.rows("corrections") == []


def test_held_rows_are_corrected_when_that_is_confirmed(store: Store, run: Runner) -> None:
    book(
        store,
        [
            ("2026-11-23T12:00", "openai", "gpt-4o", USD, {}),
            ("2026-11-23T13:00", "openai", "gpt-4o", USD // 5, HELD),
            ("2026-11-23T14:00", "openai", "gpt-4o", USD * 3 // 10, HELD),
        ],
    )
    command = ["ledger", "reconcile", "--bill", str(BILLS / "openai_costs.json"), "--apply"]
    refused = run(*command, status=2)
    assert "confirm it with --yes" in refused.stderr
    assert store.rows("corrections") == []
    done = run(*command, "--yes")
    assert "2 of 2 held rows are corrected." in done.stdout
    rows = store.rows()
    assert [row["cost_nano_usd"] for row in rows] == [USD, 80_000_000, 120_000_002]
    assert {row["source"] for row in store.rows("corrections")} == {"bill openai_costs.json"}
    assert asyncio.run(maintenance.verify(store.open())) == []
    again = run.json(*command, "--yes")
    assert (again["held_rows"], again["corrected"]) == ([], 0)
    assert again["causes"]["held"] == "0"


def test_alibabas_focus_is_compared_by_its_own_days(store: Store, run: Runner) -> None:
    tokens = {"input_tokens": 100_000, "output_tokens": 10_000}
    book(
        store,
        [
            # In Hangzhou it is the 23rd already.
            ("2026-11-22T18:00", "dashscope", "qwen-plus", 52_000_000, tokens),
            # And here the 24th.
            ("2026-11-23T17:00", "dashscope", "qwen-plus", 9_000_000, tokens),
        ],
    )
    found = run.json("ledger", "reconcile", "--bill", str(BILLS / "alibaba_focus.csv"))
    tax, answers = found["groups"]
    assert (tax["day"], tax["model"], tax["causes"]) == (
        "2026-11-23",
        "(tax)",
        {"not_ours": "0.005"},
    )
    assert (answers["day"], answers["causes"], answers["inferred"]) == ("2026-11-23", {}, False)


def test_a_plain_csv_is_compared_and_shown_as_a_table(store: Store, run: Runner) -> None:
    book(
        store,
        [
            *[("2026-11-23T12:00", "openai", "gpt-4o", USD * 4 // 10, {})] * 3,
            *[("2026-11-24T12:00", "openai", "gpt-4o", USD // 10, {})] * 4,
        ],
    )
    done = run("ledger", "reconcile", "--bill", str(BILLS / "plain.csv"))
    assert "equal" in done.stdout
    assert "price drift +0.4" in done.stdout
    assert "~" not in done.stdout


def test_a_provider_that_has_another_name_is_named(store: Store, run: Runner) -> None:
    book(store, [("2026-11-23T12:00", "azure", "gpt-4o", USD, {})])
    command = ["ledger", "reconcile", "--bill", str(BILLS / "openai_costs.json")]
    refused = run(*command, status=2)
    assert "has no calls of openai in that time, only of azure; --provider names" in refused.stderr
    found = run.json(*command, "--provider", "azure")
    assert found["ledger_usd"] == "1"


def test_our_own_focus_export_is_a_bill_without_a_difference(
    store: Store, run: Runner, tmp_path: Path
) -> None:
    book(
        store,
        [
            ("2026-11-23T12:00", "cheap", "m", 123_456_789, {}),
            ("2026-11-24T23:59", "dear", "m", 1, {}),
        ],
    )
    for version in ("1.2", "1.4"):
        run(
            "ledger", "export", "--format", "focus", "--focus-version", version, "--output", "b.csv"
        )
        found = run.json("ledger", "reconcile", "--bill", "b.csv")
        assert found["difference_usd"] == "0"
        assert len(found["groups"]) == 2


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("b.csv", "a,b\n1,2\n", "neither OpenAI's costs as JSON, nor FOCUS"),
        ("b.csv", "day,provider,model,usd\n2026-11-23,p,m,many\n", "line 2: usd: 'many' is no"),
        ("b.csv", "day,provider,model,usd\n2026-11-23,p,m,1e99\n", "line 2: usd: '1e99' is no"),
        ("b.csv", "day,provider,model,usd\n2026-11-23,p,m,NaN\n", "line 2: usd: 'NaN' is no"),
        ("b.csv", f"day,provider,model,usd\n2026-11-23,p,{'m' * 200_000},1\n", "field larger"),
        ("b.csv", "day,provider,model,usd\n23.11.,p,m,1\n", "line 2: day: '23.11.' is not a day"),
        ("b.csv", "day,provider,model,usd\n2026-11-23,,m,1\n", "line 2: provider: empty"),
        ("b.csv", "day,provider,model,usd\n", "has no amount in it"),
        ("b.json", "{", "line 1: not valid JSON"),
        ("b.json", '{"data": 1}', "no page of OpenAI's costs: it has no list 'data'"),
        ("b.json", '{"data": [{}]}', "data[0]: not a bucket of costs"),
        ("b.json", '{"data": [], "has_more": true}', "add the pages that follow"),
        (
            "b.csv",
            "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ProviderName,SkuId\n"
            "2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,1,USD,p,m\n",
            "line 2: is for 2026-11-01 00:00 to 2026-12-01 00:00: export the bill by day",
        ),
        (
            "b.csv",
            "ChargePeriodStart,ChargePeriodEnd,BilledCost,BillingCurrency,ProviderName,SkuId\n"
            "2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,1,CNY,p,m\n",
            "line 2: BillingCurrency: CNY; only USD can be compared",
        ),
    ],
)
def test_what_is_no_bill_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    (tmp_path / "aegis.toml").write_text('[ledger]\nurl = "sqlite:///costs.db"\n')
    (tmp_path / name).write_text(text)
    refused = Runner(tmp_path)("ledger", "reconcile", "--bill", name, status=2)
    assert problem in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_zone_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "aegis.toml").write_text('[ledger]\nurl = "sqlite:///costs.db"\n')
    command = ["ledger", "reconcile", "--bill", str(BILLS / "plain.csv"), "--timezone", "Mars/X"]
    assert "there is no zone 'Mars/X'" in Runner(tmp_path)(*command, status=2).stderr
