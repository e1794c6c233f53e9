"""``aegis budgets``: the limits in force, and changing them while everything runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from rich.table import Table
from rich.text import Text

from aegis_graph.cli import OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.output import new_console, new_table
from aegis_graph.clock import utc_now
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.budgets import in_force
from aegis_graph.ledger.factory import calendar_of, create_ledger
from aegis_graph.ledger.records import Budget, BudgetStatus
from aegis_graph.ledger.scopes import each_prefix
from aegis_graph.ledger.windows import ALL_DAYS
from aegis_graph.pricing.money import limit_nano_usd, usd_text


def budgets(options: argparse.Namespace) -> int:
    """Show every limit: what is spent, held and left of it, when it ends, where it comes from."""
    config = load_config(options)
    rows, removed = run_async(_budgets_in_force(config))
    if options.json:
        found = {"timezone": config.ledger.timezone, "budgets": [_as_json(row) for row in rows]}
        print(json.dumps({**found, "removed": removed}))
        return OK
    console = new_console()
    if rows:
        console.print(_table(config, rows))
    else:
        console.print(
            f"No budget is in force in {config.ledger.url_without_password}.", markup=False
        )
    for name in removed:
        print(f"Removed by `aegis budgets remove`, though the configuration has it: {name}")
    return OK


def set_budget(options: argparse.Namespace) -> int:
    """Set a limit for the next request of every process."""
    config = load_config(options)
    kind, _, subject = options.scope.partition(":")
    # A limit for a misspelled provider would hold nothing back.
    names = [provider.name for provider in config.providers]
    if kind == "provider" and subject not in names:
        raise ConfigError(
            f"budget scope: no provider is named {subject!r}; there are {', '.join(names)}"
        )
    limit = parse_usd(options.usd)
    run_async(create_ledger(config).set_budget(options.scope, options.window, limit))
    name = _name(options.scope, options.window)
    return _report(
        options, f"budget {name} is ${usd_text(limit_nano_usd(limit))} now", changed=True
    )


def remove_budget(options: argparse.Namespace) -> int:
    """Take a limit away for the next request of every process."""
    config = load_config(options)
    existed = run_async(create_ledger(config).set_budget(options.scope, options.window, None))
    name = _name(options.scope, options.window)
    done = f"budget {name} is removed" if existed else f"there is no budget {name}"
    return _report(options, done, changed=existed)


def parse_usd(text: str) -> Decimal:
    """An amount of money as a person types it.

    Raises:
        ConfigError: It is not one that the ledger can hold.
    """
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ConfigError(f"{text!r} is not an amount in USD like 12.50") from error
    # First, because comparing a decimal that is no number raises.
    if amount.is_nan() or not 0 <= amount <= _MOST_USD:
        raise ConfigError(f"{text!r} is not an amount from 0 to {_MOST_USD} USD")
    return amount


_MOST_USD = 9_000_000_000
"""What fits into 64 bits as nano-USD, rounded."""


def _report(options: argparse.Namespace, done: str, *, changed: bool) -> int:
    print(json.dumps({"changed": changed, "message": done}) if options.json else done)
    return OK


def _name(scope: str, window: str) -> str:
    return f"{scope} per {window}"


async def _budgets_in_force(config: RouterConfig) -> tuple[list[BudgetStatus], list[str]]:
    """Every limit in force, and the names of those of the configuration that are not."""
    ledger = create_ledger(config)
    rows = await ledger.budgets()
    limits = await ledger.read(in_force())
    there = {(limit.scope, limit.window) for limit in limits}
    removed = [
        _name(spec.scope, spec.window)
        for spec in config.budgets
        if (spec.scope, spec.window) not in there
    ]
    return [*rows, *_unused(config, limits, rows)], removed


def _unused(
    config: RouterConfig, limits: Sequence[Budget], rows: Sequence[BudgetStatus]
) -> Iterator[BudgetStatus]:
    """The limits of each user or tag's value where none has spent: the ledger has none to name."""
    calendar = calendar_of(config.ledger)
    for limit in limits:
        prefix = each_prefix(limit.scope)
        if prefix is None:
            continue
        # One with a limit of its own is always listed: with no more rows than those, none has
        # spent.
        listed, named = (
            sum(one.window == limit.window and one.scope.startswith(prefix) for one in some)
            for some in (rows, [one for one in limits if one is not limit])
        )
        if listed == named:
            days = calendar.days_now(limit.window, utc_now())
            yield BudgetStatus(
                limit.scope, limit.window, limit.limit_nano_usd, 0, 0, *days, limit.origin
            )


def _until(row: BudgetStatus) -> str | None:
    return None if row.end_day == ALL_DAYS.end else row.end_day


def _as_json(row: BudgetStatus) -> dict[str, Any]:
    return {
        "scope": row.scope,
        "window": row.window,
        "limit_usd": usd_text(row.limit_nano_usd),
        "spent_usd": usd_text(row.spent_nano_usd),
        "held_usd": usd_text(row.held_nano_usd),
        "left_usd": usd_text(row.left_nano_usd),
        "until": _until(row),
        "origin": row.origin,
    }


def _table(config: RouterConfig, rows: Sequence[BudgetStatus]) -> Table:
    title = f"Budgets in USD (days end at midnight in {config.ledger.timezone})"
    table = new_table(title)
    # On a narrow terminal names are folded; an amount that is cut would be a wrong one.
    table.add_column("scope", overflow="fold")
    table.add_column("window", no_wrap=True)
    for heading in ("limit", "spent", "held", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("until", "from"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        amounts = (row.limit_nano_usd, row.spent_nano_usd, row.held_nano_usd, row.left_nano_usd)
        # Names come from users; what looks like markup in them is text.
        cells = [Text(row.scope), row.window, *map(usd_text, amounts)]
        table.add_row(*cells, _until(row) or "never", row.origin)
    return table
