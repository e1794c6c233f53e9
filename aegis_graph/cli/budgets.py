"""``aegis budgets``: the limits in force, and changing them while everything runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aegis_graph.cli import OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.limits import LIMITS_TITLE, limit_columns, limits_as_json, limits_in_use
from aegis_graph.cli.output import TableColumn, new_console, print_lines, print_table
from aegis_graph.clock import utc_now
from aegis_graph.config.budget_input import check_scope, parse_usd
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.ledger.approvals import BudgetRaise
from aegis_graph.ledger.budgets import in_force
from aegis_graph.ledger.factory import calendar_of, create_ledger
from aegis_graph.ledger.limit_status import LimitStatus
from aegis_graph.ledger.records import Budget, BudgetStatus
from aegis_graph.ledger.scopes import each_prefix
from aegis_graph.ledger.windows import ALL_DAYS
from aegis_graph.pricing.money import limit_nano_usd, usd_text
from aegis_graph.text.foreign import clean_text


def budgets(options: argparse.Namespace) -> int:
    """Show every limit: what is spent, held and left of it, when it ends, where it comes from."""
    config = load_config(options)
    rows, removed, limits, raised = run_async(_in_force(config))
    if options.json:
        found = {
            "timezone": config.ledger.timezone,
            "budgets": [_as_json(row, config) for row in rows],
        }
        more = {"limits": limits_as_json(limits), "raises": [_raise_as_json(one) for one in raised]}
        print(json.dumps({**found, "removed": removed, **more}))
        return OK
    console = new_console()
    if rows:
        title = f"Budgets in USD (days end at midnight in {config.ledger.timezone})"
        print_table(console, title, list(_columns(rows, config)))
    else:
        nothing = f"No budget is in force in {config.ledger.url_without_password}."
        print_lines(console, [nothing])
    why = "Removed by `aegis budgets remove`, though the configuration has it"
    print_lines(console, [f"{why}: {name}" for name in removed])
    print_lines(console, [_raise_line(one) for one in raised])
    if limits:
        print_table(console, LIMITS_TITLE, list(limit_columns(limits)))
    return OK


def set_budget(options: argparse.Namespace) -> int:
    """Set a limit for the next request of every process."""
    config = load_config(options)
    check_scope(config, options.scope)
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


def _report(options: argparse.Namespace, done: str, *, changed: bool) -> int:
    print(json.dumps({"changed": changed, "message": done}) if options.json else done)
    return OK


def _name(scope: str, window: str) -> str:
    return f"{scope} per {window}"


class _Shown(NamedTuple):
    """What is in force."""

    budgets: list[BudgetStatus]
    removed: list[str]
    """The names of the configuration's budgets that are not."""
    limits: list[LimitStatus]
    raises: list[BudgetRaise]


async def _in_force(config: RouterConfig) -> _Shown:
    ledger = create_ledger(config)
    rows = await ledger.budgets()
    limits = await ledger.read(in_force())
    there = {(limit.scope, limit.window) for limit in limits}
    removed = [
        _name(spec.scope, spec.window)
        for spec in config.budgets
        if (spec.scope, spec.window) not in there
    ]
    in_use = await limits_in_use(ledger, config)
    budgets = [*_with_rules(config, limits, rows)]
    return _Shown(budgets, removed, in_use, await ledger.raises())


def _with_rules(
    config: RouterConfig, limits: Sequence[Budget], rows: Sequence[BudgetStatus]
) -> Iterator[BudgetStatus]:
    """The budgets, and each rule such as ``user:*`` above those that it made."""
    calendar = calendar_of(config.ledger)
    left, named = list(rows), {(limit.scope, limit.window) for limit in limits}
    for limit in limits:
        prefix = each_prefix(limit.scope)
        own = [
            row
            for row in left
            if row.window == limit.window
            and (
                row.scope == limit.scope
                if prefix is None
                else row.scope.startswith(prefix) and (row.scope, row.window) not in named
            )
        ]
        if prefix is not None:
            days = calendar.days_now(limit.window, utc_now())
            yield BudgetStatus(
                limit.scope, limit.window, limit.limit_nano_usd, 0, 0, *days, limit.origin
            )
        yield from own
        left = [row for row in left if row not in own]
    yield from left


def _origin(row: BudgetStatus, config: RouterConfig) -> str:
    """Where a limit comes from, as a person knows it."""
    return "default" if row.origin == "file" and not config.is_from_file else row.origin


def _until(row: BudgetStatus) -> str | None:
    return None if row.end_day == ALL_DAYS.end else row.end_day


def _raise_line(one: BudgetRaise) -> str:
    name, by = _name(one.scope, one.window), clean_text(one.approved_by)
    when = f"{one.timestamp[:16].replace('T', ' ')} UTC"
    return f"{name} was raised by ${usd_text(one.nano_usd)} on {when} by {by}, for {one.route_id}"


def _raise_as_json(one: BudgetRaise) -> dict[str, Any]:
    facts = one._asdict()
    return {"raised_usd": usd_text(facts.pop("nano_usd")), **facts}


def _as_json(row: BudgetStatus, config: RouterConfig) -> dict[str, Any]:
    return {
        "scope": row.scope,
        "window": row.window,
        "limit_usd": usd_text(row.limit_nano_usd),
        "raised_usd": usd_text(row.raised_nano_usd),
        "spent_usd": usd_text(row.spent_nano_usd),
        "held_usd": usd_text(row.held_nano_usd),
        "left_usd": usd_text(row.left_nano_usd),
        "until": _until(row),
        "origin": _origin(row, config),
    }


def _columns(rows: Sequence[BudgetStatus], config: RouterConfig) -> Iterator[TableColumn]:
    yield TableColumn("scope", [row.scope for row in rows])
    yield TableColumn("window", [row.window for row in rows])
    yield TableColumn("limit", [usd_text(row.limit_nano_usd) for row in rows], number=True)
    if any(row.raised_nano_usd for row in rows):
        cells = [usd_text(row.raised_nano_usd) for row in rows]
        yield TableColumn("raised", cells, number=True, rank=4)
    amounts: tuple[tuple[str, int, list[int]], ...] = (
        ("spent", 2, [row.spent_nano_usd for row in rows]),
        ("held", 3, [row.held_nano_usd for row in rows]),
        ("left", 1, [row.left_nano_usd for row in rows]),
    )
    for heading, rank, values in amounts:
        # A rule for each user has spent nothing: its users have, and stand below it.
        cells = [
            "each" if each_prefix(row.scope) is not None else usd_text(value)
            for row, value in zip(rows, values, strict=True)
        ]
        yield TableColumn(heading, cells, number=True, rank=rank)
    yield TableColumn("until", [_until(row) or "never" for row in rows], rank=4)
    yield TableColumn("from", [_origin(row, config) for row in rows], rank=5)
