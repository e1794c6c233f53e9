"""Measure the router beside what a user would pick instead, in one run: ``make bench``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calls import one_caller
from field import HERE, QUICK, Scale, open_field
from flight import crowd, many_callers, processes, slow_provider
from streams import streams
from table import Report, Row, interleaved

PEERS = HERE.parent / ".venv-bench" / "bin" / "python"


IMPORTS = """
import sys, time
began = time.perf_counter()
import langgraph.graph
langgraph_s = time.perf_counter() - began
import aegis_graph
alone_s = time.perf_counter() - began - langgraph_s
aegis_graph.create_router, aegis_graph.RouterConfig
print(langgraph_s, alone_s, time.perf_counter() - began - langgraph_s)
heavy = {"dashscope", "openai", "ollama", "lightrag", "rapidocr", "onnxruntime"} & set(sys.modules)
assert not heavy, f"imported before it is used: {heavy}"
"""


def start_up(scale: Scale) -> list[Row]:
    """Importing the package, and asking the command line for help."""

    def imports() -> list[float]:
        environ = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        command = [sys.executable, "-c", IMPORTS]
        return [float(part) for part in subprocess.check_output(command, env=environ).split()]

    def runs(*command: str | Path) -> Callable[[], float]:
        def run() -> float:
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            return time.perf_counter() - began

        return run

    aegis = Path(sys.executable).with_name("aegis")
    found: Any = interleaved(
        scale.rounds // 2 or 1, imports, runs(aegis, "--help"), runs(sys.executable, "-c", "pass")
    )
    langgraph, alone, router = zip(*found[0], strict=True)
    name, floor = "import aegis_graph after langgraph.graph", "import langgraph.graph"
    quick: Any = lambda value, _: value <= 0.15  # noqa: E731
    return [
        Row(name, "s", alone, langgraph, floor, "0.15 s", quick),
        Row(f"{name}, and create_router", "s", router, langgraph, floor, "0.15 s", quick),
        Row(
            "aegis --help",
            "s",
            found[1],
            found[2],
            "an empty Python",
            "0.3 s",
            lambda value, _: value <= 0.3,
        ),
    ]


def main() -> None:
    """Measure everything, and show it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke run; its figures say little")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options.add_argument(
        "--peers", type=Path, metavar="PYTHON", default=PEERS, help="the peers' interpreter"
    )
    chosen = options.parse_args()
    scale, report = QUICK if chosen.quick else Scale(), Report()
    with open_field(chosen.peers, forked=scale.forked) as field:
        rows = [
            *one_caller(scale, field),
            *many_callers(scale, field),
            *(row for kind in scale.kinds for row in streams(scale, field, kind)),
            *slow_provider(scale, field),
            *(row for kind in scale.kinds for row in crowd(scale, field, kind)),
            *processes(scale, field),
            *start_up(scale),
        ]
    report.finish(rows, chosen.json)


if __name__ == "__main__":
    main()
