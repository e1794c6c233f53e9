"""What admission costs with limits in use, beside the same without them."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from support import QUICK, Scale, empty_ledger, open_ledger, pair, pairs
from table import Report, Row, at_most, interleaved

from aegis_graph.ledger.limits import UnitLimit

LIMITS = (
    UnitLimit("provider:cheap", "max_concurrency", 10**6),
    UnitLimit("provider:cheap", "requests_per_minute", 10**9),
    UnitLimit("provider:cheap", "tokens_per_minute", 10**12),
    UnitLimit("user:*", "requests_per_day", 10**9),
)
"""One of each sort, and none that is ever full."""


def measure(scale: Scale, callers: int) -> tuple[Callable[[], tuple[float, float]], ...]:
    """Milliseconds of a pair of reservation and settlement: of the processor, and by the clock."""
    each = max(1, scale.pairs // callers)

    def of(limits: tuple[UnitLimit, ...]) -> tuple[float, float]:
        with empty_ledger() as url:
            ledger = open_ledger(url)
            asyncio.run(pair(ledger, limits))
            cpu, clock = time.process_time(), time.perf_counter()
            asyncio.run(pairs(ledger, callers=callers, each=each, limits=limits))
            cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
            ledger.close()
            number = callers * each / 1000
            return cpu / number, clock / number

    return (lambda: of(LIMITS)), (lambda: of(()))


def rows(scale: Scale) -> list[Row]:
    """One caller and many."""
    found = []
    for callers in (1, 50):
        limited, plain = interleaved(scale.rounds, *measure(scale, callers))
        name = f"reserve + settle with four limits, {callers} caller(s), SQLite"
        for place, unit in enumerate(("ms of the processor", "ms by the clock")):
            mine, theirs = [one[place] for one in limited], [one[place] for one in plain]
            row = Row(name, unit, mine, theirs, "without limits", "1.2 times", at_most(1.2))
            found.append(row)
    return found


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="prove that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    report = Report()
    report.finish(rows(QUICK if options.quick else Scale(rounds=9)), options.json)


if __name__ == "__main__":
    main()
