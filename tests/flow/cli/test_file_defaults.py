"""A command says of privacy, user and task what was said to it, and leaves the rest to the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.cli.command import aegis
from tests.flow.support import drawn, rows

ROWS = """
[defaults]
sensitivity = "{level}"
user_id = "ada"

[ledger]
url = "sqlite:///costs.db"

[[providers]]
name = "openai"
kind = "openai"
model = "gpt-4o"
base_url = "{url}"
api_key_env = "TEST_KEY"
location = "cloud"
images = true
price = {{ input_usd_per_mtok = "2.50", output_usd_per_mtok = "10" }}
"""

COMMANDS = {
    "ask": ("ask", "What is the limit?", "--docs", "note.md"),
    "prompt": ("prompt", "What is the limit?"),
    "describe": ("describe", "scan.png"),
}


@pytest.fixture
def folder(tmp_path: Path, server: LoopbackServer) -> Path:
    """Where a command finds a document, an image and a key."""
    (tmp_path / ".env").write_text("TEST_KEY=sk-beside\n")
    (tmp_path / "note.md").write_text("The limit is 40 dollars.")
    (tmp_path / "scan.png").write_bytes(drawn(text="Limit"))
    server.always("openai", Reply("The limit is 40 dollars. [1]"))
    return tmp_path


def run(name: str, folder: Path, server: LoopbackServer, level: str, *more: str) -> str:
    (folder / "aegis.toml").write_text(ROWS.format(url=server.openai_url, level=level))
    done = aegis(*COMMANDS[name], "--config", "aegis.toml", *more, cwd=folder)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_what_the_file_calls_private_stays_here(
    folder: Path, server: LoopbackServer, name: str
) -> None:
    run(name, folder, server, "pii")
    assert server.calls() == ()
    run(name, folder, server, "pii", "--sensitivity", "public")
    assert {row["user_id"] for row in rows(folder / "costs.db")} == {"ada"}
    assert len(server.calls()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_a_level_that_the_file_requires_is_asked_for(
    folder: Path, server: LoopbackServer, name: str
) -> None:
    line = "aegis: sensitivity: the configuration requires one for every request"
    assert line in run(name, folder, server, "required")
    assert server.calls() == ()


def test_a_prompt_goes_to_the_model_that_is_chosen(folder: Path, server: LoopbackServer) -> None:
    assert "gpt-5" in run("prompt", folder, server, "public", "--model", "gpt-5")
    assert server.calls() == ()
    run("prompt", folder, server, "public", "--model", "gpt-4o")
    assert len(server.calls()) == 1
