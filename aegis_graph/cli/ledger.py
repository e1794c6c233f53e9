"""``aegis ledger``: migrate, prune, verify and reconcile."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from aegis_graph.cli import NOT_ADMITTED, OK
from aegis_graph.cli.configuration import load_config
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.output import TableColumn, new_console, print_table
from aegis_graph.clock import utc_now
from aegis_graph.config.budget_input import parse_usd
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.errors import ConfigError
from aegis_graph.ledger import maintenance
from aegis_graph.ledger.factory import calendar_of, create_ledger, create_store
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.maintenance import Difference, UnsettledHold
from aegis_graph.ledger.migrate import Migrated
from aegis_graph.ledger.migrate import migrate as copy_ledger
from aegis_graph.ledger.sqlite import SqliteStore
from aegis_graph.ledger.store import Store
from aegis_graph.pricing.money import to_nano_usd, usd_text


def migrate(options: argparse.Namespace) -> int:
    """Copy a SQLite ledger into PostgreSQL, and say what is there now."""
    spec = load_config(options).ledger
    if options.source is None and options.target is None:
        raise ConfigError("name the other ledger: --from sqlite:///FILE or --to postgresql://...")
    source = _store("--from", options.source, spec)
    target = _store("--to", options.target, spec)
    if not isinstance(source, SqliteStore):
        raise ConfigError("--from: not a SQLite ledger (sqlite:///FILE)")
    if isinstance(target, SqliteStore):
        raise ConfigError("--to: not a PostgreSQL ledger (postgresql://...)")
    # Opening it would make an empty one.
    if not source.exists():
        raise ConfigError(f"--from: there is no ledger {source.path}")
    done = _copy(source, target)
    spent, held = usd_text(done.spent_nano_usd), usd_text(done.held_nano_usd)
    if options.json:
        print(json.dumps({"rows": done.rows, "spent_usd": spent, "held_usd": held}))
    else:
        print(f"{done.rows:,} rows, ${spent} spent and ${held} held are there now, as in the file.")
        print("Point ledger.url at it before anything is written to the old one again.")
    return OK


def _store(option: str, url: str | None, spec: LedgerSpec) -> Store:
    if url is None:
        return create_store(spec)
    try:
        given = LedgerSpec.model_validate({**spec.model_dump(), "url": url})
    except ValidationError as error:
        # The address may hold a password: it is not repeated.
        raise ConfigError(f"{option}: not an address of a ledger") from error
    return create_store(given)


def _copy(source: Store, target: Store) -> Migrated:
    columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("rows", total=None)
        return copy_ledger(
            source,
            target,
            progress=lambda done, rows: bar.update(task, completed=done, total=rows),
        )


def prune(options: argparse.Namespace) -> int:
    """Drop old rows; the totals stay."""
    config = load_config(options)
    zone = calendar_of(config.ledger).zone
    before = _day(options.before)
    # A day to come would drop every settled row: it is taken for a slip.
    if before > calendar_of(config.ledger).day(utc_now()):
        raise ConfigError(f"--before: {before} is in the future")
    ledger = create_ledger(config)
    done = run_async(maintenance.prune(ledger, before, zone=zone))
    if options.json:
        counts = {"rows": done.rows, "unanswered": done.unanswered, "open_holds": done.open_holds}
        print(json.dumps({"before": before.isoformat(), **counts}))
        return OK
    print(
        f"{done.rows:,} rows and {done.unanswered:,} unanswered requests from before {before}"
        " are gone; every total stays as it was."
    )
    if done.open_holds:
        print(f"{done.open_holds:,} rows without an outcome stay: see `aegis ledger reconcile`.")
    return OK


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--before: {text!r} is not a day like 2026-11-23") from error


def verify(options: argparse.Namespace) -> int:
    """Recompute every total from the rows; status 3 when one differs."""
    config = load_config(options)
    found = run_async(maintenance.verify(create_ledger(config)))
    if options.json:
        print(json.dumps({"equal": not found, "differences": [row._asdict() for row in found]}))
    elif found:
        print_table(new_console(), "Totals that differ from their rows", list(_differences(found)))
    else:
        print("Every total is the sum of its rows.")
    return NOT_ADMITTED if found else OK


def _differences(found: Sequence[Difference]) -> Iterator[TableColumn]:
    yield TableColumn("scope", [row.scope for row in found])
    yield TableColumn("day", [row.day for row in found])
    yield TableColumn("column", [row.column for row in found])
    yield TableColumn("total", [f"{row.total:,}" for row in found], number=True, rank=1)
    yield TableColumn("rows", [f"{row.rows:,}" for row in found], number=True, rank=2)
    much = [f"{row.total - row.rows:,}" for row in found]
    yield TableColumn("too much", much, number=True)


def reconcile(options: argparse.Namespace) -> int:
    """List the attempts that never reported, give one its real cost, or compare a bill."""
    config = load_config(options)
    if options.bill is not None:
        # Loaded where a bill is compared; listing holds needs none of it.
        from aegis_graph.cli.bills import reconcile_bill  # noqa: PLC0415

        return reconcile_bill(options, create_ledger(config))
    ledger = create_ledger(config)
    if options.id is not None:
        return _settle(ledger, options)
    found = run_async(ledger.read(maintenance.open_holds(utc_now())))
    if options.json:
        print(json.dumps({"open_holds": [_as_json(hold) for hold in found]}))
    elif found:
        print_table(new_console(), "Attempts that never reported", list(_holds(found)))
    else:
        print("Every attempt has reported what it cost.")
    return OK


def _settle(ledger: SqlLedger, options: argparse.Namespace) -> int:
    # argparse cannot say that two optional arguments come together.
    if options.usd is None:
        raise ConfigError("reconcile: ID and USD belong together")
    cost = to_nano_usd(parse_usd(options.usd))
    alerts = run_async(ledger.reconcile(options.id, cost))
    done = f"row {options.id} is settled to ${usd_text(cost)}"
    print(json.dumps({"id": options.id, "cost_usd": usd_text(cost)}) if options.json else done)
    # An alert is given once: what this one makes due is shown here or never.
    for alert in alerts:
        share = f"${usd_text(alert.spent_nano_usd)} of ${usd_text(alert.limit_nano_usd)}"
        print(f"aegis: budget {alert.scope} per {alert.window}: {share} spent", file=sys.stderr)
    return OK


def _state(hold: UnsettledHold) -> str:
    """What the money of a hold is now."""
    if hold.status == "expired":
        return "expired: counts as spent"
    return "reserved: lease over" if hold.overdue else "reserved: may still be running"


def _as_json(hold: UnsettledHold) -> dict[str, Any]:
    return {
        "id": hold.id,
        "status": hold.status,
        "overdue": hold.overdue,
        "age_s": round(hold.age.total_seconds(), 3),
        "hold_usd": usd_text(hold.nano_usd),
        "provider": hold.provider,
        "model": hold.model,
        "route_id": hold.route_id,
    }


def _holds(found: Sequence[UnsettledHold]) -> Iterator[TableColumn]:
    ages = [str(timedelta(seconds=int(hold.age.total_seconds()))) for hold in found]
    yield TableColumn("id", [str(hold.id) for hold in found], number=True)
    yield TableColumn("age", ages, number=True, rank=1)
    yield TableColumn("USD", [usd_text(hold.nano_usd) for hold in found], number=True)
    yield TableColumn("state", [_state(hold) for hold in found], wraps=True)
    yield TableColumn("provider", [hold.provider for hold in found], rank=2)
    yield TableColumn("model", [hold.model for hold in found], rank=3)
    yield TableColumn("route", [hold.route_id for hold in found], rank=4)
