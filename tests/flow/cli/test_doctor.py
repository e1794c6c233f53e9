"""What ``aegis doctor`` warns of, and that a terminal cuts none of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import LoopbackServer, Reply
from aegis_graph.testing.loopback.server import DEFAULT_MODELS
from tests import programs
from tests.flow.cli.command import MAIN, aegis
from tests.flow.support import ask, make_config, open_router, provider

LOCAL = """
[[providers]]
name = "vllm"
kind = "openai"
model = "{model}"
base_url = "{url}"
location = "local"
price = {price}
"""
PRICE = '{ input_usd_per_mtok = "1", output_usd_per_mtok = "2" }'


def write(folder: Path, row: str, *, url: str, model: str = "gpt-4o", price: str = PRICE) -> None:
    ledger = f'[ledger]\nurl = "sqlite:///{folder}/costs.db"\n'
    text = ledger + LOCAL.format(url=url, model=model, price=price) + row
    (folder / "aegis.toml").write_text(text)


def examine(folder: Path) -> dict[str, Any]:
    done = aegis("doctor", "--config", "aegis.toml", "--json", cwd=folder)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("row", "warning"),
    [
        (
            "timeout_s = 60\nfirst_token_timeout_s = 300",
            "first_token_timeout_s = 300 never counts: the whole has 60 s",
        ),
        ("idle_timeout_s = 900", "idle_timeout_s = 900 never counts: the whole has 600 s"),
        (
            'options = { service_tier = "flex" }',
            "no price of service tier flex is known: costs are estimated by the standard one",
        ),
        (
            'kind = "ollama"\nmax_output_tokens = 4096\noptions = { num_ctx = 4096 }',
            "its context of 4,096 tokens has no room for a prompt beside an answer of 4,096: lower"
            " max_output_tokens",
        ),
    ],
    ids=["first token", "idle", "service tier", "context"],
)
def test_a_row_that_cannot_work_as_it_is_has_a_warning(
    tmp_path: Path, server: LoopbackServer, row: str, warning: str
) -> None:
    url = server.ollama_url if "ollama" in row else server.openai_url
    write(tmp_path, row, url=url)
    if "ollama" in row:
        path = tmp_path / "aegis.toml"
        path.write_text(path.read_text().replace('kind = "openai"\n', ""))
    (found,) = examine(tmp_path)["providers"]
    assert found["warnings"] == [warning]


def test_a_row_that_works_has_no_warning(tmp_path: Path, server: LoopbackServer) -> None:
    write(tmp_path, "", url=server.openai_url)
    (found,) = examine(tmp_path)["providers"]
    assert (found["warnings"], found["models"], found["problem"]) == ([], [], "")


def test_what_a_server_has_is_listed_where_the_rows_model_is_not_there(
    tmp_path: Path, server: LoopbackServer
) -> None:
    write(tmp_path, "", url=server.openai_url, model="gpt-nonexistent")
    (found,) = examine(tmp_path)["providers"]
    assert found["models"] == list(DEFAULT_MODELS)
    text = aegis("doctor", "--config", "aegis.toml", cwd=tmp_path).stdout
    assert f"it has {', '.join(DEFAULT_MODELS[:12])}" in text


async def test_attempts_whose_usage_could_not_be_true_are_reported(
    tmp_path: Path, server: LoopbackServer
) -> None:
    row = provider(server, "openai", name="vllm")
    server.script("openai", Reply("Paris.", input_tokens=10**9, output_tokens=10**9))
    await open_router(make_config(server, tmp_path / "costs.db", providers=[row])).ainvoke(ask())
    write(tmp_path, "", url=server.openai_url)
    (found,) = examine(tmp_path)["ledger"]["overruns"]
    assert (found["provider"], found["unbelieved"]) == ("vllm", 1)
    text = aegis("doctor", "--config", "aegis.toml", cwd=tmp_path).stdout
    assert "vllm, last 30 days: 1 reported more than can be true, and cost their hold" in text


@pytest.mark.parametrize("columns", [60, 120])
def test_no_fact_and_no_warning_is_wider_than_the_terminal(
    tmp_path: Path, server: LoopbackServer, columns: int
) -> None:
    write(
        tmp_path,
        "timeout_s = 60\nfirst_token_timeout_s = 300",
        url=server.openai_url,
        model="Qwen/Qwen3-30B-A3B-Instruct-2507",
    )
    terminal, inside = os.openpty()
    subprocess.run(
        [sys.executable, "-c", MAIN, "doctor", "--config", "aegis.toml"],
        cwd=tmp_path,
        env=programs.bare(tmp_path, COLUMNS=str(columns)),
        stdout=inside,
        check=True,
        timeout=programs.WAIT_S,
    )
    os.close(inside)
    with os.fdopen(terminal, "rb", buffering=0) as output:
        shown = output.read(100_000).decode().splitlines()
    rows = shown[1 : shown.index("")]
    assert [line for line in rows if len(line) > columns] == []
    words = " ".join(" ".join(rows).split())
    assert "-> the key's account does not list this model" in words
    assert "!! first_token_timeout_s = 300 never counts: the whole has 60 s" in words


def test_checks_of_answers_are_named_and_one_that_is_missing_is_said(
    tmp_path: Path, server: LoopbackServer
) -> None:
    checks = '[accept]\nanswer = "citations"\n"*" = "own_checks:is_good"\n'
    write(tmp_path, checks, url=server.openai_url)
    found = examine(tmp_path)
    assert found["accept"]["checks"] == {"answer": "citations", "*": "own_checks:is_good"}
    assert found["accept"]["problem"].startswith(
        "aegis.toml: accept.*: cannot import 'own_checks:is_good': ModuleNotFoundError"
    )
    assert not found["healthy"]
    (tmp_path / "own_checks.py").write_text("def is_good(request, answer):\n    return True\n")
    assert examine(tmp_path)["accept"]["problem"] == ""
    text = aegis("doctor", "--config", "aegis.toml", cwd=tmp_path).stdout
    assert "Answers to answer must pass citations\n" in text
    assert "Answers to every other task must pass own_checks:is_good\n" in text
