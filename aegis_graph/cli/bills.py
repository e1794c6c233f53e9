"""``aegis ledger reconcile --bill``: what a provider billed, beside what the ledger has."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from aegis_graph.cli import OK
from aegis_graph.cli.interrupts import run_async
from aegis_graph.cli.output import TableColumn, new_console, print_table
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.bills.bill_line import BillLine
from aegis_graph.ledger.bills.booked import booked_calls
from aegis_graph.ledger.bills.comparison import CAUSES, ComparedGroup, compare
from aegis_graph.ledger.bills.held_shares import held_corrections
from aegis_graph.ledger.bills.reading import read_bill
from aegis_graph.ledger.corrections import Correction
from aegis_graph.ledger.ledger import SqlLedger

WORDS = {
    "held": "holds not settled",
    "late": "late",
    "not_ours": "not ours",
    "cache": "cache",
    "tier": "tier",
    "price": "price drift",
    "rounding": "rounding",
}
"""What each cause is called in a table."""


def reconcile_bill(options: argparse.Namespace, ledger: SqlLedger) -> int:
    """Compare a bill with the ledger, and correct what was only held if that is wanted."""
    lines = _lines(options)
    periods = {line.period for line in lines}
    booked = run_async(ledger.read(booked_calls(periods)))
    names = sorted({line.provider for line in lines})
    if not {one.provider for one in booked} & set(names):
        known = ", ".join(sorted({one.provider for one in booked})) or "none"
        raise ConfigError(
            f"the ledger has no calls of {', '.join(names)} in that time, only of {known};"
            " --provider names the one that bills"
        )
    compared = compare(lines, booked)
    corrections = run_async(ledger.read(held_corrections(compared)))
    wanted = options.apply and bool(corrections)
    if not options.json:
        _show(compared)
    done = 0
    if wanted and (options.yes or _agreed(corrections)):
        corrected = [one for one, _ in corrections]
        done = run_async(ledger.correct(corrected, source=f"bill {options.bill.name}"))
    if options.json:
        print(json.dumps(_as_json(compared, corrections, done)))
    elif wanted:
        print(f"{done:,} of {len(corrections):,} held rows are corrected.")
    elif corrections:
        print(f"{len(corrections):,} held rows can be corrected: --apply")
    return OK


def _lines(options: argparse.Namespace) -> list[BillLine]:
    try:
        zone = ZoneInfo(options.timezone or "UTC")
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(f"--timezone: there is no zone {options.timezone!r}") from error
    lines = read_bill(options.bill, zone=zone)
    if options.provider is None:
        return lines
    return [line._replace(provider=options.provider) for line in lines]


def _agreed(corrections: Sequence[tuple[Correction, int]]) -> bool:
    before, after = _sums(corrections)
    if not sys.stdin.isatty():
        raise ConfigError("--apply: changes what counts as spent; confirm it with --yes")
    answer = input(
        f"Correct {len(corrections):,} held rows from ${before:f} to ${after:f} in all? [y/N] "
    )
    return answer.strip().lower() in {"y", "yes"}


def _sums(corrections: Sequence[tuple[Correction, int]]) -> tuple[Decimal, Decimal]:
    nano = Decimal(10) ** -9
    before = sum(was for _, was in corrections)
    return before * nano, sum(one.cost_nano_usd for one, _ in corrections) * nano


def _show(compared: Sequence[ComparedGroup]) -> None:
    total = _total(compared)
    print_table(new_console(), "Bill and ledger, in USD", list(_columns(compared, total)))
    if any(one.inferred for one in compared):
        print("~ is concluded: the bill tells neither calls nor tokens there.", file=sys.stderr)


def _columns(compared: Sequence[ComparedGroup], total: dict[str, Decimal]) -> Iterator[TableColumn]:
    groups = [one.group for one in compared]
    yield TableColumn("day", [one.period.day for one in groups], "all")
    yield TableColumn("provider", [one.provider for one in groups], rank=1)
    yield TableColumn("model", [one.model for one in groups])
    yield TableColumn(
        "bill", [_usd(one.bill_usd) for one in groups], _usd(total["bill"]), number=True
    )
    yield TableColumn(
        "ledger", [_usd(one.ledger_usd) for one in groups], _usd(total["ledger"]), number=True
    )
    yield TableColumn(
        "difference",
        [_usd(one.difference) for one in compared],
        _usd(total["bill"] - total["ledger"]),
        number=True,
    )
    yield TableColumn("because", [_because(one) for one in compared], wraps=True)


def _because(one: ComparedGroup) -> str:
    mark = "~" if one.inferred else ""
    parts = [f"{mark}{WORDS[cause]} {_signed(usd)}" for cause, usd in one.parts.items() if usd]
    return ", ".join(parts) or "equal"


def _total(compared: Sequence[ComparedGroup]) -> dict[str, Decimal]:
    return {
        "bill": sum((one.group.bill_usd for one in compared), Decimal(0)),
        "ledger": sum((one.group.ledger_usd for one in compared), Decimal(0)),
    }


def _as_json(
    compared: Sequence[ComparedGroup], corrections: Sequence[tuple[Correction, int]], done: int
) -> dict[str, Any]:
    total = _total(compared)
    causes = {
        cause: sum((one.parts.get(cause, Decimal(0)) for one in compared), Decimal(0))
        for cause in CAUSES
    }
    return {
        "bill_usd": _usd(total["bill"]),
        "ledger_usd": _usd(total["ledger"]),
        "difference_usd": _usd(total["bill"] - total["ledger"]),
        "causes": {cause: _usd(usd) for cause, usd in causes.items()},
        "groups": [_group_as_json(one) for one in compared],
        "held_rows": [
            {"id": one.row_id, "was_nano_usd": was, "nano_usd": one.cost_nano_usd}
            for one, was in corrections
        ],
        "corrected": done,
    }


def _group_as_json(one: ComparedGroup) -> dict[str, Any]:
    group = one.group
    return {
        "day": group.period.day,
        "provider": group.provider,
        "model": group.model,
        "bill_usd": _usd(group.bill_usd),
        "ledger_usd": _usd(group.ledger_usd),
        "difference_usd": _usd(one.difference),
        "causes": {cause: _usd(usd) for cause, usd in one.parts.items() if usd},
        "inferred": one.inferred,
        "bill_calls": group.bill_calls,
        "ledger_calls": group.calls,
    }


def _usd(amount: Decimal) -> str:
    return f"{amount.normalize():f}" if amount else "0"


def _signed(amount: Decimal) -> str:
    return f"{'+' if amount > 0 else ''}{_usd(amount)}"
