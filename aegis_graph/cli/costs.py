"""``aegis costs``: what a month cost, from the ledger's totals."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from aegis_graph.cli import DONE
from aegis_graph.cli.show import budget_lines
from aegis_graph.config import RouterConfig
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.base import BudgetStatus, CostRow, Ledger
from aegis_graph.ledger.windows import Days, days_of, local_day
from aegis_graph.money import usd_text
from aegis_graph.router import create_ledger, utc_now


def costs(options: argparse.Namespace) -> int:
    """Show a month's spending by provider, model, task, user or day."""
    config = RouterConfig.load(options.config)
    day = _day_of(options.month) if options.month else local_day(utc_now(), config.ledger.zone)
    rows, budgets = asyncio.run(
        _ask_ledger(create_ledger(config), options.by, days_of("month", day))
    )
    if options.json:
        print(json.dumps(_as_json(rows, budgets, options.by, day)))
        return DONE
    console = Console(highlight=False)
    if rows:
        console.print(_table(rows, options.by, day))
    else:
        console.print(f"Nothing was recorded in {day:%Y-%m} in {config.ledger.url}.", markup=False)
    for line in budget_lines(budgets):
        console.print(line, markup=False, soft_wrap=True)
    return DONE


def _day_of(month: str) -> date:
    try:
        return date.fromisoformat(f"{month}-01")
    except ValueError as error:
        raise ConfigError(f"--month: {month!r} is not a month like 2026-11") from error


async def _ask_ledger(
    ledger: Ledger, by: Any, days: Days
) -> tuple[list[CostRow], list[BudgetStatus]]:
    rows = await ledger.costs(by, first_day=days.first, end_day=days.end)
    return rows, await ledger.budgets()


def _table(rows: Sequence[CostRow], by: str, day: date) -> Table:
    title = f"Costs in {day:%Y-%m} by {by}"
    table = Table(title=title, title_justify="left", show_footer=True, box=SIMPLE)
    table.add_column(by, footer="total")
    numbers: list[tuple[str, list[int]]] = [
        ("calls", [row.calls for row in rows]),
        ("failed", [row.failures for row in rows]),
        ("tokens in", [row.input_tokens for row in rows]),
        ("tokens out", [row.output_tokens for row in rows]),
    ]
    for heading, values in numbers:
        table.add_column(heading, justify="right", footer=f"{sum(values):,}")
    spent, held = [row.spent_nano_usd for row in rows], [row.held_nano_usd for row in rows]
    table.add_column("USD", justify="right", footer=usd_text(sum(spent)))
    table.add_column("held USD", justify="right", footer=usd_text(sum(held)))
    for index, row in enumerate(rows):
        cells = [f"{values[index]:,}" for _, values in numbers]
        table.add_row(row.name, *cells, usd_text(spent[index]), usd_text(held[index]))
    return table


def _as_json(
    rows: Sequence[CostRow], budgets: Sequence[BudgetStatus], by: str, day: date
) -> dict[str, Any]:
    return {
        "month": f"{day:%Y-%m}",
        "by": by,
        "rows": [
            {
                by: row.name,
                "calls": row.calls,
                "failures": row.failures,
                "input_tokens": row.input_tokens,
                "output_tokens": row.output_tokens,
                "cost_usd": usd_text(row.spent_nano_usd),
                "held_usd": usd_text(row.held_nano_usd),
            }
            for row in rows
        ],
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
