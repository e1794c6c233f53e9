"""What the tests of the quality benchmark share: a configuration, and the program itself."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from aegis_graph.testing import LoopbackServer
from tests import programs
from tests.quality_excerpts import CONLL04

ROOT = Path(__file__).parents[2]


def write(folder: Path, name: str, value: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(value), encoding="utf-8")
    return str(path)


def configuration(folder: Path, server: LoopbackServer) -> str:
    path = folder / "aegis.toml"
    rows = [
        f"[[providers]]\nname = '{name}'\nkind = 'openai'\nmodel = 'model-{name}'\n"
        f"base_url = '{server.openai_url}'\nlocation = 'local'\n"
        "price = { input_usd_per_mtok = '2', output_usd_per_mtok = '10' }\n"
        for name in ("good", "poor")
    ]
    ledger = f"[ledger]\nurl = 'sqlite:///{folder / 'costs.db'}'\n"
    path.write_text("\n".join([*rows, ledger]), encoding="utf-8")
    return str(path)


PROGRAM = """
import runpy, sys
sys.path.insert(0, "benchmarks")
runpy.run_path("benchmarks/quality.py", run_name="__main__")
"""


def started(*arguments: str) -> programs.Program:
    """The benchmark in a process that runs on."""
    return programs.start(PROGRAM, *arguments, cwd=ROOT, environ=clean())


def run(*arguments: str, fresh: bool = False, **environ: str) -> CompletedProcess[str]:
    return programs.run_text(
        PROGRAM, *arguments, cwd=ROOT, environ={**clean(), **environ}, fresh=fresh
    )


def assert_refused(folder: Path, arguments: Sequence[str], message: str) -> None:
    """In one line, as wrong usage; ``DATA`` stands for a file in CoNLL04's format."""
    data = write(folder, "data.json", CONLL04)
    done = run(*[data if one == "DATA" else one for one in arguments])
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def clean() -> dict[str, str]:
    """The environment, in which a variable of the developer's own shell changes nothing."""
    return {key: value for key, value in os.environ.items() if not key.startswith("AEGIS_QUALITY")}
