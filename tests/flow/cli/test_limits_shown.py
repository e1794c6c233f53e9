"""Limits of calls and tokens, as ``aegis budgets`` and ``aegis doctor`` show them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.ledger.limits import UnitLimit
from tests.contract.ledger_store import hold
from tests.flow.cli.command import aegis

CONFIG = """
budgets = []

[ledger]
url = "sqlite:///costs.db"

[[providers]]
name = "gpu"
kind = "ollama"
model = "m"
location = "local"
price = "free"
base_url = "http://127.0.0.1:9"
max_concurrency = 2

[[limits]]
scope = "user:*"
tokens_per_day = 1000
"""


def test_limits_are_shown_with_what_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "aegis.toml").write_text(CONFIG)
    ledger = create_ledger(RouterConfig.load(tmp_path / "aegis.toml"))
    limits = (UnitLimit("user:*", "tokens_per_day", 1000),)
    asyncio.run(ledger.admit([hold(0, provider="gpu", limits=limits, tokens=300)]))
    ledger.close()
    places = {"AEGIS_CONFIG": "aegis.toml", "COLUMNS": "120"}
    shown = json.loads(aegis("budgets", "--json", cwd=tmp_path, environ=places).stdout)["limits"]
    assert [(row["scope"], row["unit"], row["most"], row["used"]) for row in shown] == [
        ("provider:gpu", "max_concurrency", 2, 1),
        ("user:*", "tokens_per_day", 1000, None),
        ("user:ada", "tokens_per_day", 1000, 300),
    ]
    table = aegis("budgets", cwd=tmp_path, environ=places).stdout
    assert "Limits of calls and tokens" in table
    report = aegis("doctor", cwd=tmp_path, environ=places).stdout
    assert "Limit provider:gpu max_concurrency: 1 of 2 in use" in report
    assert "Limit user:* tokens_per_day: 1,000 each" in report
