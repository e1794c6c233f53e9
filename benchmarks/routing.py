"""Measure the router beside what a user would pick instead, in one run: ``make bench``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from calls import one_caller
from features import features
from field import HERE, QUICK, Field, Scale, open_field
from flight import crowd, many_callers, processes, slow_provider
from hosts import crowded_hosts, hosts
from pipeline import pipelines
from start_up import command_line, memory, start_up
from streams import streams
from table import Report, Row

Part = Callable[[Scale, Field], list[Row]]
PEERS = HERE.parent / ".venv-bench" / "bin" / "python"


def _of_each_kind(rows: Callable[[Scale, Field, str], list[Row]]) -> Part:
    return lambda scale, field: [row for kind in scale.kinds for row in rows(scale, field, kind)]


PARTS: dict[str, tuple[Part, ...]] = {
    "calls": (one_caller, many_callers),
    "streams": (_of_each_kind(streams),),
    "flight": (slow_provider,),
    "crowd": (_of_each_kind(crowd),),
    "processes": (processes,),
    "hosts": (hosts, crowded_hosts),
    "features": (features,),
    "rag": (pipelines,),
    "start": (start_up, command_line, memory),
}
"""By the names of ``--only``, in the order in which they are measured."""


def main() -> None:
    """Measure everything, and show it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke run; its figures say little")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options.add_argument(
        "--peers", type=Path, metavar="PYTHON", default=PEERS, help="the peers' interpreter"
    )
    options.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts alone"
    )
    chosen = options.parse_args()
    scale, report = QUICK if chosen.quick else Scale(), Report()
    with open_field(chosen.peers, forked=scale.forked) as field:
        rows = [
            row
            for name, parts in PARTS.items()
            if name in chosen.only
            for part in parts
            for row in part(scale, field)
        ]
    report.finish(rows, chosen.json)


if __name__ == "__main__":
    main()
