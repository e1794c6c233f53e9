"""The statements on rows of attempts. They run in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from aegis_graph.ledger.records import FailedRequest, Hold, RequestFacts, scopes_of
from aegis_graph.ledger.store import LIST_LIMIT, Connection, Rows, padded_count
from aegis_graph.types import SettlementRecord

_COLUMNS = "id, day, status, hold_nano_usd, provider, model, task, user_id, run_id"


class AttemptRow(NamedTuple):
    """What must be known of an attempt to settle it."""

    id: int
    day: str
    status: str
    hold: int
    """In nano-USD."""
    scopes: tuple[str, ...]

    @classmethod
    def of(cls, row: Sequence[Any]) -> AttemptRow:
        """Read a row of the statements below."""
        number, day, status, hold, *names = row
        return cls(number, day, status, hold, scopes_of(*names))


def select_attempts(connection: Connection, ids: Sequence[int]) -> list[Rows]:
    """The attempts of these numbers, where they are there."""
    return [
        _select_attempts(connection, ids[at : at + LIST_LIMIT])
        for at in range(0, len(ids), LIST_LIMIT)
    ]


def _select_attempts(connection: Connection, ids: Sequence[int]) -> Rows:
    number = padded_count(len(ids))
    # Repeating one of them changes nothing.
    return connection.execute(
        f"SELECT {_COLUMNS} FROM requests WHERE id IN ({', '.join('?' * number)})",
        [*ids, *[ids[0]] * (number - len(ids))],
    )


def sweep(connection: Connection, now: datetime) -> Rows:
    """Take attempts whose lease is over for lost: their holds become spending, in full.

    Returns:
        Their rows; the totals still have them as held.
    """
    return connection.execute(
        "UPDATE requests SET status = 'expired', cost_basis = 'held',"
        " cost_nano_usd = hold_nano_usd WHERE status = 'reserved' AND expires_at < ?"
        f" RETURNING {_COLUMNS}",
        (timestamp(now),),
    )


_RESERVE = (
    "INSERT INTO requests (id, timestamp, day, route_id, attempt, provider, model, task,"
    " sensitivity, user_id, thread_id, query_hash, hold_nano_usd, expires_at, run_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def write_holds(
    connection: Connection, made: Sequence[tuple[int, Hold]], now: datetime, day: str
) -> None:
    """Write the rows of attempts that were admitted, each with its number."""
    if not made:
        return
    present = timestamp(now)
    rows = [
        (
            number,
            present,
            day,
            hold.request.route_id,
            hold.attempt,
            hold.provider,
            hold.model,
            hold.request.task,
            hold.request.sensitivity,
            hold.request.user_id,
            hold.request.thread_id,
            hold.request.query_hash,
            hold.nano_usd,
            timestamp(now + timedelta(seconds=hold.lease_s)),
            hold.request.run_id,
        )
        for number, hold in made
    ]
    connection.executemany(_RESERVE, rows)


_SETTLE = """
    UPDATE requests SET status = ?, error_type = ?, cost_basis = ?, cost_nano_usd = ?,
        input_tokens = ?, output_tokens = ?, cached_input_tokens = ?, reasoning_tokens = ?,
        latency_ms = ?
    WHERE id = ?
"""


def write_settlements(connection: Connection, settled: Sequence[SettlementRecord]) -> None:
    """Write what attempts turned into."""
    rows = [
        (
            record["status"],
            record["error_type"],
            record["cost_basis"],
            record["cost_nano_usd"],
            record["input_tokens"],
            record["output_tokens"],
            record["cached_input_tokens"],
            record["reasoning_tokens"],
            record["latency_ms"],
            record["hold_id"],
        )
        for record in settled
    ]
    if rows:
        connection.executemany(_SETTLE, rows)


def write_failed_requests(
    connection: Connection, requests: Sequence[FailedRequest], now: datetime
) -> None:
    """Record requests that ended without an answer; saying it twice changes nothing."""
    if not requests:
        return
    present = timestamp(now)
    rows = [(*failed.request, present, failed.error_type, failed.reasons) for failed in requests]
    connection.executemany(_UNANSWERED, rows)


FAILED_REQUEST_COLUMNS = (*RequestFacts._fields, "timestamp", "error_type", "reasons")
"""The columns of ``unanswered``."""

_UNANSWERED = (
    f"INSERT INTO unanswered ({', '.join(FAILED_REQUEST_COLUMNS)})"
    f" VALUES ({', '.join('?' * len(FAILED_REQUEST_COLUMNS))}) ON CONFLICT DO NOTHING"
)


def timestamp(moment: datetime) -> str:
    """An instant as sortable text: ISO 8601 in UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
