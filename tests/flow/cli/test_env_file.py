"""Variables from a ``.env`` file: beside the configuration, or in the working folder."""

from __future__ import annotations

import json
from pathlib import Path

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.cli.command import aegis

ROWS = """
[ledger]
url = "sqlite:///costs.db"

[[providers]]
name = "openai"
kind = "openai"
model = "gpt-4o"
base_url = "{url}"
api_key_env = "TEST_KEY"
location = "cloud"
price = {{ input_usd_per_mtok = "2.50", output_usd_per_mtok = "10" }}
"""


def test_without_a_configuration_the_working_folder_has_limits_and_keys(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MONTHLY_BUDGET_OPENAI=0\nnothing to see\n")
    done = aegis("budgets", "--json", cwd=tmp_path)
    found = {row["scope"]: row["limit_usd"] for row in json.loads(done.stdout)["budgets"]}
    assert found == {"provider:dashscope": "10", "provider:openai": "0"}
    line = f"aegis: {tmp_path}/.env: line 2 is not like NAME=value, and is left out\n"
    assert done.stderr == line


def test_a_call_is_made_with_the_key_beside_the_configuration(
    tmp_path: Path, server: LoopbackServer
) -> None:
    place = tmp_path / "etc"
    place.mkdir()
    (place / "aegis.toml").write_text(ROWS.format(url=server.openai_url))
    (place / ".env").write_text("TEST_KEY=sk-beside\n")
    (tmp_path / ".env").write_text("TEST_KEY=sk-of-another-project\n")
    (tmp_path / "note.md").write_text("The limit is 40 dollars.")
    server.script("openai", Reply("The limit is 40 dollars. [1]"))
    ask = ("ask", "What is the limit?", "--docs", "note.md", "--config", "etc/aegis.toml")
    done = aegis(*ask, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    [call] = server.calls()
    assert call.headers["authorization"] == "Bearer sk-beside"
