"""A ledger of an older version is brought up to date when it is opened, and loses nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import psycopg
import pytest

from aegis_graph.ledger.activity import failures_by_provider
from aegis_graph.ledger.dialects import POSTGRES, SQLITE
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.maintenance import verify
from aegis_graph.ledger.schema import MIGRATIONS, SCHEMA_VERSION
from aegis_graph.ledger.sqlite import APPLICATION_ID
from tests.contract.ledger_store import DAYS, Store, failed_request, hold, settlement

FILLED = (
    "INSERT INTO requests (id, timestamp, day, route_id, attempt, provider, model, task,"
    " sensitivity, user_id, query_hash, hold_nano_usd, expires_at) VALUES (7,"
    " '2026-11-23T11:00:00.000Z', '2026-11-23', 'r', 1, 'cheap', 'm', 'chat', 'public', 'ada',"
    " 'h', 50, '2026-11-24T11:00:00.000Z')",
    "INSERT INTO totals (scope, day, held_nano_usd, calls) VALUES ('total', '2026-11-23', 50, 1),"
    " ('provider:cheap', '2026-11-23', 50, 1), ('model:m', '2026-11-23', 50, 1),"
    " ('task:chat', '2026-11-23', 50, 1), ('user:ada', '2026-11-23', 50, 1)",
    "INSERT INTO budgets (scope, period, limit_nano_usd, file_limit_nano_usd, origin)"
    " VALUES ('total', 'month', 90, 1000000000, 'set')",
    "INSERT INTO unanswered (route_id, timestamp, task, sensitivity, user_id, query_hash,"
    " error_type, reasons) VALUES ('early', '2026-11-23T11:00:00.000Z', 'chat', 'public', 'ada',"
    " 'h', 'NoProviderError', 'nobody may')",
)


COUNTS_HOLDS = 6
"""The first version that counts the holds of a scope, as the migration before it counted them."""


def filled_by_version(number: int) -> tuple[str, ...]:
    """The statements by which that version of the package wrote the rows."""
    counts = ("UPDATE totals SET open_holds = 1",) if number >= COUNTS_HOLDS else ()
    return (*FILLED, *counts)


def written_by_version(number: int, store: Store) -> None:
    """A ledger with one open hold and a limit, as that version of the package left it."""
    groups = MIGRATIONS[:number]
    if store.url.startswith("sqlite:"):
        with closing(sqlite3.connect(store.folder / "costs.db")) as old:
            for text in (text.format_map(SQLITE) for group in groups for text in group):
                old.execute(text)
            for text in filled_by_version(number):
                old.execute(text)
            old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            old.execute(f"PRAGMA user_version = {number}")
            old.commit()
        return
    with psycopg.connect(store.url, options="-c search_path=aegis_graph") as server:
        server.execute("CREATE SCHEMA aegis_graph")
        for text in (text.format_map(POSTGRES) for group in groups for text in group):
            server.execute(text.encode())
        for text in filled_by_version(number):
            server.execute(text.encode())
        server.execute("SELECT setval('requests_id_seq', 7)")
        server.execute("INSERT INTO facts VALUES ('schema', %s)", (str(number),))


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
async def test_a_ledger_of_an_older_version_goes_on(store: Store, version: int) -> None:
    written_by_version(version, store)
    ledger = store.open(("total", "month", "1"))
    assert isinstance(ledger, SqlLedger)
    assert (await ledger.admit([hold(41)])).hold_id is None
    tags = '{"team": "search"}'
    made = await ledger.admit([hold(40, run_id="r", run_limit_nano_usd=40, tags=tags)])
    assert made.hold_id is not None
    assert made.hold_id > 7
    await ledger.settle(
        [{**settlement(made, 5), "hold_id": number} for number in (7, made.hold_id)]
    )
    await ledger.settle([], failed_request=failed_request(route_id="late", run_id="r", tags=tags))
    assert {row["route_id"]: (row["run_id"], row["tags"]) for row in store.rows("unanswered")} == {
        "early": (None, None),
        "late": ("r", tags),
    }
    assert await verify(ledger) == []
    (row,) = await ledger.report("provider", **DAYS)
    assert (row.calls, row.spent_nano_usd, row.held_nano_usd) == (2, 10, 0)
    assert [(row["run_id"], row["tags"]) for row in store.rows()] == [(None, None), ("r", tags)]
    (row,) = await ledger.report("tag:team", **DAYS)
    assert (row.name, row.calls, row.spent_nano_usd) == ("search", 1, 5)
    assert await ledger.check() == SCHEMA_VERSION


async def test_failures_whose_rows_are_gone_are_counted_without_their_reason(store: Store) -> None:
    written_by_version(KEEPS_REASONS - 1, store)
    store.change("UPDATE requests SET status = 'failed', error_type = 'TimeoutError'")
    store.change("UPDATE totals SET held_nano_usd = 0, open_holds = 0, failures = 1")
    store.change(
        "INSERT INTO totals (scope, day, calls, failures) VALUES"
        " ('provider:cheap', '2026-10-01', 9, 3), ('provider:dear', '2026-10-01', 9, 2)"
    )
    ledger = store.open()
    assert await ledger.read(failures_by_provider()) == [
        ("cheap", "TimeoutError", 1),
        ("cheap", "pruned", 3),
        ("dear", "pruned", 2),
    ]


KEEPS_REASONS = 13
"""The first version that keeps the reasons of rows that were pruned."""

COUNTS_CACHE = 9
"""The first version whose totals have the tokens of caches, and that knows where days begin."""


async def test_tokens_of_caches_and_the_first_row_of_a_day_are_found(store: Store) -> None:
    version = COUNTS_CACHE - 1
    written_by_version(version, store)
    tags = "UPDATE requests SET tags = '{\"team\": \"search\"}', run_id = 'deep'"
    answered = ", status = 'answered', input_tokens = 9, cached_input_tokens = 4"
    changes = (
        f"{tags}{answered}, cache_write_tokens = 3",
        "INSERT INTO request_tags (request_id, key, value) VALUES (7, 'team', 'search')",
        "INSERT INTO totals (scope, day, calls) VALUES ('run:deep', '2026-11-23', 1),"
        " ('tag:team=search', '2026-11-23', 1)",
        "UPDATE totals SET held_nano_usd = 0, open_holds = 0, input_tokens = 9",
    )
    for change in changes:
        store.change(change)
    ledger = store.open()
    assert await ledger.check() == SCHEMA_VERSION
    assert await verify(ledger) == []
    cached = {
        (row["cached_input_tokens"], row["cache_write_tokens"]) for row in store.rows("totals")
    }
    assert cached == {(4, 3)}
    assert store.rows("days") == [{"day": "2026-11-23", "first_id": 7}]
