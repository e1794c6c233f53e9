"""What one transaction does to the tables: admit, settle, sweep. Runs inside the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from aegis_graph.errors import LedgerError
from aegis_graph.ledger import budgets
from aegis_graph.ledger.base import (
    Admission,
    Budget,
    Hold,
    Refusal,
    Unanswered,
    scopes_of,
)
from aegis_graph.ledger.store import Connection
from aegis_graph.ledger.windows import Calendar
from aegis_graph.state import SettlementRecord


def admit(
    connection: Connection, holds: Sequence[Hold], *, now: datetime, calendar: Calendar
) -> Admission:
    """Make the first hold that fits into every budget it touches."""
    limits = budgets.in_force(connection) if any(hold.nano_usd for hold in holds) else []
    refusals: list[Refusal] = []
    for index, hold in enumerate(holds):
        refusal = _refusal(connection, hold, limits, now, calendar)
        if refusal is None:
            hold_id = _reserve(connection, hold, now, calendar)
            return Admission(hold_id, index, tuple(refusals))
        refusals.append(refusal)
    return Admission(None, None, tuple(refusals))


def _refusal(
    connection: Connection,
    hold: Hold,
    limits: Sequence[Budget],
    now: datetime,
    calendar: Calendar,
) -> Refusal | None:
    if hold.nano_usd == 0:
        return None
    envelope = hold.envelope()
    for budget in limits if envelope is None else [*limits, envelope]:
        scope = budget.scope_among(hold.scopes())
        if scope is None:
            continue
        spent, held = budgets.used(connection, scope, budget, now, calendar)
        if spent + held + hold.nano_usd > budget.limit_nano_usd:
            return Refusal(hold.provider, budget, spent + held, hold.nano_usd)
    return None


def _reserve(connection: Connection, hold: Hold, now: datetime, calendar: Calendar) -> int:
    day = calendar.day(now).isoformat()
    row = connection.execute(
        "INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task,"
        " sensitivity, user_id, thread_id, query_hash, hold_nano_usd, expires_at, run_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
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
            hold.run_id,
        ),
    ).fetchone()
    scopes = hold.scopes()
    connection.execute(
        "INSERT INTO totals (scope, day, held_nano_usd, calls) VALUES"
        f" {', '.join(['(?, ?, ?, 1)'] * len(scopes))} ON CONFLICT (scope, day) DO UPDATE SET"
        " held_nano_usd = totals.held_nano_usd + excluded.held_nano_usd, calls = totals.calls + 1",
        [value for scope in scopes for value in (scope, day, hold.nano_usd)],
    )
    return int(row[0])


_SETTLE = """
    UPDATE requests SET status = ?, error_type = ?, cost_basis = ?, cost_nano_usd = ?,
        input_tokens = ?, output_tokens = ?, cached_input_tokens = ?, reasoning_tokens = ?,
        latency_ms = ?
    WHERE id = ?
"""

_COUNT = (
    "UPDATE totals SET spent_nano_usd = spent_nano_usd + ?, held_nano_usd = held_nano_usd - ?,"
    " failures = failures + ?, input_tokens = input_tokens + ?, output_tokens = output_tokens + ?"
    " WHERE day = ? AND scope IN"
)


def settle(connection: Connection, settlement: SettlementRecord) -> tuple[str, ...]:
    """Replace one hold by its real cost; a second settlement changes nothing.

    Returns:
        The scopes in which something was spent.

    Raises:
        LedgerError: The ledger does not know the hold.
    """
    row = connection.execute(
        "SELECT day, status, hold_nano_usd, provider, model, task, user_id, run_id"
        " FROM requests WHERE id = ?",
        (settlement["hold_id"],),
    ).fetchone()
    if row is None:
        raise LedgerError(
            f"the ledger has no row {settlement['hold_id']}: was the database replaced while"
            " the program was running?"
        )
    day, status, hold, *names = row
    if status not in {"reserved", "expired"}:
        return ()
    scopes = scopes_of(*names)
    expired = status == "expired"
    failed = settlement["status"] != "answered"
    connection.execute(
        _SETTLE,
        (
            settlement["status"],
            settlement["error_type"],
            settlement["cost_basis"],
            settlement["cost_nano_usd"],
            settlement["input_tokens"],
            settlement["output_tokens"],
            settlement["cached_input_tokens"],
            settlement["reasoning_tokens"],
            settlement["latency_ms"],
            settlement["hold_id"],
        ),
    )
    _count(
        connection,
        (
            settlement["cost_nano_usd"] - (hold if expired else 0),
            0 if expired else hold,
            int(failed) - int(expired),
            settlement["input_tokens"] or 0,
            settlement["output_tokens"] or 0,
        ),
        day,
        scopes,
    )
    return scopes if settlement["cost_nano_usd"] else ()


def _count(connection: Connection, changes: Sequence[int], day: str, scopes: Sequence[str]) -> None:
    """Add to spent, take from held, add to failures, input and output tokens."""
    places = ", ".join("?" * len(scopes))
    connection.execute(f"{_COUNT} ({places})", (*changes, day, *scopes))


def sweep(connection: Connection, now: datetime) -> int:
    """Take attempts whose lease is over for lost: their holds become spending, in full."""
    lost = connection.execute(
        "UPDATE requests SET status = 'expired', cost_basis = 'held',"
        " cost_nano_usd = hold_nano_usd WHERE status = 'reserved' AND expires_at < ?"
        " RETURNING day, hold_nano_usd, provider, model, task, user_id, run_id",
        (timestamp(now),),
    ).fetchall()
    for day, hold, *names in lost:
        _count(connection, (hold, hold, 1, 0, 0), day, scopes_of(*names))
    return len(lost)


def note_unanswered(connection: Connection, request: Unanswered, now: datetime) -> None:
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
