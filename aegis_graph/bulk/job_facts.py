"""How a job is, read from its file."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime

from aegis_graph.bulk.records import JobFacts
from aegis_graph.bulk.worker_process import is_gone

PACE_S = 30
"""Over how many seconds the rate is counted."""


def count_ended(connection: sqlite3.Connection, number: int, now_ms: int) -> None:
    """Count items that ended now, for the rate."""
    second = now_ms // 1000
    connection.execute(
        "INSERT INTO pace VALUES (?, ?)"
        " ON CONFLICT (second) DO UPDATE SET ended = ended + excluded.ended",
        (second, number),
    )
    connection.execute("DELETE FROM pace WHERE second < ?", (second - 2 * PACE_S,))


def read_facts(connection: sqlite3.Connection, now_ms: int) -> JobFacts | None:
    """How the job is at this moment; ``None`` where the file has none.

    Args:
        connection: In a transaction, so that all of it is from one moment.
        now_ms: The present, in milliseconds since 1970.
    """
    job = connection.execute(
        "SELECT name, graph, format, state, reason, created_at, max_attempts, envelope_nano_usd,"
        " spent_nano_usd, twice_items, twice_nano_usd FROM job"
    ).fetchone()
    if job is None:
        return None
    name, graph, form, state, reason, created_at, most, envelope, spent, twice, twice_nano = job
    counts = dict(connection.execute("SELECT state, number FROM counts").fetchall())
    known = ("done", "failed", "set_aside", "leased", "pending")
    workers = connection.execute(
        "SELECT host, process FROM workers WHERE until > ?", (now_ms,)
    ).fetchall()
    alive = sum(not is_gone(host, process) for host, process in workers)
    return JobFacts(
        name=name,
        graph=json.loads(graph),
        format=form,
        state="stopped" if state in {"running", "paused"} and not alive else state,
        reason=reason,
        created_at=datetime.fromtimestamp(created_at / 1000, UTC).isoformat(timespec="seconds"),
        total=sum(counts.get(one, 0) for one in known),
        **{one: counts.get(one, 0) for one in known},
        workers=alive,
        max_attempts=most,
        envelope_nano_usd=envelope,
        spent_nano_usd=spent,
        twice_items=twice,
        twice_nano_usd=twice_nano,
        items_per_s=_pace(connection, now_ms),
    )


def _pace(connection: sqlite3.Connection, now_ms: int) -> float:
    """Items per second, of the last whole seconds; 0 where none ended in them."""
    now = now_ms // 1000
    first, ended = connection.execute(
        "SELECT min(second), sum(ended) FROM pace WHERE second >= ?", (now - PACE_S,)
    ).fetchone()
    return 0.0 if first is None else ended / max(1.0, now_ms / 1000 - first)
