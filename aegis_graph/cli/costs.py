"""``aegis costs``: what a month or all months cost, from the ledger's totals."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from aegis_graph.cli import OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.output import (
    TableColumn,
    budget_lines,
    new_console,
    print_lines,
    print_table,
)
from aegis_graph.clock import utc_now
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.factory import calendar_of, create_ledger
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.ledger.report_rows import CostRow, Latency
from aegis_graph.ledger.row_selection import RowSelection
from aegis_graph.ledger.windows import ALL_DAYS, Calendar, Days
from aegis_graph.pricing.money import usd_text
from aegis_graph.text.spreadsheet import escape_formula


def costs(options: argparse.Namespace) -> int:
    """Show spending by provider, model, task, user, day, month or run."""
    config = load_config(options)
    by, month, days = options.by, *_period(options, calendar_of(config.ledger))
    saved = _baseline(config, by, days) if options.savings else None
    ledger = create_ledger(config)
    found = run_async(_ask_ledger(ledger, by, days, latency=options.latency, saved=saved))
    rows, budgets, baseline = found
    if options.json or options.format == "json":
        cells = [_cells(row, by, latency=options.latency) | _savings(row, baseline) for row in rows]
        print(json.dumps(_as_json(cells, budgets, by, month)))
        return OK
    if options.format == "csv":
        _print_csv(rows, by, latency=options.latency, baseline=baseline)
        return OK
    console = new_console()
    when = f" in {month}" if month else ""
    if rows:
        columns = list(_columns(rows, by, latency=options.latency))
        columns += _savings_columns(rows, baseline, config.routing.baseline)
        print_table(console, f"Costs{when} by {by}", columns, elsewhere="--format csv")
    else:
        nothing = f"Nothing was recorded{when} in {config.ledger.url_without_password}."
        print_lines(console, [nothing])
    print_lines(console, budget_lines(budgets))
    return OK


def _period(options: argparse.Namespace, calendar: Calendar) -> tuple[str | None, Days]:
    """The month to show and its days; months beside each other are all of them."""
    if options.by == "month" and not options.month:
        return None, ALL_DAYS
    day = _day_of(options.month) if options.month else calendar.day(utc_now())
    return f"{day:%Y-%m}", calendar.days("month", day)


def _day_of(month: str) -> date:
    try:
        return date.fromisoformat(f"{month}-01")
    except ValueError as error:
        raise ConfigError(f"--month: {month!r} is not a month like 2026-11") from error


def _baseline(config: RouterConfig, by: str, days: Days) -> Query[Counter[str]]:
    # Imported here: a price needs the providers, and these LangChain, which other reports do not.
    from aegis_graph.providers.baseline import baseline_costs, baseline_price  # noqa: PLC0415

    embedders = frozenset(row.model for row in config.embeddings)
    return baseline_costs(by, RowSelection(days=days), baseline_price(config), embedders=embedders)


async def _ask_ledger(
    ledger: SqlLedger, by: Any, days: Days, *, latency: bool, saved: Query[Counter[str]] | None
) -> tuple[list[CostRow], list[BudgetStatus], Counter[str] | None]:
    rows = await ledger.report(by, first_day=days.first, end_day=days.end, latency=latency)
    baseline = None if saved is None else await ledger.read(saved)
    return rows, await ledger.budgets(), baseline


def _columns(rows: Sequence[CostRow], by: str, *, latency: bool) -> Iterator[TableColumn]:
    yield TableColumn(by, [row.name for row in rows], "total")
    numbers: tuple[tuple[str, int, list[int]], ...] = (
        ("calls", 1, [row.calls for row in rows]),
        ("failed", 4, [row.failures for row in rows]),
        ("tokens in", 5, [row.input_tokens for row in rows]),
        ("tokens out", 6, [row.output_tokens for row in rows]),
    )
    for heading, rank, values in numbers:
        cells = [f"{value:,}" for value in values]
        yield TableColumn(heading, cells, f"{sum(values):,}", number=True, rank=rank)
    amounts: tuple[tuple[str, int, list[int]], ...] = (
        ("USD", 0, [row.spent_nano_usd for row in rows]),
        ("held USD", 3, [row.held_nano_usd for row in rows]),
    )
    for heading, rank, nano_usd in amounts:
        cells = [usd_text(value) for value in nano_usd]
        yield TableColumn(heading, cells, usd_text(sum(nano_usd)), number=True, rank=rank)
    for number, name in enumerate(Latency._fields if latency else ()):
        known = [None if row.latency_ms is None else row.latency_ms[number] for row in rows]
        cells = ["" if value is None else f"{value:,}" for value in known]
        yield TableColumn(f"{name} ms", cells, number=True, rank=7 + number)
    if any(row.queued_ms for row in rows):
        queued = ["" if row.queued_ms is None else f"{row.queued_ms.p95:,}" for row in rows]
        yield TableColumn("queued p95 ms", queued, number=True, rank=10)


def _savings_columns(
    rows: Sequence[CostRow], baseline: Counter[str] | None, name: str | None
) -> list[TableColumn]:
    if baseline is None:
        return []
    there = [baseline[row.name] for row in rows]
    saved = [cost - row.spent_nano_usd for cost, row in zip(there, rows, strict=True)]
    return [
        TableColumn(heading, [usd_text(one) for one in values], usd_text(sum(values)), number=True)
        for heading, values in ((f"at {name} USD", there), ("saved USD", saved))
    ]


def _savings(row: CostRow, baseline: Counter[str] | None) -> dict[str, str]:
    if baseline is None:
        return {}
    there = baseline[row.name]
    return {
        "baseline_usd": usd_text(there),
        "saved_usd": usd_text(there - row.spent_nano_usd),
    }


def _print_csv(
    rows: Sequence[CostRow], by: str, *, latency: bool, baseline: Counter[str] | None
) -> None:
    """The rows for a spreadsheet, which takes no name for a formula."""
    # From a row of zeros, so that a month without calls has its heading too.
    names = list(_cells(_NOTHING, by, latency=latency) | _savings(_NOTHING, baseline))
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = _cells(row, by, latency=latency) | _savings(row, baseline)
        writer.writerow({**cells, by: escape_formula(row.name)})


_NOTHING = CostRow("", 0, 0, 0, 0, 0, 0)


def _cells(row: CostRow, by: str, *, latency: bool) -> dict[str, Any]:
    cells = {
        by: row.name,
        "calls": row.calls,
        "failures": row.failures,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cost_usd": usd_text(row.spent_nano_usd),
        "held_usd": usd_text(row.held_nano_usd),
    }
    for name in Latency._fields if latency else ():
        cells[f"latency_{name}_ms"] = getattr(row.latency_ms, name, None)
    for name in Latency._fields if latency else ():
        cells[f"queued_{name}_ms"] = getattr(row.queued_ms, name, None)
    return cells


def _as_json(
    rows: Sequence[dict[str, Any]], budgets: Sequence[BudgetStatus], by: str, month: str | None
) -> dict[str, Any]:
    return {
        "month": month,
        "by": by,
        "rows": list(rows),
        "budgets": [
            {
                "scope": budget.scope,
                "window": budget.window,
                "limit_usd": usd_text(budget.limit_nano_usd),
                "spent_usd": usd_text(budget.spent_nano_usd),
                "held_usd": usd_text(budget.held_nano_usd),
                "left_usd": usd_text(budget.left_nano_usd),
                "until": budget.end_day,
            }
            for budget in budgets
        ],
    }
