"""What one transaction does to the tables: admit, settle, sweep. Runs inside the caller's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.base import Admission, Budget, Hold, Refusal, Unanswered
from aegis_graph.ledger.windows import days_of, local_day
from aegis_graph.state import SettlementRecord


def admit(
    connection: sqlite3.Connection,
    holds: Sequence[Hold],
    *,
    budgets: Sequence[Budget],
    now: datetime,
    zone: ZoneInfo,
) -> Admission:
    """Make the first hold that fits into every budget it touches."""
    refusals: list[Refusal] = []
    for index, hold in enumerate(holds):
        refusal = _refusal(connection, hold, budgets, now, zone)
        if refusal is None:
            return Admission(_reserve(connection, hold, now, zone), index, tuple(refusals))
        refusals.append(refusal)
    return Admission(None, None, tuple(refusals))


def _refusal(
    connection: sqlite3.Connection,
    hold: Hold,
    budgets: Sequence[Budget],
    now: datetime,
    zone: ZoneInfo,
) -> Refusal | None:
    if hold.nano_usd == 0:
        return None
    scopes = hold.scopes()
    for budget in budgets:
        scope = f"user:{hold.user_id}" if budget.scope == "user:*" else budget.scope
        if scope not in scopes:
            continue
        spent, held = used(connection, scope, budget, now, zone)
        if spent + held + hold.nano_usd > budget.limit_nano_usd:
            return Refusal(hold.provider, budget, spent + held, hold.nano_usd)
    return None


def used(
    connection: sqlite3.Connection, scope: str, budget: Budget, now: datetime, zone: ZoneInfo
) -> tuple[int, int]:
    """Spent and held nano-USD of a scope in the budget's present window."""
    days = days_of(budget.window, local_day(now, zone))
    row = connection.execute(
        "SELECT coalesce(sum(spent_nano_usd), 0), coalesce(sum(held_nano_usd), 0)"
        " FROM totals WHERE scope = ? AND day >= ? AND day < ?",
        (scope, *days),
    ).fetchone()
    return int(row[0]), int(row[1])


def _reserve(connection: sqlite3.Connection, hold: Hold, now: datetime, zone: ZoneInfo) -> int:
    day = local_day(now, zone).isoformat()
    cursor = connection.execute(
        "INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task,"
        " sensitivity, user_id, thread_id, query_hash, hold_nano_usd, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            timestamp(now),
            day,
            hold.route_id,
            hold.attempt,
            hold.provider,
            hold.model,
            hold.task,
            hold.sensitivity,
            hold.user_id,
            hold.thread_id,
            hold.query_hash,
            hold.nano_usd,
            timestamp(now + timedelta(seconds=hold.lease_s)),
        ),
    )
    connection.executemany(
        "INSERT INTO totals (scope, day, held_nano_usd, calls) VALUES (?, ?, ?, 1)"
        " ON CONFLICT DO UPDATE SET held_nano_usd = held_nano_usd + excluded.held_nano_usd,"
        " calls = calls + 1",
        [(scope, day, hold.nano_usd) for scope in hold.scopes()],
    )
    if cursor.lastrowid is None:
        raise LedgerError("the database gave the new row no number")
    return cursor.lastrowid


_ROW = (
    "SELECT day, provider, model, task, user_id, status, hold_nano_usd FROM requests WHERE id = ?"
)

_SETTLE = """
    UPDATE requests SET status = :status, error_type = :error_type, cost_basis = :cost_basis,
        cost_nano_usd = :cost_nano_usd, input_tokens = :input_tokens,
        output_tokens = :output_tokens, cached_input_tokens = :cached_input_tokens,
        reasoning_tokens = :reasoning_tokens, latency_ms = :latency_ms
    WHERE id = :hold_id
"""

_COUNT = """
    UPDATE totals SET spent_nano_usd = spent_nano_usd + ?, held_nano_usd = held_nano_usd - ?,
        failures = failures + ?, input_tokens = input_tokens + ?, output_tokens = output_tokens + ?
    WHERE day = ? AND scope IN (?, ?, ?, ?, ?)
"""


def settle(connection: sqlite3.Connection, settlement: SettlementRecord) -> None:
    """Replace one hold by its real cost; a second settlement changes nothing.

    Raises:
        LedgerError: The ledger does not know the hold.
    """
    row = connection.execute(_ROW, (settlement["hold_id"],)).fetchone()
    if row is None:
        raise LedgerError(
            f"the ledger has no row {settlement['hold_id']}: was the database replaced while"
            " the program was running?"
        )
    day, provider, model, task, user, status, hold = row
    if status not in {"reserved", "expired"}:
        return
    expired = status == "expired"
    answered = settlement["status"] == "answered"
    connection.execute(_SETTLE, settlement)
    connection.execute(
        _COUNT,
        (
            settlement["cost_nano_usd"] - (hold if expired else 0),
            0 if expired else hold,
            int(not answered) - int(expired),
            settlement["input_tokens"] or 0,
            settlement["output_tokens"] or 0,
            day,
            "total",
            f"provider:{provider}",
            f"model:{model}",
            f"task:{task}",
            f"user:{user}",
        ),
    )


def sweep(connection: sqlite3.Connection, now: datetime) -> int:
    """Take attempts whose lease is over for lost: their holds become spending, in full."""
    lost = connection.execute(
        "SELECT id, day, provider, model, task, user_id, hold_nano_usd FROM requests"
        " WHERE status = 'reserved' AND expires_at < ?",
        (timestamp(now),),
    ).fetchall()
    for number, day, provider, model, task, user, hold in lost:
        connection.execute(
            "UPDATE requests SET status = 'expired', cost_basis = 'held',"
            " cost_nano_usd = hold_nano_usd WHERE id = ?",
            (number,),
        )
        scopes = ("total", f"provider:{provider}", f"model:{model}", f"task:{task}", f"user:{user}")
        connection.execute(_COUNT, (hold, hold, 1, 0, 0, day, *scopes))
    return len(lost)


def note_unanswered(connection: sqlite3.Connection, request: Unanswered, now: datetime) -> None:
    """Record a request that ended without an answer; saying it twice changes nothing."""
    connection.execute(
        "INSERT INTO unanswered (route_id, timestamp, task, sensitivity, user_id, thread_id,"
        " query_hash, error_type, reasons) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (
            request.route_id,
            timestamp(now),
            request.task,
            request.sensitivity,
            request.user_id,
            request.thread_id,
            request.query_hash,
            request.error_type,
            request.reasons,
        ),
    )


def timestamp(moment: datetime) -> str:
    """An instant as sortable text: ISO 8601 in UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
