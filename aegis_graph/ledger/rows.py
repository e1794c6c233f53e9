"""The statements on rows of attempts. They run in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

from aegis_graph.ledger.columns import SET_BY_HOLD, SET_BY_SETTLEMENT
from aegis_graph.ledger.records import FailedRequest, Hold, RequestFacts
from aegis_graph.ledger.scopes import SCOPE_COLUMNS, scopes_of, tags_of
from aegis_graph.ledger.store import LIST_LIMIT, Connection, Rows, padded_count
from aegis_graph.types import SettlementRecord

_COLUMNS = (
    "id, day, status, hold_nano_usd, timestamp, hold_tokens, counted_scopes,"
    f" {', '.join(SCOPE_COLUMNS.values())}, tags"
)


class AttemptRow(NamedTuple):
    """What must be known of an attempt to settle it."""

    id: int
    day: str
    status: str
    hold: int
    """In nano-USD."""
    timestamp: str
    hold_tokens: int | None
    """What it is counted for in ``limit_counts``."""
    counted_scopes: str | None
    """In which scopes."""
    scopes: tuple[str, ...]

    @classmethod
    def of(cls, row: Sequence[Any]) -> AttemptRow:
        """Read a row of the statements below."""
        number, day, status, hold, timestamp, tokens, counted, *names = row
        return cls(number, day, status, hold, timestamp, tokens, counted, scopes_of(*names))


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
    """Take overdue attempts for lost: their holds become spending, in full.

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
    f"INSERT INTO requests ({', '.join(SET_BY_HOLD)}) VALUES ({', '.join('?' * len(SET_BY_HOLD))})"
)

_FIRST = "INSERT INTO days (day, first_id) VALUES (?, ?) ON CONFLICT DO NOTHING"

_TAG = "INSERT INTO request_tags (request_id, key, value) VALUES (?, ?, ?)"

_reserved = itemgetter(*SET_BY_HOLD)


def write_holds(
    connection: Connection,
    made: Sequence[tuple[int, Hold]],
    now: datetime,
    day: str,
    hashed: Callable[[str], str],
) -> None:
    """Write the rows of attempts that were admitted, each with its number.

    ``hashed`` puts the ledger's key on a prompt's digest.
    """
    if not made:
        return
    present = timestamp(now)
    # Written as text once per lease: the holds of a batch have few different ones.
    leases = {hold.lease_s for _, hold in made}
    ends = {lease_s: timestamp(now + timedelta(seconds=lease_s)) for lease_s in leases}
    rows = [
        _reserved(
            {
                **hold.request._asdict(),
                "query_hash": hashed(hold.request.query_hash),
                "id": number,
                "timestamp": present,
                "day": day,
                "attempt": hold.attempt,
                "provider": hold.provider,
                "model": hold.model,
                "hold_nano_usd": hold.nano_usd,
                "expires_at": ends[hold.lease_s],
                "queued_ms": hold.queued_ms,
                **_counted(hold),
                "expected_nano_usd": hold.expected_nano_usd,
            }
        )
        for number, hold in made
    ]
    connection.executemany(_RESERVE, rows)
    # Numbers go up, so the first that is written on a day stays its lowest.
    connection.execute(_FIRST, (day, made[0][0]))
    tags = [
        (number, key, value)
        for number, hold in made
        if hold.request.tags
        for key, value in tags_of(hold.request.tags).items()
    ]
    if tags:
        connection.executemany(_TAG, tags)


def _counted(hold: Hold) -> dict[str, Any]:
    """What a row has to be taken out of the counts of limits again."""
    scopes = hold.counted_scopes()
    return {"counted_scopes": scopes, "hold_tokens": None if scopes is None else hold.tokens}


_SETTLE = (
    f"UPDATE requests SET {', '.join(f'{name} = ?' for name in SET_BY_SETTLEMENT)} WHERE id = ?"
)

_settled = itemgetter(*SET_BY_SETTLEMENT, "hold_id")


def write_settlements(connection: Connection, settled: Sequence[SettlementRecord]) -> None:
    """Write what attempts turned into."""
    if settled:
        connection.executemany(_SETTLE, [_settled(record) for record in settled])


def write_refusals(connection: Connection, refused: Sequence[SettlementRecord]) -> None:
    """Have answers that were settled be failures; all else of their rows stays."""
    if refused:
        connection.executemany(_REFUSE, [(one["error_type"], one["hold_id"]) for one in refused])


_REFUSE = "UPDATE requests SET status = 'failed', error_type = ? WHERE id = ?"


def write_failed_requests(
    connection: Connection,
    requests: Sequence[FailedRequest],
    now: datetime,
    hashed: Callable[[str], str],
) -> None:
    """Record requests that ended without an answer; saying it twice changes nothing."""
    if not requests:
        return
    present = timestamp(now)
    rows = [
        (
            *failed.request._replace(query_hash=hashed(failed.request.query_hash)),
            present,
            failed.error_type,
            failed.reasons,
        )
        for failed in requests
    ]
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
