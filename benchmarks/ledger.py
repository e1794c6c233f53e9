"""Measure the ledger beside what it is compared with, in one run: ``make bench``."""

from __future__ import annotations

import argparse
import asyncio
import csv
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeVar
from unittest import mock

import aiosqlite
from support import (
    ByHandAsync,
    by_hand,
    create_tables,
    empty_ledger,
    fill,
    open_ledger,
    pair,
    pairs,
    postgres_server,
    processes,
    rate_of_processes,
    resident_mb,
)
from table import Report, Row, interleaved

from aegis_graph.ledger import writer
from aegis_graph.ledger.factory import calendar_of, utc_now
from aegis_graph.specs import LedgerSpec

T = TypeVar("T")

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


@dataclass(frozen=True)
class Scale:
    """How much is done; the small one only proves that everything runs."""

    rounds: int = 5
    pairs: int = 400
    """Reserve and settle, of one caller."""
    each: int = 40
    """The same, of each of many callers."""
    processes: int = 8
    callers: int = 25
    snipz_each: int = 20
    rows: int = 1_000_000
    few_rows: int = 1000
    questions: int = 200


QUICK = Scale(
    rounds=1, pairs=10, each=2, processes=2, callers=4, snipz_each=1, rows=5000, questions=5
)


def _p50_ms(count: int, once: Callable[[], object]) -> float:
    once()
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        once()
        taken.append(time.perf_counter() - began)
    return median(taken) * 1000


async def _p50_ms_async(count: int, once: Callable[[], Any]) -> float:
    await once()
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        await once()
        taken.append(time.perf_counter() - began)
    return median(taken) * 1000


def one_caller(scale: Scale) -> list[Row]:
    """Latency without competition, on the disk."""

    def ours() -> float:
        with empty_ledger() as url:
            ledger = open_ledger(url)
            found = asyncio.run(_p50_ms_async(scale.pairs, lambda: pair(ledger)))
            ledger.close()
            return found

    async def over_aiosqlite(url: str) -> float:
        path = url.removeprefix("sqlite:///")
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await connection.execute("PRAGMA synchronous = FULL")
            return await _p50_ms_async(scale.pairs, ByHandAsync(connection).pair)

    def floor() -> float:
        with empty_ledger() as url:
            return asyncio.run(over_aiosqlite(url))

    def bare() -> float:
        with empty_ledger() as url, by_hand(url) as once:
            return _p50_ms(scale.pairs, once)

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
    found = python or shutil.which("python3.14") or shutil.which("python3.13") or sys.executable
    quiet: dict[str, Any] = {"check": True, "capture_output": True, "timeout": 120}
    subprocess.run([found, "-m", "venv", folder], **quiet)
    inside = str(folder / "bin" / "python")
    subprocess.run([inside, "-m", "pip", "install", "--quiet", "snipz==0.2.0"], **quiet)
    return inside


def large_ledger(scale: Scale) -> list[Row]:
    """A report, an export and the size of a ledger with a year in it."""
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        few, many = Path(folder, "few.db"), Path(folder, "many.db")
        fill(few, scale.few_rows)
        fill(many, scale.rows)
        return [*_reports(scale, few, many), *_exports(scale, many), _size(scale, many)]


def _reports(scale: Scale, few: Path, many: Path) -> list[Row]:
    days = calendar_of(LedgerSpec()).days_now("month", utc_now())
    question: dict[str, Any] = {"first_day": days.first, "end_day": days.end}

    def ours(path: Path) -> float:
        ledger = open_ledger(f"sqlite:///{path}")
        assert asyncio.run(ledger.report("provider", **question))
        ask = lambda: ledger.report("provider", **question)  # noqa: E731
        return asyncio.run(_p50_ms_async(scale.questions, ask))

    def hand() -> float:
        sql = (
            "SELECT scope, sum(spent_nano_usd) FROM totals WHERE scope >= 'provider:'"
            " AND scope < 'provider;' AND day >= ? AND day < ? GROUP BY scope"
        )
        with closing(sqlite3.connect(many)) as connection:
            once = lambda: connection.execute(sql, (days.first, days.end)).fetchall()  # noqa: E731
            return _p50_ms(scale.questions, once)

    large, small, floor = interleaved(scale.rounds, lambda: ours(many), lambda: ours(few), hand)
    name = f"month's spend per provider, {scale.rows:,} rows"
    return [
        Row(name, "ms p50", large, floor, "by hand", "1 ms", lambda value, _: value <= 1),
        Row(
            f"{name} (few rows)",
            "ms p50",
            large,
            small,
            f"ours, {scale.few_rows:,} rows",
            "no slower",
            # A tenth is what two equal runs differ by on a busy machine.
            lambda _, ratio: ratio <= 1.1,
        ),
    ]


def _exports(scale: Scale, path: Path) -> list[Row]:
    def run(body: Callable[[Path, Any], None]) -> tuple[float, float]:
        ours, theirs = processes.Pipe()
        worker = processes.Process(target=body, args=(path, theirs), daemon=True)
        worker.start()
        assert ours.poll(120), "the export says nothing"
        seconds, megabytes = ours.recv()
        worker.join()
        return scale.rows / seconds, megabytes

    rounds = min(scale.rounds, 3)
    mine, hand = interleaved(rounds, lambda: run(_export), lambda: run(_export_by_hand))
    (rates, memory), (hand_rates, hand_memory) = zip(*mine, strict=True), zip(*hand, strict=True)
    name = f"CSV export of {scale.rows:,} rows"
    fast, small = (lambda value, _: value >= 200_000), (lambda value, _: value < 50)
    return [
        Row(name, "rows/s", rates, hand_rates, "by hand, csv", "200,000 rows/s", fast),
        Row(
            f"{name}, memory", "MB more", memory, hand_memory, "by hand, csv", "under 50 MB", small
        ),
    ]


def _export(path: Path, pipe: Any) -> None:
    ledger = open_ledger(f"sqlite:///{path}")
    asyncio.run(ledger.report("provider", first_day="2000-01-01", end_day="2000-01-02"))
    with Path(f"{path}.ours.csv").open("wb") as stream:
        pipe.send(_costs_of(lambda: asyncio.run(ledger.export(stream, format="csv"))))


def _export_by_hand(path: Path, pipe: Any) -> None:
    with closing(sqlite3.connect(path)) as base, Path(f"{path}.csv").open("w", newline="") as file:
        rows = base.execute("SELECT * FROM requests ORDER BY id")
        pipe.send(_costs_of(lambda: csv.writer(file).writerows(rows)))


def _costs_of(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and by how many megabytes the process grew at most."""
    before, began = resident_mb(), time.perf_counter()
    work()
    return time.perf_counter() - began, max(resident_mb(peak=True) - before, 0.1)


def _size(scale: Scale, path: Path) -> Row:
    size = path.stat().st_size / scale.rows
    with closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(requests)")]
        lengths = " + ".join(f"coalesce(length({column}), 0)" for column in columns)
        text = connection.execute(f"SELECT avg({lengths}) FROM requests").fetchone()[0]
    return Row(
        f"size at {scale.rows:,} rows, with indexes and totals",
        "bytes/row",
        [size],
        [text],
        "its values as text",
        "at most 400",
        lambda value, _: value <= 400,
    )


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
