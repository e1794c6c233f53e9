"""What a hundred workers do to one budget in PostgreSQL, and what lending it to them changes.

What a transaction takes is measured here and now; the hundred workers are simulated with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from admission_times import CALLERS, TransactionTimes, count_round_trips, measure
from simulated_workers import Fleet, Outcome, Simulation
from support import create_tables, empty_ledger, postgres_server, rate_of_processes
from table import Report, Row

SHARED = "one hot budget"


@dataclass(frozen=True)
class Scale:
    """How much is measured and simulated; the small one only proves that everything runs."""

    each: int = 100
    """Pairs of each caller that is measured."""
    workers: tuple[int, ...] = (10, 100, 300)
    calls_each: int = 600
    seeds: int = 3
    parts: tuple[int, ...] = (100, 1000)
    """A lease is what is left divided by so many."""


QUICK = Scale(each=4, workers=(8,), calls_each=100, seeds=1, parts=(100,))


@dataclass(frozen=True)
class Measured:
    """What the simulation is fed with."""

    shared: TransactionTimes
    """In PostgreSQL, over a socket of the same machine."""
    own: TransactionTimes
    """In a worker's own SQLite file."""
    pairs_per_s: float
    """Of two processes with 25 callers each, in PostgreSQL."""


def measured(scale: Scale) -> Measured:
    """Measure what a transaction takes, and a rate that the simulation has to come near."""
    with empty_ledger() as url:
        own = measure(url, scale.each)
    with postgres_server() as url:
        create_tables(url)
        times = measure(url, scale.each)
        trips = count_round_trips(url, scale.each)
        rate = rate_of_processes(url, count=2, callers=25, each=scale.each, library=True)
    shared = TransactionTimes(
        times.locked_s, times.locked_each_s, times.between_s, times.between_each_s, trips
    )
    return Measured(shared, own, rate)


def constants(found: Measured) -> list[Row]:
    """What was measured, and how near the simulation of it comes."""
    shared, own, most = found.shared, found.own, CALLERS[-1]
    simulated = _run(Fleet(2, concurrency=25, call_s=0, round_trip_s=0), found, None, 0)
    near, far = shared.locked(1) * 1000, shared.locked(1, Fleet(1).round_trip_s) * 1000
    return [
        Row("lock held for 1 operation", "ms", [near], [own.locked(1) * 1000], "SQLite"),
        Row(
            f"lock held for {most} operations", "ms", [shared.locked(most) * 1000],
            [own.locked(most) * 1000], "SQLite",
        ),
        Row("lock held for 1 operation, 0.5 ms away", "ms", [far], [near], "on this machine"),
        Row(
            "reserve + settle, 2 processes of 25 callers", "/s",
            [simulated.calls / simulated.seconds], [found.pairs_per_s], "measured",
        ),
    ]  # fmt: skip


def fleets(found: Measured, scale: Scale) -> list[Row]:
    """Ever more workers, whose calls take about a second, with and without leases."""
    rows = []
    for workers in scale.workers:
        fleet = Fleet(workers, calls_each=scale.calls_each)
        shared = _runs(fleet, found, None, scale.seeds)
        for parts in scale.parts:
            leased = _runs(fleet, found, parts, scale.seeds)
            name = f"{workers} worker(s), leases of 1/{parts}"
            rows += [
                _row(f"{name}, calls", "/s", leased, shared, lambda one: one.calls / one.seconds),
                _row(f"{name}, admission", "ms p50", leased, shared, _wait_ms(50)),
                _row(f"{name}, admission", "ms p99", leased, shared, _wait_ms(99)),
                _row(f"{name}, the lock is held", "% of the time", leased, shared, _busy),
                _row(f"{name}, spent at the end", "% of the envelope", leased, shared, _spent),
            ]
    return rows


def _row(
    name: str,
    unit: str,
    leased: list[Outcome],
    shared: list[Outcome],
    figure: Callable[[Outcome], float],
) -> Row:
    return Row(name, unit, [figure(one) for one in leased], [figure(one) for one in shared], SHARED)


def _wait_ms(percent: int) -> Callable[[Outcome], float]:
    return lambda one: one.percentile(percent) * 1000


def _busy(one: Outcome) -> float:
    return one.busy_s / one.seconds * 100


def _spent(one: Outcome) -> float:
    return one.spent / (one.spent + one.left) * 100


def _runs(fleet: Fleet, found: Measured, parts: int | None, seeds: int) -> list[Outcome]:
    return [_run(fleet, found, parts, seed) for seed in range(seeds)]


def _run(fleet: Fleet, found: Measured, parts: int | None, seed: int) -> Outcome:
    return Simulation(fleet, found.shared, found.own, parts=parts, seed=seed).run()


def main() -> None:
    """Measure, simulate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="prove that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    scale, report = QUICK if options.quick else Scale(), Report()
    found = measured(scale)
    report.finish([*constants(found), *fleets(found, scale)], options.json)


if __name__ == "__main__":
    main()
