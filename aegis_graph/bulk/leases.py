"""What a transaction of the queue does to items. Each function is a part of one."""

from __future__ import annotations

import json
import sqlite3

from aegis_graph.bulk.items import canonical_json
from aegis_graph.bulk.records import BulkItem, ItemResult, LeasedItem
from aegis_graph.errors import StoreError

STAGED = "staged "
"""How the state of an item begins that is being added; the rest is who adds it."""
MOST_CRASHES = 4
"""So many workers may die while they run an item, before it is set aside."""
ALL_DIED = "each of its workers died while it ran"
"""Why an item is set aside then."""
ALONE = 2
"""An item whose workers died so often is run beside no other, so that it takes none with it."""


def stage(connection: sqlite3.Connection, item: BulkItem, staged: str) -> bool:
    """Add an item that no worker takes yet.

    Returns:
        Whether it is new.

    Raises:
        StoreError: Its key, or its source, is known with another input.
    """
    text = canonical_json(item.input, item.source or f"the item {item.key!r}")
    new = connection.execute(
        "INSERT INTO items (key, input, source, state) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (key) DO NOTHING RETURNING number",
        (item.key, text, item.source, staged),
    ).fetchone()
    if new is None:
        known, source = connection.execute(
            "SELECT input, source FROM items WHERE key = ?", (item.key,)
        ).fetchone()
        if known != text:
            place = f"{item.source}: " if item.source else ""
            first = f" ({source})" if source and source != item.source else ""
            raise StoreError(
                f"{place}the item {item.key!r} has another input than the job knows{first};"
                " put that back, give the item another key, or name another folder"
            )
        return False
    if item.source is not None:
        # By content an edited line is a new item: only its place tells that it was another.
        other = connection.execute(
            "SELECT key FROM items WHERE source = ? AND key <> ? AND state <> ?",
            (item.source, item.key, staged),
        ).fetchone()
        if other is not None:
            raise StoreError(
                f"{item.source}: another item than the one that the job began with;"
                " put that back, or name another folder"
            )
    return True


def take(connection: sqlite3.Connection, worker: str, count: int) -> list[LeasedItem]:
    """Lease items: those that never failed first, and of these the doubtful last.

    One that may have killed its workers comes after all others, to a worker that has nothing else.
    """
    (crashes,) = connection.execute(
        "SELECT max(crashes) FROM items WHERE state = 'leased' AND worker = ?", (worker,)
    ).fetchone()
    if crashes is not None and crashes >= ALONE:
        return []
    leased = _lease(connection, worker, count, "crashes < ?")
    if leased or crashes is not None:
        return leased
    return _lease(connection, worker, 1, "crashes >= ?")


def _lease(
    connection: sqlite3.Connection, worker: str, count: int, crashes: str
) -> list[LeasedItem]:
    rows: list[tuple[int, int, str, str, int, int, int, int]] = []
    for state in ("pending", "failed"):
        if len(rows) < count:
            # In no order of its own.
            rows += sorted(
                connection.execute(
                    "UPDATE items SET state = 'leased', worker = ?, begun = begun + 1"
                    # Said as the index says it: SQLite finds the index by these words.
                    " WHERE number IN (SELECT number FROM items WHERE state = ?"
                    f" AND state IN ('pending', 'failed') AND {crashes}"
                    " ORDER BY doubts, number LIMIT ?)"
                    " RETURNING doubts, number, key, input, attempts, begun,"
                    " cost_nano_usd, last_call",
                    (worker, state, ALONE, count - len(rows)),
                )
            )
    return [
        LeasedItem(
            key=key,
            input=json.loads(text),
            attempts=attempts,
            begun=begun - 1,
            cost_nano_usd=cost,
            last_call=last_call,
        )
        for _, _, key, text, attempts, begun, cost, last_call in rows
    ]


def keep(connection: sqlite3.Connection, worker: str, result: ItemResult) -> None:
    """Write what came of an item. A result counts from any worker, and only once."""
    said = (
        result.error,
        result.cost_nano_usd,
        json.dumps(result.route_ids),
        result.seconds,
    )
    columns = "worker = NULL, error = ?, cost_nano_usd = ?, route_ids = ?, seconds = ?"
    if result.outcome == "done":
        # Also where the lease ran out meanwhile: what was paid for is not thrown away.
        changed = connection.execute(
            f"UPDATE items SET {columns}, state = 'done', attempts = attempts + 1, output = ?"
            " WHERE key = ? AND state <> 'done'",
            (*said, result.output, result.key),
        ).rowcount
    elif result.outcome == "failed":
        changed = connection.execute(
            f"UPDATE items SET {columns}, attempts = attempts + 1, state = CASE WHEN attempts + 1"
            " >= (SELECT max_attempts FROM job) THEN 'set_aside' ELSE 'failed' END"
            " WHERE key = ? AND state = 'leased' AND worker = ?",
            (*said, result.key, worker),
        ).rowcount
    else:
        changed = connection.execute(
            f"UPDATE items SET {columns}, state = 'pending', doubts = doubts + ?"
            " WHERE key = ? AND state = 'leased' AND worker = ?",
            (*said, int(result.doubtful), result.key, worker),
        ).rowcount
        if result.doubtful:
            _give_up_the_doubtful(connection)
    if changed and result.twice_nano_usd is not None:
        count_twice(connection, result.key, result.twice_nano_usd)


def count_twice(connection: sqlite3.Connection, key: str, nano_usd: int) -> None:
    """Count what was bought again at most; an item counts once."""
    new = connection.execute(
        "UPDATE items SET twice = 1 WHERE key = ? AND twice = 0", (key,)
    ).rowcount
    connection.execute(
        "UPDATE job SET twice_items = twice_items + ?, twice_nano_usd = twice_nano_usd + ?",
        (new, nano_usd),
    )


def _give_up_the_doubtful(connection: sqlite3.Connection) -> None:
    """Set items aside that no provider answers, where there is no other left to try.

    As long as there is one, it tells whether the providers are down or the item is at fault.
    """
    connection.execute(
        "UPDATE items SET state = 'set_aside', attempts = attempts + doubts"
        " WHERE state = 'pending' AND doubts >= (SELECT max_attempts FROM job)"
        " AND NOT EXISTS (SELECT 1 FROM items AS other WHERE other.state IN"
        " ('pending', 'failed') AND other.doubts < (SELECT max_attempts FROM job))"
        " AND NOT EXISTS (SELECT 1 FROM items AS other WHERE other.state = 'leased')"
    )


def free_leases(connection: sqlite3.Connection, worker: str, *, crashed: bool) -> None:
    """Give back what a worker has, and forget it.

    Args:
        connection: In a transaction.
        worker: Its name.
        crashed: Whether it died, or was silent for too long.
    """
    connection.execute(
        "UPDATE items SET worker = NULL, crashes = crashes + ?,"
        " state = CASE WHEN crashes + ? < ? THEN 'pending' ELSE 'set_aside' END,"
        " error = CASE WHEN crashes + ? < ? THEN error ELSE ? END"
        " WHERE state = 'leased' AND worker = ?",
        (crashed, crashed, MOST_CRASHES, crashed, MOST_CRASHES, ALL_DIED, worker),
    )
    connection.execute("DELETE FROM items WHERE state = ?", (f"{STAGED}{worker}",))
    connection.execute("DELETE FROM workers WHERE id = ?", (worker,))
