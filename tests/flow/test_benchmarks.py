"""The benchmarks run from end to end; how fast it was is not asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

MEASURED = {
    "reserve + settle, 1 caller, SQLite": 2,
    "reserve + settle, 100 callers, SQLite": 2,
    "the same, 2 processes of 4 callers, SQLite": 1,
    "the same, 2 processes of 4 callers, PostgreSQL": 1,
    "month's spend per provider, 5,000 rows": 2,
    "CSV export of 5,000 rows": 2,
    "size at 5,000 rows": 1,
}
"""How many rows of the table begin like this."""


ROUTING = [
    *["added by a routed call"] * 3,
    "added by a ledger by hand, no router",
    *["a call whose first provider fails"] * 2,
    *["calls per second, 4 callers"] * 2,
    "first token of a stream over the bare client, ollama",
    *["each chunk of a stream, ollama"] * 3,
    "first token of a stream over the bare client, ollama, RoutedChatModel",
    *["each chunk of a stream, ollama, RoutedChatModel"] * 3,
    "first token of a host's stream over the bare client's, ollama",
    "each chunk of a host's stream, ollama",
    *["8 in flight of 400 ms, openai"] * 4,
    *["8 in flight of 400 ms, ollama"] * 4,
    *["8 in flight of 400 ms, openai, in a host"] * 4,
    "8 in flight of 1 s, ollama",
    "8 in flight of 1 s, ollama, memory above theirs",
    f"growth of the rate with {os.cpu_count()} processes on one SQLite file",
    "import aegis_graph after langgraph.graph",
    "import aegis_graph after langgraph.graph, and create_router",
    "aegis --help",
    "aegis ask over an index, until its first character",
    "aegis costs",
    "memory of an idle process, ollama",
]
"""Beside those that explain them; where the peers are not installed, their rows say so."""

NO_PEERS = ("--peers", "nowhere")
CHECKPOINTERS = ("no checkpointer", "in memory", "SQLite")
STREAMED = ("values", "updates", "messages", "messages, subgraphs", "custom", "tasks", "debug")
HOSTS = Counter(
    {
        "create_rag over 1,000 passages": 1,
        "the retriever alone": 1,
        "three routed nodes in one host": 1,
        "three routed nodes in one host, added": 1,
        **{
            f"added as a node, {kept}, {call}": 3 if kept == "no checkpointer" else 2
            for kept in CHECKPOINTERS
            for call in ("invoke", "ainvoke")
        },
        **{
            f"added as a node, {kept}, stream of {mode}": 1
            for kept in CHECKPOINTERS
            for mode in STREAMED
        },
        **{
            f"4 callers of a host, {kept}": 4 if kept == "no checkpointer" else 3
            for kept in CHECKPOINTERS
        },
        **{
            f"a routed call, {feature} {used}": 1
            for feature in ("limits", "tags", "hooks", "accept", "telemetry")
            for used in ("on", "off")
        },
    }
)


def figures_of(script: str, tmp_path: Path, *options: str) -> Any:
    written = tmp_path / "figures.json"
    command = [sys.executable, f"benchmarks/{script}", "--quick", "--json", str(written), *options]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(written.read_text())


def test_the_router_is_measured_with_or_without_its_peers(tmp_path: Path) -> None:
    parts = ("calls", "streams", "flight", "crowd", "processes", "start")
    figures = figures_of("routing.py", tmp_path, *NO_PEERS, "--only", *parts)
    names = [row["name"] for row in figures["rows"]]
    explained = ("processor time", "without a ledger", "the disk's share")
    assert Counter(name for name in names if not name.endswith(explained)) == Counter(ROUTING)
    skipped = [row["skipped"] for row in figures["rows"] if "skipped" in row]
    assert len(skipped) == 3
    assert all("make bench" in reason for reason in skipped)


def test_a_host_around_the_router_is_measured_in_every_way_that_it_runs(tmp_path: Path) -> None:
    parts = ("hosts", "features", "rag")
    rows = figures_of("routing.py", tmp_path, *NO_PEERS, "--only", *parts)["rows"]
    names = [row["name"] for row in rows]
    assert Counter(name for name in names if not name.endswith("processor time")) == HOSTS
    skipped = Counter(row["name"] for row in rows if "skipped" in row)
    # LiteLLM stands beside every call, and beside the callers.
    assert skipped.total() == 9
    assert all("make bench" in row["skipped"] for row in rows if "skipped" in row)


def test_text_recognition_reads_clean_documents(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    command = [sys.executable, "benchmarks/vision.py", "--quick", "--json", str(written)]
    # A closed port and no key: whatever this machine has must not matter.
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "OLLAMA_BASE_URL": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *others, ocr = json.loads(written.read_text())["tiers"]
    assert [tier["tier"] for tier in others if tier["skipped"]] == [
        "dashscope_vision",
        "dashscope_vision_thinking",
        "ollama_vision",
    ]
    assert 0 < float(others[0]["likely_usd_per_image"]) < float(others[0]["reserved_usd_per_image"])
    characters = {row["group"]: row["characters"] for row in ocr["figures"]}
    assert characters.pop("coloured shapes") is None
    assert characters["clean documents, 150 dpi"] >= 0.95
    assert min(characters.values()) >= 0.9, characters


def test_every_row_is_measured(tmp_path: Path) -> None:
    figures = figures_of("ledger.py", tmp_path)
    *_, snipz = (row for row in figures["rows"] if "skipped" in row)
    assert snipz["name"].endswith("against snipz")
    rows = [row for row in figures["rows"] if row is not snipz]
    names = [row["name"] for row in rows]
    found = {start: sum(name.startswith(start) for name in names) for start in MEASURED}
    assert found == MEASURED
    assert len(rows) == sum(MEASURED.values())
    for row in rows:
        values = [row[part][key] for part in ("ours", "beside", "ratio") for key in row["ratio"]]
        assert min(values) > 0, row


def test_a_cascade_is_measured_over_graded_answers(tmp_path: Path) -> None:
    figures = figures_of("routing_quality.py", tmp_path)
    assert figures["title"] == "60 questions, answers that are made up"
    cheap, dear, by_chance, cascade, oracle = figures["rows"]
    assert (cheap["asked_dearer"], dear["asked_dearer"], by_chance["asked_dearer"]) == (0, 1, 0.5)
    assert cheap["score"] < cascade["score"] <= oracle["score"]
    # Each question was asked at the cheap model, and paid as the set says.
    assert cascade["usd"] > cheap["usd"]
    assert cascade["usd"] <= cheap["usd"] + dear["usd"]


def test_a_copy_in_another_form_is_refused_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/routing_quality.py", "--data", str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "no prices of models" in done.stderr


def test_hedging_is_measured_and_passes_no_budget(tmp_path: Path) -> None:
    rows = figures_of("hedging.py", tmp_path)["rows"]
    assert [row["name"] for row in rows[:4]] == ["p50", "p95", "p99", "spent"]
    crowd, billed = rows[5:]
    assert 0 < crowd["ratio"]["max"] <= 1
    assert 0 < billed["ratio"]["max"] <= 1


def test_limits_are_measured_for_one_caller_and_many(tmp_path: Path) -> None:
    rows = figures_of("limits.py", tmp_path)["rows"]
    assert [row["unit"] for row in rows] == ["ms of the processor", "ms by the clock"] * 2
    assert min(row["ratio"]["min"] for row in rows) > 0


def test_many_workers_are_simulated_from_what_one_takes(tmp_path: Path) -> None:
    rows = {
        f"{row['name']} {row['unit']}": row for row in figures_of("bulk_scale.py", tmp_path)["rows"]
    }
    one, many, away = list(rows)[:3]
    assert rows[many]["ours"]["median"] > rows[one]["ours"]["median"] > 0
    assert rows[away]["ratio"]["min"] > 1
    fleet = "8 worker(s), leases of 1/100"
    # Far more than the lock lets through, so that only with leases it is free most of the time.
    assert rows[f"{fleet}, the lock is held % of the time"]["ratio"]["max"] < 1
    spent = rows[f"{fleet}, spent at the end % of the envelope"]
    assert all(90 < spent[part]["median"] <= 100 for part in ("ours", "beside"))


def test_a_job_is_measured_beside_a_plain_loop(tmp_path: Path) -> None:
    rows = figures_of("bulk.py", tmp_path)["rows"]
    assert [row["unit"] for row in rows] == ["items/s", "MB", "ms"]
    assert min(row[part]["min"] for row in rows for part in ("ours", "beside")) > 0
