"""Rows about a ledger with a year in it: a report, an export, and its size."""

from __future__ import annotations

import asyncio
import csv
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from support import Scale, create_tables, open_ledger, p50_ms, p50_ms_async, processes
from table import Row, interleaved

from aegis_graph.clock import utc_now
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.ledger.factory import calendar_of


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
        return asyncio.run(p50_ms_async(scale.questions, ask))

    def hand() -> float:
        sql = (
            "SELECT scope, sum(spent_nano_usd) FROM totals WHERE scope >= 'provider:'"
            " AND scope < 'provider;' AND day >= ? AND day < ? GROUP BY scope"
        )
        with closing(sqlite3.connect(many)) as connection:
            once = lambda: connection.execute(sql, (days.first, days.end)).fetchall()  # noqa: E731
            return p50_ms(scale.questions, once)

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


def resident_mb(*, peak: bool = False) -> float:
    """Memory of this process, now or at most since it was asked for the present."""
    status = Path("/proc/self/status").read_text().splitlines()
    if not peak:
        # Forgets the peak before: a forked process starts with that of its parent.
        Path("/proc/self/clear_refs").write_text("5")
    line = next(line for line in status if line.startswith("VmHWM:" if peak else "VmRSS:"))
    return int(line.split()[1]) / 1024


def fill(path: Path, rows: int) -> None:
    """Write settled attempts of a year and their totals, by plain SQL."""
    create_tables(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task,"
            " sensitivity, user_id, thread_id, query_hash, status, cost_basis, hold_nano_usd,"
            " cost_nano_usd, input_tokens, output_tokens, latency_ms, expires_at)"
            " VALUES (?, ?, ?, 1, ?, ?, ?, 'internal', ?, ?, ?, 'answered', 'reported',"
            " 2000000, ?, ?, ?, ?, ?)",
            _attempts(rows),
        )
        scopes = {"total": "'total'"}
        names = {"provider": "provider", "model": "model", "task": "task", "user": "user_id"}
        scopes |= {kind: f"'{kind}:' || {column}" for kind, column in names.items()}
        for scope in scopes.values():
            connection.execute(
                "INSERT INTO totals (scope, day, spent_nano_usd, calls, input_tokens,"
                f" output_tokens) SELECT {scope} AS scope, day, sum(cost_nano_usd), count(*),"
                " sum(input_tokens), sum(output_tokens) FROM requests GROUP BY 1, day"
            )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _attempts(rows: int) -> Iterator[tuple[Any, ...]]:
    dice = random.Random(7)
    # The last of them is now, so that this month has its share.
    began, step = utc_now() - timedelta(days=365), timedelta(days=365) / rows
    places = [("ollama", "llama3.2:3b"), ("openai", "gpt-4.1-mini"), ("qwen", "qwen-plus")]
    tasks = ["chat", "extraction", "summarization", "reasoning"]
    for number in range(1, rows + 1):
        moment = began + number * step
        at = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        drawn = dice.getrandbits(512)
        yield (
            at,
            at[:10],
            f"{drawn & (1 << 128) - 1:032x}",
            *places[drawn % 3],
            tasks[drawn % 4],
            f"user-{drawn % 100:04d}",
            f"thread-{drawn % 10_000:06d}",
            f"{drawn >> 256:064x}",
            drawn % 2_000_000,
            drawn % 3000,
            drawn % 900,
            drawn % 9000,
            at,
        )
