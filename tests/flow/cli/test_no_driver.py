"""A PostgreSQL ledger without its driver: one line that says what to install."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.flow.cli.command import aegis
from tests.programs import ROOT

INSTALL = "a PostgreSQL ledger needs: pip install 'aegis-graph[postgres]'"


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """An environment in which the driver cannot be imported."""
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "psycopg.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'psycopg'\", name='psycopg')\n"
    )
    (tmp_path / "aegis.toml").write_text('[ledger]\nurl = "postgresql://nowhere/costs"\n')
    (tmp_path / "notes.md").write_text("Paris is the capital of France.")
    return {"AEGIS_CONFIG": "aegis.toml", "PYTHONPATH": f"{tmp_path / 'absent'}:{ROOT}"}


@pytest.mark.parametrize(
    "command",
    [
        ["costs"],
        ["budgets"],
        ["budgets", "set", "total", "month", "1"],
        ["ledger", "verify"],
        ["ledger", "reconcile"],
        ["ledger", "export"],
        ["ledger", "prune", "--before", "2026-01-01"],
        ["ledger", "migrate", "--from", "sqlite:///costs.db"],
        ["ask", "Which city?", "--docs", "notes.md"],
    ],
    ids=" ".join,
)
def test_every_command_says_in_one_line_what_to_install(
    tmp_path: Path, places: dict[str, str], command: list[str]
) -> None:
    done = aegis(*command, cwd=tmp_path, environ=places)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"aegis: {INSTALL}\n")


def test_the_doctor_says_it_beside_everything_else(tmp_path: Path, places: dict[str, str]) -> None:
    done = aegis("doctor", "--json", cwd=tmp_path, fresh=True, environ=places)
    found = json.loads(done.stdout)
    assert (done.returncode, found["healthy"]) == (3, False)
    assert found["ledger"]["problem"] == INSTALL
    assert found["providers"]
