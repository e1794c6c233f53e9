"""The reservations of requests of which only the identifiers are known."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.store import LIST_LIMIT


def holds_of(route_ids: Sequence[str]) -> Query[list[int]]:
    """The rows of attempts of these requests that never reported their cost.

    Args:
        route_ids: The requests.
    """
    found: list[int] = []
    for at in range(0, len(route_ids), LIST_LIMIT):
        some = route_ids[at : at + LIST_LIMIT]
        rows = yield Statement(
            "SELECT id FROM requests WHERE status IN ('reserved', 'expired')"
            f" AND route_id IN ({', '.join('?' * len(some))}) ORDER BY id",
            some,
        )
        found += [number for (number,) in rows]
    return found
