"""Reports and exports of the command line, run as a user runs them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from tests import programs
from tests.contract.ledger_store import Store, empty_store, hold, settlement

COSTS = "import sys; from aegis_graph.cli import main; sys.exit(main(['costs', *sys.argv[1:]]))"
EXPORT = """
import argparse, sys
from pathlib import Path
from aegis_graph.errors import AegisError
from aegis_graph.cli.arguments import add_export
from aegis_graph.cli.export import export
parser = argparse.ArgumentParser()
parser.add_argument("--config", type=Path)
add_export(parser)
try:
    sys.exit(export(parser.parse_args()))
except AegisError as error:
    sys.exit(f"aegis: {error}")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger with two calls in November and one in December."""
    store = empty_store("sqlite", tmp_path)
    asyncio.run(fill(store))
    (tmp_path / "aegis.toml").write_text(f'[ledger]\nurl = "{store.url}"\ntimezone = "UTC"\n')
    return tmp_path


async def fill(store: Store) -> None:
    ledger = store.open()
    for provider, month, latency_ms in [("cheap", 11, 10), ("=dear", 11, 30), ("cheap", 12, 20)]:
        store.now = store.now.replace(month=month)
        admission = await ledger.admit([hold(2 * 10**9, provider=provider, run_id="r")])
        await ledger.settle([settlement(admission, 1_500_000_000, latency_ms=latency_ms)])
    ledger.close()


def run(program: str, *arguments: str, cwd: Path, fresh: bool = False) -> CompletedProcess[bytes]:
    return programs.run(program, "--config", "aegis.toml", *arguments, cwd=cwd, fresh=fresh)


def table_of(done: CompletedProcess[bytes]) -> list[dict[str, str]]:
    assert (done.returncode, done.stderr) == (0, b"")
    return list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))


def test_costs_as_csv_are_safe_for_spreadsheets(folder: Path) -> None:
    rows = table_of(run(COSTS, "--month", "2026-11", "--format", "csv", cwd=folder, fresh=True))
    assert [row["provider"] for row in rows] == ["'=dear", "cheap"]
    sums = {"calls": "1", "failures": "0", "input_tokens": "7", "output_tokens": "3"}
    assert rows[1] == {"provider": "cheap", **sums, "cost_usd": "1.5", "held_usd": "0"}


def test_months_beside_each_other_are_all_of_them(folder: Path) -> None:
    rows = table_of(run(COSTS, "--by", "month", "--format", "csv", cwd=folder))
    assert [(row["month"], row["cost_usd"]) for row in rows] == [
        ("2026-11", "3"),
        ("2026-12", "1.5"),
    ]
    found = json.loads(run(COSTS, "--by", "month", "--json", cwd=folder).stdout)
    assert found["month"] is None
    assert [row["month"] for row in found["rows"]] == ["2026-11", "2026-12"]
    one = run(COSTS, "--by", "month", "--month", "2026-12", "--format", "json", cwd=folder)
    assert [row["month"] for row in json.loads(one.stdout)["rows"]] == ["2026-12"]


@pytest.mark.parametrize("by", ["provider", "model", "task", "user", "day", "month", "run"])
def test_latencies_are_shown_when_asked_for(folder: Path, by: str) -> None:
    asked = ("--by", by, "--month", "2026-11", "--latency")
    rows = table_of(run(COSTS, *asked, "--format", "csv", cwd=folder))
    assert {rows[0][f"latency_{name}_ms"] for name in ("p95", "p99")} == {"30"}
    shown = run(COSTS, *asked, cwd=folder).stdout.decode()
    assert "p95 ms" in shown
    assert "p95" not in run(COSTS, *asked[:-1], cwd=folder).stdout.decode()


def test_an_export_goes_to_a_pipe_or_to_a_whole_file(folder: Path) -> None:
    rows = table_of(run(EXPORT, cwd=folder, fresh=True))
    assert [row["provider"] for row in rows] == ["cheap", "'=dear", "cheap"]
    chosen = ("--since", "2026-11-01", "--until", "2026-12-01", "--provider", "cheap")
    done = run(EXPORT, "--format", "jsonl", "--output", "out.jsonl", *chosen, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (row,) = map(json.loads, (folder / "out.jsonl").read_text().splitlines())
    assert (row["day"], row["provider"], row["cost_usd"]) == ("2026-11-23", "cheap", "1.5")
    assert not list(folder.glob(".*"))


def test_parquet_goes_through_a_pipe_too(folder: Path) -> None:
    done = run(EXPORT, "--format", "parquet", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert pyarrow.parquet.read_table(io.BytesIO(done.stdout)).num_rows == 3


def test_a_failed_export_leaves_the_file_as_it_was(folder: Path) -> None:
    (folder / "out.csv").write_text("before")
    (folder / "costs.db").write_text("this is not a database, but it is long enough to be read")
    done = run(EXPORT, "--output", "out.csv", cwd=folder)
    assert done.returncode == 1
    assert b"is not a SQLite database" in done.stderr
    assert (folder / "out.csv").read_text() == "before"
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "soon"], "--since: 'soon' is not a day like 2026-11-01"),
        (["--until", "2026-02-30"], "--until: '2026-02-30' is not a day"),
        (["--output", "nowhere/out.csv"], "--output nowhere/out.csv: No such file or directory"),
    ],
)
def test_wrong_use_of_export_is_one_clear_line(
    folder: Path, arguments: list[str], says: str
) -> None:
    done = run(EXPORT, *arguments, cwd=folder)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.decode().startswith(f"aegis: {says}")
    assert done.stderr.count(b"\n") == 1


def test_a_reader_that_goes_away_is_no_fault_of_the_ledger(folder: Path) -> None:
    program = f"{EXPORT.replace('except AegisError', 'except BrokenPipeError')}"
    command = [sys.executable, "-c", program, "--config", "aegis.toml"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command, cwd=folder, env=environ, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert b"aegis: [Errno 32] Broken pipe" in done.stderr
