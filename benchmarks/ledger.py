"""Measure the ledger beside what it is compared with, in one run: ``make bench``."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import aiosqlite
from by_hand import ByHandAsync, by_hand
from large_ledger import large_ledger
from support import (
    QUICK,
    Scale,
    create_tables,
    empty_ledger,
    open_ledger,
    p50_ms,
    p50_ms_async,
    pair,
    pairs,
    postgres_server,
    rate_of_processes,
)
from table import Report, Row, interleaved

from aegis_graph.ledger import writer

SNIPZ = """
import asyncio, sys, time
from decimal import Decimal
from snipz import Budget, Scope

async def main(path, callers, each):
    budget, scope = Budget(path), Scope("global", "total")
    await budget.migrate()
    await budget.set_limit(scope, Decimal(10**9))
    async def caller():
        for _ in range(each):
            held = await budget.reserve(scope, Decimal("0.0001"))
            await held.commit(Decimal("0.00006"))
    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    print(callers * each / (time.perf_counter() - began))
    await budget.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


def one_caller(scale: Scale) -> list[Row]:
    """Latency without competition, on the disk."""

    def ours() -> float:
        with empty_ledger() as url:
            ledger = open_ledger(url)
            found = asyncio.run(p50_ms_async(scale.pairs, lambda: pair(ledger)))
            ledger.close()
            return found

    async def over_aiosqlite(url: str) -> float:
        path = url.removeprefix("sqlite:///")
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await connection.execute("PRAGMA synchronous = FULL")
            return await p50_ms_async(scale.pairs, ByHandAsync(connection).pair)

    def floor() -> float:
        with empty_ledger() as url:
            return asyncio.run(over_aiosqlite(url))

    def bare() -> float:
        with empty_ledger() as url, by_hand(url) as once:
            return p50_ms(scale.pairs, once)

    mine, aio, sync = interleaved(scale.rounds, ours, floor, bare)
    name = "reserve + settle, 1 caller, SQLite"
    target, met = "p50 at most 2 times aiosqlite", lambda _, ratio: ratio <= 2
    return [
        Row(name, "ms p50", mine, aio, "by hand, aiosqlite", target, met),
        Row(f"{name} (no thread beside it)", "ms p50", mine, sync, "by hand, sqlite3"),
    ]


def many_callers(scale: Scale) -> list[Row]:
    """Rate of 100 callers in one process, with and without grouping their commits."""
    total = 100 * scale.each

    def ours() -> float:
        with empty_ledger() as url:
            ledger = open_ledger(url)
            asyncio.run(pair(ledger))
            began = time.perf_counter()
            asyncio.run(pairs(ledger, callers=100, each=scale.each))
            took = time.perf_counter() - began
            ledger.close()
            return total / took

    def ungrouped() -> float:
        with mock.patch.object(writer, "MAX_BATCH", 1):
            return ours()

    async def over_aiosqlite(url: str) -> float:
        path = url.removeprefix("sqlite:///")
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await connection.execute("PRAGMA synchronous = FULL")
            hand = ByHandAsync(connection)
            began = time.perf_counter()
            for _ in range(scale.each):
                await asyncio.gather(*(hand.pair() for _ in range(100)))
            return total / (time.perf_counter() - began)

    def floor() -> float:
        with empty_ledger() as url:
            return asyncio.run(over_aiosqlite(url))

    mine, one, aio = interleaved(scale.rounds, ours, ungrouped, floor)
    name = "reserve + settle, 100 callers, SQLite"
    target, met = "5 times one transaction per operation", lambda _, ratio: ratio >= 5
    return [
        Row(name, "/s", mine, aio, "by hand, aiosqlite", target, met),
        Row(f"{name} (grouping off)", "/s", mine, one, "ours, not grouped", target, met),
    ]


def many_processes(scale: Scale, kind: Literal["SQLite", "PostgreSQL"]) -> Row:
    """Rate of several processes with several callers each, all in one hot budget."""
    goal = 1000 if kind == "SQLite" else 1500
    count, callers = scale.processes, scale.callers

    def rate(url: str, *, library: bool) -> float:
        # Equal time rather than equal work: by hand, a process has one caller.
        many = callers if library else 1
        each = scale.each if library else scale.pairs // 2
        return rate_of_processes(url, count=count, callers=many, each=each, library=library)

    def in_a_file(*, library: bool) -> float:
        with empty_ledger() as url:
            return rate(url, library=library)

    rounds = min(scale.rounds, 3)
    if kind == "SQLite":
        mine, hand = interleaved(
            rounds, lambda: in_a_file(library=True), lambda: in_a_file(library=False)
        )
    else:
        with postgres_server() as url:
            create_tables(url)
            mine, hand = interleaved(
                rounds, lambda: rate(url, library=True), lambda: rate(url, library=False)
            )
    return Row(
        f"the same, {count} processes of {callers} callers, {kind}",
        "/s",
        mine,
        hand,
        f"by hand, {count} processes of 1",
        f"{goal:,}/s",
        lambda value, _: value >= goal,
    )


def against_snipz(scale: Scale, *, python: str | None, quick: bool) -> Row:
    """Rate beside another ledger's, both in SQLite and asked by as many callers."""
    name = f"reserve + settle, {scale.callers} callers, against snipz"
    target = "10 times its rate"
    if quick:
        return Row(name, "/s", target=target, skipped="not measured: --quick installs nothing")
    callers, each = scale.callers, scale.snipz_each
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        try:
            snipz = _install_snipz(Path(folder), python)
        except (OSError, subprocess.SubprocessError) as error:
            return Row(name, "/s", target=target, skipped=f"cannot be installed: {error}")

        def theirs() -> float:
            with tempfile.TemporaryDirectory(prefix="aegis-bench-") as place:
                command = [snipz, "-c", SNIPZ, f"{place}/snipz.db", str(callers), str(each)]
                return float(subprocess.check_output(command, text=True, timeout=60))

        def ours() -> float:
            with empty_ledger() as url:
                ledger = open_ledger(url)
                began = time.perf_counter()
                asyncio.run(pairs(ledger, callers=callers, each=each))
                took = time.perf_counter() - began
                ledger.close()
                return callers * each / took

        mine, other = interleaved(scale.rounds, ours, theirs)
    return Row(name, "/s", mine, other, "snipz 0.2.0", target, lambda _, ratio: ratio >= 10)


def _install_snipz(folder: Path, python: str | None) -> str:
    """An environment of its own, because it needs Python 3.13."""
    quiet: dict[str, Any] = {"check": True, "capture_output": True, "timeout": 120}
    subprocess.run([python or _newer_python(), "-m", "venv", folder], **quiet)
    inside = str(folder / "bin" / "python")
    subprocess.run([inside, "-m", "pip", "install", "--quiet", "snipz==0.2.0"], **quiet)
    return inside


def _newer_python() -> str:
    """The first that starts: a name may be there without the version behind it."""
    for name in ("python3.14", "python3.13"):
        found = shutil.which(name)
        if (
            found
            and subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0
        ):
            return found
    return sys.executable


def main() -> None:
    """Measure everything, and show it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke run; its figures say little")
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options.add_argument("--snipz-python", metavar="PYTHON", help="a Python 3.13 for snipz")
    chosen = options.parse_args()
    scale = QUICK if chosen.quick else Scale()
    report = Report()
    rows = [
        *one_caller(scale),
        *many_callers(scale),
        many_processes(scale, "SQLite"),
        many_processes(scale, "PostgreSQL"),
        against_snipz(scale, python=chosen.snipz_python, quick=chosen.quick),
        *large_ledger(scale),
    ]
    report.finish(rows, chosen.json)


if __name__ == "__main__":
    main()
