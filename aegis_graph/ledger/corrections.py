"""Gives rows that count as spent in full what a bill says of them, and keeps what they were.

A row whose outcome is unknown is the only one that may change after it was settled: its cost is an
upper bound. The totals change in the same transaction, and ``corrections`` has each change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from aegis_graph.ledger.maintenance import RECONCILED
from aegis_graph.ledger.rows import AttemptRow, select_attempts, timestamp
from aegis_graph.ledger.store import Connection
from aegis_graph.ledger.totals import TOTAL_COLUMNS, Totals

MAX_SOURCE = 200
"""Characters of what a correction is named after."""

CORRECTION_COLUMNS = ("timestamp", "old_nano_usd", "new_nano_usd", "source")
"""Of ``corrections``, beside the row's id."""


class Correction(NamedTuple):
    """What a held row has really cost, or its share of what several have."""

    row_id: int
    cost_nano_usd: int


def correct(
    connection: Connection, corrections: Sequence[Correction], *, now: datetime, source: str
) -> int:
    """Correct rows that are still held; say how many there were.

    Args:
        connection: In a transaction that no other writer overlaps.
        corrections: One for each row.
        now: The present.
        source: Where the costs come from, such as the name of a bill's file.
    """
    wanted = {one.row_id: one.cost_nano_usd for one in corrections}
    rows = [row for answer in select_attempts(connection, [*wanted]) for row in answer]
    totals, done = Totals(connection), 0
    for row in {one.id: one for one in map(AttemptRow.of, rows)}.values():
        cost = wanted[row.id]
        # Another program may have corrected or settled it meanwhile.
        found = connection.execute(
            "SELECT cost_nano_usd FROM requests"
            " WHERE id = ? AND cost_basis = 'held' AND status <> 'reserved'",
            (row.id,),
        ).fetchone()
        if found is None:
            continue
        was = int(found[0])
        # A lost attempt is one no longer: as where it is settled by hand.
        connection.execute(
            "UPDATE requests SET cost_nano_usd = ?, cost_basis = 'estimated',"
            " error_type = CASE status WHEN 'expired' THEN ? ELSE error_type END,"
            " status = CASE status WHEN 'expired' THEN 'failed' ELSE status END WHERE id = ?",
            (cost, RECONCILED, row.id),
        )
        connection.execute(
            f"INSERT INTO corrections (request_id, {', '.join(CORRECTION_COLUMNS)})"
            " VALUES (?, ?, ?, ?, ?)",
            (row.id, timestamp(now), was, cost, source[:MAX_SOURCE]),
        )
        spent_alone = (cost - was, *[0] * (len(TOTAL_COLUMNS) - 1))
        totals.add(row.day, row.scopes, spent_alone)
        done += 1
    totals.write()
    return done


def shared_cost(rows: Sequence[tuple[int, int]], nano_usd: int) -> list[Correction]:
    """What each of several rows has cost, in the ratio of their holds; the sum is exact.

    Args:
        rows: The id and the hold of each, in nano-USD.
        nano_usd: What they have cost together; at most the sum of the holds.

    Example:
        >>> [one.cost_nano_usd for one in shared_cost([(1, 10), (2, 20), (3, 0)], 20)]
        [6, 14, 0]
    """
    whole = sum(hold for _, hold in rows)
    shared, so_far, given = [], 0, 0
    for number, hold in rows:
        so_far += hold
        # Of all rows so far, so that nothing is lost by rounding.
        upto = nano_usd * so_far // whole if whole else 0
        shared.append(Correction(number, upto - given))
        given = upto
    return shared
