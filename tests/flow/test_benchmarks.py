"""The benchmark runs from end to end; how fast it was is not asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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


def test_every_row_is_measured(tmp_path: Path) -> None:
    written = tmp_path / "figures.json"
    command = [sys.executable, "benchmarks/ledger.py", "--quick", "--json", str(written)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(written.read_text())
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
