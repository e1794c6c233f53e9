"""``aegis init``: the file that it writes is one that the other commands take."""

from __future__ import annotations

import json
from pathlib import Path

from aegis_graph import RouterConfig
from aegis_graph.testing import LoopbackServer
from tests.flow.cli.command import aegis
from tests.flow.cli.test_prompt import terminal


def test_the_defaults_make_a_file_that_doctor_takes(tmp_path: Path, server: LoopbackServer) -> None:
    found = {"OLLAMA_BASE_URL": server.ollama_url, "OPENAI_API_KEY": "sk-private"}
    done = aegis("init", "--yes", cwd=tmp_path, environ=found)
    assert done.returncode == 0, done.stderr
    assert f"Ollama at {server.ollama_url} has " in done.stderr
    assert "openai: OPENAI_API_KEY set\n" in done.stderr
    text = (tmp_path / "aegis.toml").read_text()
    assert "sk-private" not in text + done.stdout + done.stderr
    config = RouterConfig.load(tmp_path / "aegis.toml", environ={})
    assert [row.name for row in config.providers] == ["ollama", "dashscope", "openai", "extractive"]
    assert {(row.scope, str(row.limit_usd)) for row in config.budgets} == {
        ("provider:dashscope", "10"),
        ("provider:openai", "10"),
    }
    report = aegis("doctor", "--json", "--config", "aegis.toml", cwd=tmp_path)
    rows = {row["provider"]: row for row in json.loads(report.stdout)["providers"]}
    assert rows["ollama"]["model_there"] is True
    assert report.returncode == 0


def test_a_file_that_is_there_is_replaced_by_force_only(tmp_path: Path) -> None:
    (tmp_path / "aegis.toml").write_text("# mine")
    nothing = {"OLLAMA_BASE_URL": "http://127.0.0.1:9"}
    done = aegis("init", "--yes", cwd=tmp_path, environ=nothing)
    line = "aegis: aegis.toml is there already; --force replaces it\n"
    assert (done.returncode, done.stderr) == (2, line)
    assert (tmp_path / "aegis.toml").read_text() == "# mine"
    assert aegis("init", "--yes", "--force", cwd=tmp_path, environ=nothing).returncode == 0
    assert RouterConfig.load(tmp_path / "aegis.toml", environ={}).providers


def test_in_a_pipe_it_asks_nothing(tmp_path: Path) -> None:
    done = aegis("init", cwd=tmp_path)
    line = "aegis: init asks three questions: use a terminal, or --yes for the defaults\n"
    assert (done.returncode, done.stderr) == (2, line)
    assert not (tmp_path / "aegis.toml").exists()


def test_three_answers_are_written(tmp_path: Path, server: LoopbackServer) -> None:
    (tmp_path / ".env").write_text(f"OLLAMA_BASE_URL={server.ollama_url}\n")
    with terminal(tmp_path, "init", "--config", "mine.toml") as screen:
        screen.read_until("asked first")
        screen.type("qwen3:8b\n")
        screen.read_until("in USD")
        screen.type("2.50\n")
        screen.read_until("does not say it")
        screen.type("pii\n")
        assert screen.end() == 0
    config = RouterConfig.load(tmp_path / "mine.toml", environ={})
    assert config.providers[0].model == "qwen3:8b"
    assert {str(row.limit_usd) for row in config.budgets} == {"2.50"}
    assert config.defaults.sensitivity == "pii"
