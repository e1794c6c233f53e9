"""What the ledger keeps of single attempts: the last ones, those of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.row_selection import RowSelection
from aegis_graph.ledger.scopes import tags_of


class RecordedAttempt(NamedTuple):
    """A row of ``requests``."""

    id: int
    timestamp: str
    """When it was admitted: ISO 8601 in UTC."""
    day: str
    route_id: str
    attempt: int
    provider: str
    model: str
    task: str
    sensitivity: str
    user_id: str
    thread_id: str | None
    run_id: str | None
    status: str
    error_type: str | None
    cost_basis: str
    hold_nano_usd: int
    cost_nano_usd: int
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    latency_ms: int | None
    first_token_ms: int | None
    queued_ms: int | None
    service_tier: str | None
    served_model: str | None
    overrun: int | None
    expected_nano_usd: int | None
    expires_at: str
    tags: str | None
    """JSON, see ``tags_of``."""

    @property
    def tag_values(self) -> dict[str, str]:
        """What its caller counts it by as well."""
        return tags_of(self.tags)


class UnansweredRequest(NamedTuple):
    """A request that ended without an answer."""

    route_id: str
    timestamp: str
    task: str
    sensitivity: str
    user_id: str
    thread_id: str | None
    run_id: str | None
    error_type: str
    reasons: str


class RecordedRequest(NamedTuple):
    """All that the ledger keeps of one request."""

    attempts: list[RecordedAttempt]
    """In their order; none where no provider was asked, and where they were pruned."""
    unanswered: UnansweredRequest | None


_ATTEMPT = f"SELECT {', '.join(RecordedAttempt._fields)} FROM requests"


def last_attempts(
    selection: RowSelection, *, most: int, before: int | None = None
) -> Query[list[RecordedAttempt]]:
    """The newest of the chosen attempts, the last first.

    Args:
        selection: Which attempts.
        most: How many.
        before: Only those with a lower number: the last one of the page before.
    """
    condition = selection.condition()
    older, number = (" AND id < ?", (before,)) if before is not None else ("", ())
    rows = yield Statement(
        f"{_ATTEMPT} WHERE {condition.sql}{older} ORDER BY id DESC LIMIT ?",
        (*condition.parameters, *number, most),
    )
    return _attempts(rows)


def open_attempts(most: int) -> Query[list[RecordedAttempt]]:
    """The attempts that are under way or whose outcome never came, the oldest first."""
    rows = yield Statement(
        f"{_ATTEMPT} WHERE status = 'reserved' ORDER BY expires_at, id LIMIT ?", (most,)
    )
    return _attempts(rows)


def held_now() -> Query[tuple[int, int]]:
    """How many attempts are under way or never reported, and what is held for them in nano-USD."""
    ((number, held),) = yield Statement(
        "SELECT count(*), sum(hold_nano_usd) FROM requests WHERE status = 'reserved'"
    )
    return int(number), int(held or 0)


def recorded_request(route_id: str) -> Query[RecordedRequest]:
    """What the ledger keeps of a request."""
    rows = yield Statement(f"{_ATTEMPT} WHERE route_id = ? ORDER BY attempt, id", (route_id,))
    failed = yield Statement(
        f"SELECT {', '.join(UnansweredRequest._fields)} FROM unanswered WHERE route_id = ?",
        (route_id,),
    )
    unanswered = UnansweredRequest(*failed[0]) if failed else None
    return RecordedRequest(_attempts(rows), unanswered)


def _attempts(rows: Sequence[Sequence[Any]]) -> list[RecordedAttempt]:
    return [RecordedAttempt(*row) for row in rows]
