"""Reads a provider's bill, whichever of the known forms it has."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.bills.bill_line import BillLine
from aegis_graph.ledger.bills.focus_bill import focus_line
from aegis_graph.ledger.bills.openai_costs import openai_lines
from aegis_graph.ledger.bills.plain_bill import plain_line

_CSV_FORMS: Mapping[str, Callable[[Mapping[str, str], ZoneInfo], BillLine]] = {
    "ChargePeriodStart": focus_line,
    "usd": plain_line,
}
"""How a row of a CSV is read, by a column that only this form has."""


def read_bill(path: Path, *, zone: ZoneInfo) -> list[BillLine]:
    """The lines of a bill: OpenAI's costs as JSON, FOCUS or a plain CSV.

    Args:
        path: The file.
        zone: By whose midnight days are told that a plain CSV names.

    Raises:
        ConfigError: It cannot be read, or is none of these; says where and what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text in UTF-8"
        raise ConfigError(f"--bill {path}: cannot be read: {why}") from error
    try:
        lines = _json_lines(text) if text.lstrip()[:1] in ("{", "[") else _csv_lines(text, zone)
    except (ValueError, csv.Error) as error:
        raise ConfigError(f"--bill {path}: {error}") from error
    if not lines:
        raise ConfigError(f"--bill {path}: has no amount in it")
    return lines


def _json_lines(text: str) -> list[BillLine]:
    try:
        # Amounts as they are written: a float has others.
        document: Any = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: not valid JSON: {error.msg}") from error
    return openai_lines(document)


def _csv_lines(text: str, zone: ZoneInfo) -> list[BillLine]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns: Sequence[str] = rows.fieldnames or ()
    form = next((name for name in _CSV_FORMS if name in columns), None)
    if form is None:
        raise ValueError(
            "neither OpenAI's costs as JSON, nor FOCUS (ChargePeriodStart, BilledCost, ...), nor a"
            " CSV with the columns day, provider, model and usd"
        )
    lines = []
    for number, row in enumerate(rows, start=2):
        try:
            lines.append(_CSV_FORMS[form](row, zone))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return lines
