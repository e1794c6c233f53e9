"""Copy a ledger from a SQLite file into PostgreSQL. Safe to run again, also after a sudden end."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

from aegis_graph.errors import LedgerError
from aegis_graph.ledger.api_keys import API_KEY_COLUMNS
from aegis_graph.ledger.columns import SET_BY_HOLD, SET_BY_SETTLEMENT
from aegis_graph.ledger.corrections import CORRECTION_COLUMNS
from aegis_graph.ledger.rows import FAILED_REQUEST_COLUMNS
from aegis_graph.ledger.store import Connection, Store
from aegis_graph.ledger.totals import TOTAL_COLUMNS

LEDGER_ID = "ledger_id"
"""The fact that tells a ledger from all others."""

MIGRATED_FROM = "migrated_from"
"""The fact that names the ledger whose rows these are."""

BATCH = 500
"""Rows in one statement and one transaction; PostgreSQL takes 65,535 parameters in a statement."""

Progress = Callable[[int, int], None]
"""Called with the rows that were copied and those there are."""


def _split(columns: tuple[str, ...], *, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (key,), tuple(name for name in columns if name != key)


TABLES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "requests": _split((*SET_BY_HOLD, *SET_BY_SETTLEMENT), key="id"),
    "request_tags": (("request_id", "key"), ("value",)),
    "totals": (("scope", "day"), TOTAL_COLUMNS),
    "unanswered": _split(FAILED_REQUEST_COLUMNS, key="route_id"),
    "budgets": (
        ("scope", "period"),
        ("limit_nano_usd", "file_limit_nano_usd", "alert_at", "origin"),
    ),
    "alerts": (("scope", "period", "first_day"), ()),
    "budget_raises": (
        ("question_id", "budget", "scope", "period"),
        ("first_day", "nano_usd", "timestamp", "route_id", "approved_by"),
    ),
    "facts": (("name",), ("value",)),
    "limit_counts": (("scope", "part"), ("requests", "tokens")),
    "api_keys": _split(API_KEY_COLUMNS, key="key_hash"),
    "sessions": (("token_hash",), ("key_hash", "expires_at")),
    "days": (("day",), ("first_id",)),
    "corrections": (("request_id", "timestamp"), CORRECTION_COLUMNS[1:]),
    "pruned_failures": (("provider", "reason"), ("failures",)),
}
"""Each table's key and its other columns, in the order in which they are copied."""

_CHECKS = (
    "SELECT count(*), sum(hold_nano_usd), sum(cost_nano_usd), sum(input_tokens),"
    " sum(output_tokens), sum(cached_input_tokens), sum(reasoning_tokens), sum(latency_ms),"
    " sum(cache_write_tokens), sum(overrun), sum(first_token_ms),"
    " sum(CASE status WHEN 'reserved' THEN hold_nano_usd ELSE 0 END) FROM requests",
    "SELECT count(*), sum(spent_nano_usd), sum(held_nano_usd), sum(calls), sum(failures),"
    " sum(input_tokens), sum(output_tokens), sum(open_holds), sum(cached_input_tokens),"
    " sum(cache_write_tokens) FROM totals",
    "SELECT count(*) FROM request_tags",
    "SELECT count(*) FROM unanswered",
    "SELECT count(*) FROM alerts",
    "SELECT count(*), sum(nano_usd) FROM budget_raises",
    "SELECT count(*), sum(failures) FROM pruned_failures",
)
"""What must be the same on both sides; a limit may be there that only the target's file has."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What is in the target now, verified against the source."""

    rows: int
    spent_nano_usd: int
    held_nano_usd: int


def migrate(source: Store, target: Store, *, progress: Progress) -> Migrated:
    """Copy everything from a SQLite file into PostgreSQL, and verify it.

    Rows keep their numbers, and open holds stay open. What the source has is copied as it was when
    this began; run it again to copy what came later, as long as no program writes to the target.

    Args:
        source: The SQLite file; only the mark that tells it from others is written to it.
        target: PostgreSQL, empty or filled by this function from the same source.
        progress: Is called after each batch.

    Raises:
        LedgerError: The target has rows of its own, or the two differ in the end.
    """
    if not source.exists():
        raise LedgerError("there is no ledger to migrate")
    with _opened(source) as old, _opened(target) as new:
        with _transaction(source, old):
            name = _ledger_id(old)
        old.execute("BEGIN")  # One instant for all that is read, while others write.
        with _transaction(target, new):
            _claim(new, name)
            _continue_ids(old, new)
        _refuse_used(old, new)
        rows = old.execute("SELECT count(*) FROM requests").fetchone()[0]
        done = 0
        for table in TABLES:
            for batch in _batches(old, table):
                with _transaction(target, new):
                    _copy(new, table, batch)
                if table == "requests":
                    done += len(batch)
                    progress(done, rows)
        return _verified(old, new)


@contextmanager
def _opened(store: Store) -> Iterator[Connection]:
    try:
        with closing(store.open()) as connection:
            yield connection
    except store.errors as error:
        raise store.explain(error) from error


@contextmanager
def _transaction(store: Store, connection: Connection) -> Iterator[None]:
    store.begin(connection)
    try:
        yield
    except LedgerError:
        # Any other error ends the connection, and the transaction with it.
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _fact(connection: Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _ledger_id(connection: Connection) -> str:
    """What tells this ledger from others; made up when it is first needed."""
    connection.execute(
        "INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (LEDGER_ID, uuid.uuid4().hex),
    )
    return str(_fact(connection, LEDGER_ID))


def _claim(new: Connection, name: str) -> None:
    """Mark the target as filled from this source; refuse one that was filled otherwise."""
    known = _fact(new, MIGRATED_FROM)
    if known == name:
        return
    filled = new.execute(
        "SELECT (SELECT count(*) FROM requests) + (SELECT count(*) FROM totals)"
        " + (SELECT count(*) FROM unanswered)"
    ).fetchone()[0]
    if known is not None or filled:
        raise LedgerError(
            "the target has rows that did not come from this ledger: migrate into an empty database"
        )
    new.execute("INSERT INTO facts (name, value) VALUES (?, ?)", (MIGRATED_FROM, name))


_OUTCOME = "SELECT id, route_id, attempt, status, cost_nano_usd FROM requests"


def _refuse_used(old: Connection, new: Connection) -> None:
    """Refuse a target in which something happened since: the source knows nothing of it."""
    after = 0
    while batch := new.execute(
        f"{_OUTCOME} WHERE id > ? ORDER BY id LIMIT ?", (after, BATCH)
    ).fetchall():
        first, after = batch[0][0], batch[-1][0]
        there = old.execute(f"{_OUTCOME} WHERE id BETWEEN ? AND ?", (first, after)).fetchall()
        known = {row[0]: row for row in there}
        for row in batch:
            if row[0] not in known or not _may_become(row, known[row[0]]):
                raise LedgerError(
                    f"the target was used since it was filled: its row {row[0]} is not as in the"
                    " source; use it as it is, or migrate into an empty database"
                )


def _may_become(copied: Sequence[Any], present: Sequence[Any]) -> bool:
    """Whether a copied row is an earlier state of the source's row."""
    if tuple(copied[:3]) != tuple(present[:3]):
        return False
    if tuple(copied) == tuple(present):
        return True
    # What ended cannot change any more, and counts as 2.
    later = {"reserved": 0, "expired": 1}
    return later.get(copied[3], 2) < later.get(present[3], 2)


def _continue_ids(old: Connection, new: Connection) -> None:
    """Let the target number its rows after all that the source ever had, pruned ones too."""
    last = old.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'requests'"
    ).fetchone()[0]
    if last:
        new.execute(
            "SELECT setval(pg_get_serial_sequence('requests', 'id'),"
            " greatest(?, (SELECT last_value FROM requests_id_seq)))",
            (last,),
        )


def _batches(old: Connection, table: str) -> Iterator[list[Any]]:
    key, others = TABLES[table]
    rows = old.execute(f"SELECT {', '.join(key + others)} FROM {table} ORDER BY {', '.join(key)}")
    while batch := rows.fetchmany(BATCH):
        # The target's own mark says which source this is, and stays.
        yield [row for row in batch if table != "facts" or row[0] != MIGRATED_FROM]


def _copy(new: Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    key, others = TABLES[table]
    line = f"({', '.join('?' * len(key + others))})"
    changes = ", ".join(f"{column} = excluded.{column}" for column in others)
    new.execute(
        f"INSERT INTO {table} ({', '.join(key + others)}) VALUES {', '.join([line] * len(rows))}"
        f" ON CONFLICT ({', '.join(key)}) DO {f'UPDATE SET {changes}' if changes else 'NOTHING'}",
        list(chain.from_iterable(rows)),
    )


def _verified(old: Connection, new: Connection) -> Migrated:
    for check in _CHECKS:
        wanted, found = (
            [int(value or 0) for value in side.execute(check).fetchone()] for side in (old, new)
        )
        if wanted != found:
            table = check.rsplit(" ", 1)[1]
            raise LedgerError(
                f"the copy of {table} differs from the source: {found} instead of {wanted};"
                " was the target in use meanwhile? Migrate into an empty database"
            )
    rows = new.execute("SELECT count(*) FROM requests").fetchone()[0]
    spent, held = new.execute(
        "SELECT sum(spent_nano_usd), sum(held_nano_usd) FROM totals WHERE scope = 'total'"
    ).fetchone()
    return Migrated(int(rows), int(spent or 0), int(held or 0))
