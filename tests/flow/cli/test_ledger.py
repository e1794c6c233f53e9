"""``aegis budgets`` and ``aegis ledger``, run as a user runs them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import Hold
from aegis_graph.ledger.scopes import tags_text
from tests import programs
from tests.contract.ledger_store import Store, connect, empty_store, hold, settlement
from tests.flow.cli.command import MAIN, aegis

BUDGETS = """
[[budgets]]
scope = "provider:cheap"
window = "month"
limit_usd = "1"

[[budgets]]
scope = "user:*"
window = "total"
limit_usd = "5"
"""


def configure(place: Store, folder: Path) -> None:
    text = f'[ledger]\nurl = "{place.url}"\n{BUDGETS}'
    for name in ("cheap", "dear"):
        text += f'\n[[providers]]\nname = "{name}"\nkind = "ollama"\nmodel = "m"\n'
        text += 'location = "local"\nprice = "free"\n'
    (folder / "aegis.toml").write_text(text)


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Runner:
    configure(store, tmp_path)
    return Runner(tmp_path)


class Runner:
    """Runs commands with the configuration of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *arguments: str, status: int = 0, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        places = {"AEGIS_CONFIG": "aegis.toml", "COLUMNS": "120"}
        done = aegis(*arguments, cwd=self.folder, environ=places, fresh=fresh)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self(*arguments, "--json", status=status).stdout)
        return found


def spend(place: Store, *holds: Hold, cost: int | None = None) -> SqlLedger:
    """Make holds, and settle them when a cost is given."""
    ledger = place.open()
    assert isinstance(ledger, SqlLedger)

    async def work() -> None:
        for one in holds:
            made = await ledger.admit([one])
            if cost is not None:
                await ledger.settle([settlement(made, cost)])

    asyncio.run(work())
    return ledger


def test_budgets_show_what_is_spent_held_and_left_and_where_limits_come_from(
    run: Runner, store: Store
) -> None:
    spend(store, hold(100), cost=40)
    found = run.json("budgets")
    assert [(row["scope"], row["window"]) for row in found["budgets"]] == [
        ("provider:cheap", "month"),
        ("user:*", "total"),
        ("user:ada", "total"),
    ]
    assert found["budgets"][2] == {
        "scope": "user:ada",
        "window": "total",
        "limit_usd": "5",
        "raised_usd": "0",
        "spent_usd": "0.00000004",
        "held_usd": "0",
        "left_usd": "4.99999996",
        "until": None,
        "origin": "file",
    }
    run("budgets", "set", "provider:cheap", "month", "2.5")
    table = run("budgets", fresh=True).stdout
    lines = [line.split() for line in table.splitlines()]
    month = next(line for line in lines if line[:1] == ["provider:cheap"])
    total = next(line for line in lines if line[:1] == ["user:ada"])
    assert (month[1:3], month[-1]) == (["month", "2.5"], "set")
    assert total[1:] == ["total", "5", "0.00000004", "0", "4.99999996", "never", "file"]


def test_a_limit_is_set_removed_and_named_as_removed(run: Runner) -> None:
    assert run("budgets", "set", "total", "day", "0.5").stdout == (
        "budget total per day is $0.5 now\n"
    )
    scopes = [(row["scope"], row["origin"]) for row in run.json("budgets")["budgets"]]
    assert scopes == [("provider:cheap", "file"), ("total", "set"), ("user:*", "file")]
    run("budgets", "remove", "total", "day")
    assert run.json("budgets", "remove", "provider:cheap", "month")["changed"] is True
    found = run.json("budgets")
    assert [row["scope"] for row in found["budgets"]] == ["user:*"]
    assert found["removed"] == ["provider:cheap per month"]
    again = run("budgets", "remove", "total", "day")
    assert again.stdout == "there is no budget total per day\n"


def test_budgets_of_tags_are_set_shown_and_removed(run: Runner, store: Store) -> None:
    run("budgets", "set", "tag:team=*", "month", "2")
    run("budgets", "set", "tag:team=ads", "month", "1")
    unused = [(row["scope"], row["limit_usd"]) for row in run.json("budgets")["budgets"]]
    assert ("tag:team=*", "2") in unused
    spend(store, hold(100, tags='{"team": "search"}'), cost=40)
    rows = [row for row in run.json("budgets")["budgets"] if row["scope"].startswith("tag:")]
    assert {(row["scope"], row["limit_usd"], row["spent_usd"]) for row in rows} == {
        ("tag:team=*", "2", "0"),
        ("tag:team=search", "2", "0.00000004"),
        ("tag:team=ads", "1", "0"),
    }
    run("budgets", "remove", "tag:team=*", "month")
    assert run.json("budgets", "remove", "tag:team=ads", "month")["changed"] is True
    says = run("budgets", "set", "tag:team", "day", "1", status=2).stderr
    assert says.startswith("aegis: budget scope: is none; write total, ")
    assert "tag:KEY=VALUE" in says


def test_costs_go_by_the_values_of_a_tag(run: Runner, store: Store) -> None:
    store.now = datetime.now(UTC)
    for team, cost in (("ads", 40), ("=search", 90)):
        spend(store, hold(100, tags=tags_text({"team": team, "env": "live"})), cost=cost)
    spend(store, hold(100), cost=70)
    found = run.json("costs", "--by", "tag:team", "--latency")
    assert [(row["tag:team"], row["cost_usd"]) for row in found["rows"]] == [
        ("=search", "0.00000009"),
        ("ads", "0.00000004"),
    ]
    first, *lines = run("costs", "--by", "tag:team", "--format", "csv").stdout.splitlines()
    assert first.startswith("tag:team,calls,")
    assert [line.split(",")[0] for line in lines] == ["'=search", "ads"]
    table = run("costs", "--by", "tag:team", fresh=True).stdout
    assert "by tag:team" in table
    assert "0.00000013" in table
    assert "Nothing was recorded" in run("costs", "--by", "tag:app").stdout
    says = run("costs", "--by", "team", status=2).stderr
    assert "argument --by: 'team' is none of provider, model" in says


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["budgets", "set", "everybody", "day", "1"], "budget scope"),
        (["budgets", "set", "provider:chaep", "day", "1"], "no provider is named 'chaep'"),
        (["budgets", "set", "total", "year", "1"], "budget window"),
        (["budgets", "set", "total", "day", "much"], "'much' is not an amount in USD"),
        (["budgets", "set", "total", "day", "NaN"], "'NaN' is not an amount"),
        (["budgets", "set", "total", "day", "-1"], "'-1' is not an amount"),
        (["budgets", "set", "total", "day", "1e12"], "'1e12' is not an amount"),
        (["budgets", "remove", "total", "year"], "budget window"),
        (["ledger"], "ACTION"),
        (["ledger", "prune"], "--before"),
        (["ledger", "prune", "--before", "soon"], "'soon' is not a day"),
        (["ledger", "prune", "--before", "2999-01-01"], "in the future"),
        (["ledger", "reconcile", "1"], "ID and USD belong together"),
        (["ledger", "reconcile", "1", "x"], "'x' is not an amount"),
        (["ledger", "migrate"], "name the other ledger"),
        (["ledger", "migrate", "--to", "mysql://me:secret@db/x"], "--to: not an address"),
        (["ledger", "migrate", "--from", "sqlite:///no.db", "--to", "sqlite:///b.db"], "--to: not"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_status_2(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    configure(empty_store("sqlite", tmp_path), tmp_path)
    done = Runner(tmp_path)(*arguments, status=2)
    assert says in done.stderr
    assert "secret" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "no.db").exists()


def test_old_rows_go_and_totals_stay(run: Runner, store: Store) -> None:
    spend(store, hold(100), hold(100), cost=40)
    spend(store, hold(100, lease_s=1e8))
    found = run.json("ledger", "prune", "--before", "2026-11-23")
    assert (found["rows"], found["open_holds"]) == (0, 0)
    assert len(store.rows()) == 3
    done = run("ledger", "verify", fresh=True)
    assert done.stdout == "Every total is the sum of its rows.\n"


def test_verify_ends_with_status_3_when_a_total_differs(run: Runner, store: Store) -> None:
    ledger = spend(store, hold(100), cost=40)
    wrong = "UPDATE totals SET spent_nano_usd = 41 WHERE scope = 'user:ada'"
    asyncio.run(ledger.transact(lambda rows: rows.execute(wrong)))
    assert "user:ada" in run("ledger", "verify", status=3).stdout
    assert run.json("ledger", "verify", status=3) == {
        "equal": False,
        "differences": [
            {
                "scope": "user:ada",
                "day": "2026-11-23",
                "column": "spent_nano_usd",
                "total": 41,
                "rows": 40,
            }
        ],
    }


def test_an_attempt_that_never_reported_is_listed_and_settled(run: Runner, store: Store) -> None:
    assert run("ledger", "reconcile").stdout == "Every attempt has reported what it cost.\n"
    spend(store, hold(1_500_000, route_id="route-of-a-killed-one"))
    [lost] = run.json("ledger", "reconcile")["open_holds"]
    assert (lost["hold_usd"], lost["provider"], lost["model"]) == ("0.0015", "cheap", "m")
    assert lost["route_id"] == "route-of-a-killed-one"
    assert "0.0015" in run("ledger", "reconcile").stdout
    number = str(lost["id"])
    done = run("ledger", "reconcile", number, "0.002")
    assert done.stdout == f"row {number} is settled to $0.002\n"
    assert [row["cost_nano_usd"] for row in store.rows()] == [2_000_000]
    again = run("ledger", "reconcile", number, "0.002", status=3)
    assert again.stderr == f"aegis: row {number} is settled already: its attempt was failed\n"
    run("ledger", "verify")


def test_every_row_is_exported(run: Runner, store: Store) -> None:
    spend(store, hold(100, route_id="exported"), cost=40)
    assert "exported" in run("ledger", "export").stdout


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Store]:
    place = empty_store("sqlite", tmp_path)
    yield place
    for ledger in place.opened:
        ledger.close()


def test_a_ledger_moves_into_postgres(file: Store, postgres_url: str, tmp_path: Path) -> None:
    empty_store("postgres", tmp_path, postgres_url)
    configure(file, tmp_path)
    run = Runner(tmp_path)
    spend(file, hold(100), cost=40)
    first = run("ledger", "migrate", "--to", postgres_url)
    assert first.stdout.startswith("1 rows, $0.00000004 spent and $0 held are there now")
    found = run.json("ledger", "migrate", "--to", postgres_url)
    assert found == {"rows": 1, "spent_usd": "0.00000004", "held_usd": "0"}
    with connect(postgres_url) as connection:
        connection.execute("UPDATE facts SET value = 'another' WHERE name = 'migrated_from'")
    refused = run("ledger", "migrate", "--to", postgres_url, status=3)
    assert "did not come from this ledger" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_the_progress_of_a_migration_is_for_a_terminal_only(
    file: Store, postgres_url: str, tmp_path: Path
) -> None:
    empty_store("postgres", tmp_path, postgres_url)
    configure(file, tmp_path)
    spend(file, hold(100), hold(100), cost=40)
    run = Runner(tmp_path)
    assert run("ledger", "migrate", "--to", postgres_url).stderr == ""

    shown, stdout = on_a_terminal(tmp_path, "ledger", "migrate", "--to", postgres_url, "--json")
    assert "\x1b[" in shown
    last = [line.strip() for line in ESCAPES.sub("", shown).splitlines() if line.strip()][-1]
    assert re.fullmatch(r"rows ━+ 2/2 0:00:00", last)
    assert json.loads(stdout)["rows"] == 2


ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""What moves the cursor and chooses colours."""


def on_a_terminal(folder: Path, *arguments: str) -> tuple[str, str]:
    """What a command says on a terminal, and what goes into a pipe from it."""
    terminal, inside = pty.openpty()
    command = [sys.executable, "-W", "error", "-c", MAIN, *arguments]
    environ = programs.bare(folder, AEGIS_CONFIG="aegis.toml", COLUMNS="80", TERM="xterm")
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=inside, text=True
    ) as process:
        os.close(inside)
        shown = b""
        # A terminal ends with an error when its last program has gone.
        with suppress(OSError):
            while piece := os.read(terminal, 4096):
                shown += piece
        os.close(terminal)
        stdout = process.communicate(timeout=60)[0]
    assert process.returncode == 0, shown
    return shown.decode(), stdout
