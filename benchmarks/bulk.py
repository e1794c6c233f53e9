"""What a job over many items costs beside a plain loop, and beside Ray Data's own processor."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from field import HERE, Field, Result, open_field
from table import Report, Row, interleaved

END_S = 900
"""Generous: how long a contestant may take, in seconds."""
LOOP = "asyncio.gather, bare client"
RAY_DATA = "Ray Data's HTTP processor"


@dataclass(frozen=True)
class Scale:
    """How much is asked; the small one only proves that everything runs."""

    rounds: int = 5
    items: int = 3000
    concurrency: int = 32
    delay_ms: int = 20
    """Of the provider."""
    on_ray: bool = True


QUICK = Scale(rounds=1, items=20, concurrency=4, on_ray=False)


def contestant(name: str, scale: Scale, field: Field) -> Result:
    """Run one in a process of its own.

    Raises:
        RuntimeError: It failed; its own words are above.
    """
    options: dict[str, Any] = {
        "url": field.url(delay_ms=scale.delay_ms),
        "items": scale.items,
        "concurrency": scale.concurrency,
        "ledger": field.ledger(),
    }
    path = os.pathsep.join((str(HERE.parent), str(HERE)))
    done = subprocess.run(
        [sys.executable, HERE / "bulk_contestants.py", name, json.dumps(options)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        timeout=END_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}; see above")
    found: Result = json.loads(done.stdout.splitlines()[-1])
    if found["done"] != scale.items:
        raise RuntimeError(f"{name} answered {found['done']} of {scale.items} items")
    return found


def rows(scale: Scale, field: Field) -> list[Row]:
    """Each contestant once per round, in turns, and ours beside each of the others."""
    names = ["gather", "job", *(["job_on_ray", "ray_data"] if scale.on_ray else [])]
    steps = [partial(contestant, name, scale, field) for name in names]
    found = dict(zip(names, interleaved(scale.rounds, *steps), strict=True))
    result = _beside("a job", found["job"], found["gather"], LOOP, scale)
    result.append(_added("a job", found["job"], found["gather"], scale))
    if scale.on_ray:
        ours, theirs = found["job_on_ray"], found["ray_data"]
        result += _beside("a job on Ray", ours, theirs, RAY_DATA, scale)
        result += _beside("a job", found["job"], theirs, RAY_DATA, scale)[:1]
        result += _beside("a job on Ray", ours, found["job"], "a job", scale)[:1]
    return result


def _beside(
    name: str, ours: list[Result], theirs: list[Result], beside: str, scale: Scale
) -> list[Row]:
    def rates(results: list[Result]) -> list[float]:
        return [scale.items / one["seconds"] for one in results]

    def memory(results: list[Result]) -> list[float]:
        return [one["memory_mb"] for one in results]

    return [
        Row(f"{name}, {scale.concurrency} at once", "items/s", rates(ours), rates(theirs), beside),
        Row(f"{name}, memory of all processes", "MB", memory(ours), memory(theirs), beside),
    ]


def _added(name: str, ours: list[Result], theirs: list[Result], scale: Scale) -> Row:
    """What an item takes more, where so many are under way that they wait for the processor."""
    each = [
        (mine["seconds"] - loop["seconds"]) / scale.items * 1000
        for mine, loop in zip(ours, theirs, strict=True)
    ]
    loop = [one["seconds"] / scale.items * 1000 for one in theirs]
    return Row(f"{name}, added to each item", "ms", [max(one, 0.001) for one in each], loop, LOOP)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="prove that it runs, without Ray")
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--items", type=int, help="of each")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    scale = QUICK if options.quick else Scale()
    scale = Scale(
        rounds=options.rounds or scale.rounds,
        items=options.items or scale.items,
        concurrency=scale.concurrency,
        on_ray=scale.on_ray,
    )
    report = Report()
    with open_field(Path(os.devnull), forked=False) as field:
        report.finish(rows(scale, field), options.json)


if __name__ == "__main__":
    main()
