"""Every row of the ledger, for spreadsheets, programs and finance tools.

Rows are read in short statements, each from where the one before ended, and written as they come:
memory stays bounded, and no writer waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.spreadsheet import csv_lines, inert_sql, joined, line_sql
from aegis_graph.ledger.store import Connection

ExportFormat = Literal["csv", "json", "jsonl", "parquet", "focus"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

Row = tuple[Any, ...]

BATCH_ROWS = 5_000
"""Rows in memory at once."""

# The cost as exact decimal text, as ``usd_text`` writes it: whole dollars, then nine digits without
# the zeros at the end. Integers only.
_USD = (
    "rtrim(rtrim(CAST(cost_nano_usd / 1000000000 AS TEXT) || '.' || substr(CAST("
    "1000000000 + cost_nano_usd - cost_nano_usd / 1000000000 * 1000000000 AS TEXT), 2), '0'), '.')"
)

COLUMNS = (
    *("id", "timestamp", "day", "route_id", "attempt", "provider", "model", "task", "sensitivity"),
    *("user_id", "thread_id", "query_hash", "status", "error_type", "cost_basis", "hold_nano_usd"),
    *("cost_nano_usd", "cost_usd", "input_tokens", "output_tokens", "cached_input_tokens"),
    *("reasoning_tokens", "latency_ms", "expires_at", "run_id"),
)
"""All columns of ``requests``; what every format but FOCUS has."""

_FROM_OUTSIDE = {
    *("route_id", "provider", "model", "task", "user_id", "thread_id", "error_type", "run_id")
}
"""Columns whose text a user, a provider or a configuration can choose."""

_PLAIN = {name: _USD if name == "cost_usd" else name for name in COLUMNS}
_SAFE = {name: inert_sql(name) if name in _FROM_OUTSIDE else sql for name, sql in _PLAIN.items()}
_LINES = {"id": "id", "line": line_sql(_PLAIN)}

_TOKENS = "coalesce(input_tokens, 0) + coalesce(output_tokens, 0)"

# Reads the hour, from which ``_periods`` makes the four columns of time that come first.
_FOCUS = {
    "hour": "substr(timestamp, 1, 13)",
    "BilledCost": _USD,
    "EffectiveCost": _USD,
    "ListCost": _USD,
    "ContractedCost": _USD,
    "BillingCurrency": "'USD'",
    # The ledger knows an account by the provider whose key it is.
    "BillingAccountId": inert_sql("provider"),
    "BillingAccountName": inert_sql("provider"),
    "ChargeCategory": "'Usage'",
    "ChargeClass": "NULL",
    "ChargeFrequency": "'Usage-Based'",
    "ChargeDescription": "'LLM call ' || status || ': ' || model",
    "ServiceName": inert_sql("provider"),
    "ServiceCategory": "'AI and Machine Learning'",
    "ServiceSubcategory": "'Generative AI'",
    "ProviderName": inert_sql("provider"),
    "PublisherName": inert_sql("provider"),
    "InvoiceIssuerName": inert_sql("provider"),
    "ConsumedQuantity": _TOKENS,
    "ConsumedUnit": "'Tokens'",
    "PricingCategory": "'Standard'",
    "PricingQuantity": _TOKENS,
    "PricingUnit": "'Tokens'",
    "SkuId": inert_sql("model"),
    "ResourceId": inert_sql("model"),
    "ResourceName": inert_sql("model"),
    "ResourceType": "'Model'",
    "x_Request_Id": "id",
    "x_Route_Id": inert_sql("route_id"),
    "x_Attempt": "attempt",
    "x_Status": "status",
    "x_Task": inert_sql("task"),
    "x_User_Id": inert_sql("user_id"),
    "x_Thread_Id": inert_sql("thread_id"),
    "x_Sensitivity": "sensitivity",
    "x_Cost_Basis": "cost_basis",
    "x_Input_Tokens": "input_tokens",
    "x_Output_Tokens": "output_tokens",
    "x_Run_Id": inert_sql("run_id"),
}

_PERIODS = ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")

FOCUS_COLUMNS = (*_PERIODS, *(name for name in _FOCUS if name != "hour"))
"""Columns of FOCUS 1.2, and our own with the prefix ``x_``.

Source: https://focus.finops.org/focus-specification/v1-2/
"""


def export_rows(
    connection: Connection,
    stream: BinaryIO,
    *,
    format: ExportFormat,
    since: str | None = None,
    until: str | None = None,
    provider: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write the rows that the ledger has now, in the order they were made.

    In ``csv`` and ``focus``, text that a spreadsheet would run as a formula has an apostrophe in
    front; the other formats have it unchanged. Costs are exact in each.

    FOCUS has one charge per attempt that has ended, in UTC: its charge period is the hour, its
    billing period the calendar month.

    Args:
        connection: The ledger's database.
        stream: Takes bytes; text is UTF-8.
        format: How to write them.
        since: The first local day, as an ISO date.
        until: The local day after the last one.
        provider: Only its rows.
        progress: Is called with the number of rows read so far.

    Returns:
        The number of rows.

    Raises:
        ConfigError: There is no such format.
        ModuleNotFoundError: Parquet's library is not installed; says how to.
    """
    if format not in EXPORT_FORMATS:
        raise ConfigError(f"format: {format!r} is none of {', '.join(EXPORT_FORMATS)}")
    reader = _Reader(connection, _Filter(since, until, provider), progress)
    if format == "parquet":
        _parquet_writer()(stream, COLUMNS, reader.batches(_PLAIN))
    else:
        for chunk in _TEXT[format](reader):
            stream.write(chunk)
    stream.flush()
    return reader.count


def require(format: ExportFormat) -> None:
    """Make sure that a format can be written here.

    Raises:
        ModuleNotFoundError: Its library is not installed; says how to.
    """
    if format == "parquet":
        _parquet_writer()


def _parquet_writer() -> Callable[[BinaryIO, Sequence[str], Iterator[list[Row]]], None]:
    # Imported here: its library is an extra.
    from aegis_graph.ledger.parquet import write_parquet  # noqa: PLC0415

    return write_parquet


class _Filter(NamedTuple):
    since: str | None
    until: str | None
    provider: str | None

    def sql(self) -> str:
        tests = {"day >= ?": self.since, "day < ?": self.until, "provider = ?": self.provider}
        return "".join(f" AND {test}" for test, value in tests.items() if value is not None)


class _Reader:
    """Rows in the order of their ids, up to what is the last one when it begins."""

    def __init__(
        self, connection: Connection, chosen: _Filter, progress: Callable[[int], None] | None
    ) -> None:
        self._connection = connection
        self._filter = chosen
        self._progress = progress
        self._seen = 0
        self._last: int | None = None
        self.count = 0

    def batches(self, columns: Mapping[str, str], *, ended: bool = False) -> Iterator[list[Row]]:
        """Read all rows; an export of a busy ledger ends as well."""
        place = list(columns).index("id" if "id" in columns else "x_Request_Id")
        while rows := self.peek(columns, ended=ended):
            self.pass_by(rows, place)
            yield rows

    def peek(self, columns: Mapping[str, str], *, ended: bool = False) -> list[Row]:
        """The next rows; the same again until they are passed."""
        if self._last is None:
            newest = self._connection.execute("SELECT coalesce(max(id), 0) FROM requests")
            self._last = newest.fetchone()[0]
        query = (
            f"SELECT {', '.join(columns.values())} FROM requests WHERE id > ? AND id <= ?"
            f"{self._filter.sql()}{_ENDED if ended else ''} ORDER BY id LIMIT {BATCH_ROWS}"
        )
        values = [value for value in self._filter if value is not None]
        return self._connection.execute(query, (self._seen, self._last, *values)).fetchall()

    def pass_by(self, rows: Sequence[Row], place: int = 0) -> None:
        """Go on behind these rows, whose ids are at this place."""
        self._seen = rows[-1][place]
        self.count += len(rows)
        if self._progress is not None:
            self._progress(self.count)


_ENDED = " AND status <> 'reserved'"


def _csv(reader: _Reader) -> Iterator[bytes]:
    yield csv_lines([COLUMNS])
    while rows := reader.peek(_LINES):
        text = joined([line for _, line in rows], commas=len(COLUMNS) - 1)
        if text is None:
            rows = reader.peek(_SAFE)
            text = csv_lines(rows)
        if rows:
            reader.pass_by(rows)
            yield text


def _focus(reader: _Reader) -> Iterator[bytes]:
    yield csv_lines([FOCUS_COLUMNS])
    for rows in reader.batches(_FOCUS, ended=True):
        yield csv_lines(_periods(row[0]) + row[1:] for row in rows)


@lru_cache(maxsize=64)
def _periods(hour: str) -> tuple[str, str, str, str]:
    """The hour of a charge and its month: beginnings and ends, in UTC."""
    start = datetime.fromisoformat(f"{hour}:00:00+00:00")
    month = start.replace(day=1, hour=0)
    ends = start + timedelta(hours=1), (month + timedelta(days=31)).replace(day=1)
    texts = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (start, ends[0], month, ends[1])]
    return texts[0], texts[1], texts[2], texts[3]


def _jsonl(reader: _Reader) -> Iterator[bytes]:
    for lines in _json_lines(reader):
        yield ("\n".join(lines) + "\n").encode()


def _json(reader: _Reader) -> Iterator[bytes]:
    before = "[\n"
    for lines in _json_lines(reader):
        yield (before + ",\n".join(lines)).encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def _json_lines(reader: _Reader) -> Iterator[list[str]]:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    for rows in reader.batches(_PLAIN):
        yield [encode(dict(zip(COLUMNS, row, strict=True))) for row in rows]


_TEXT: Mapping[str, Callable[[_Reader], Iterator[bytes]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
    "focus": _focus,
}
