"""What is derived from the description of the tables, against what the databases say of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import pytest

from aegis_graph.ledger.columns import REQUESTS, SET_BY_SETTLEMENT
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.migrate import TABLES
from aegis_graph.ledger.records import Origin
from aegis_graph.types import WINDOWS, CostBasis, Status
from tests.contract.ledger_store import Store, hold, settlement

TYPES = {"integer": "integer", "bigint": "integer", "text": "text", "real": "usd", "numeric": "usd"}

SQLITE_COLUMNS = """
    SELECT lower(type) AS type, name, hidden <> 0 AS generated, pk > 0 AS key
    FROM pragma_table_xinfo('{table}') ORDER BY cid
"""

POSTGRES_COLUMNS = """
    SELECT data_type AS type, column_name AS name, is_generated = 'ALWAYS' AS generated,
        column_name IN (
            SELECT attname FROM pg_index JOIN pg_attribute
            ON attrelid = indrelid AND attnum = ANY(indkey)
            WHERE indisprimary AND indrelid = '{table}'::regclass
        ) AS key
    FROM information_schema.columns
    WHERE table_schema = 'aegis_graph' AND table_name = '{table}' ORDER BY ordinal_position
"""

SQLITE_CHECKS = "SELECT sql AS text FROM sqlite_schema WHERE name = '{table}'"

POSTGRES_CHECKS = """
    SELECT pg_get_constraintdef(oid) AS text FROM pg_constraint
    WHERE conrelid = '{table}'::regclass AND contype = 'c'
"""


class Found(NamedTuple):
    name: str
    type: str
    generated: bool
    key: bool


@pytest.fixture
async def made(store: Store) -> Store:
    await store.open(("total", "month", "1")).check()
    return store


def ask(store: Store, sqlite: str, postgres: str, table: str) -> list[dict[str, Any]]:
    text = postgres if store.url.startswith("postgresql:") else sqlite
    return store.query(text.format(table=table))


def columns(store: Store, table: str) -> list[Found]:
    return [
        Found(row["name"], TYPES[row["type"]], bool(row["generated"]), bool(row["key"]))
        for row in ask(store, SQLITE_COLUMNS, POSTGRES_COLUMNS, table)
    ]


async def test_the_described_columns_are_those_of_the_database(made: Store) -> None:
    assert [(one.name, one.type, one.set_by == "database") for one in REQUESTS] == [
        (one.name, one.type, one.generated) for one in columns(made, "requests")
    ]


@pytest.mark.parametrize("table", TABLES)
async def test_a_migration_copies_every_column_that_can_be_written(made: Store, table: str) -> None:
    found = [one for one in columns(made, table) if not one.generated]
    keys, others = TABLES[table]
    assert sorted((*keys, *others)) == sorted(one.name for one in found)
    assert set(keys) == {one.name for one in found if one.key}


async def test_a_migration_copies_every_table(made: Store) -> None:
    tables = made.query(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'aegis_graph'"
        if made.url.startswith("postgresql:")
        else "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    assert {row["name"] for row in tables} == set(TABLES)


async def test_a_settlement_sets_the_columns_that_say_so(store: Store) -> None:
    ledger = store.open()
    tagged = {"thread_id": "t", "run_id": "r", "tags": '{"team": "search"}'}
    limits = (UnitLimit("total", "tokens_per_minute", 9),)
    asked: Any = {"limits": limits, "tokens": 9, "queued_ms": 7, "expected_nano_usd": 90}
    made = await ledger.admit([hold(100, **tagged, **asked)])
    (before,) = store.rows()
    counts = {"cached_input_tokens": 2, "reasoning_tokens": 1, "cache_write_tokens": 3}
    counts["first_token_ms"] = 4
    names = {"error_type": "E", "service_tier": "flex", "served_model": "m-2026"}
    await ledger.settle([settlement(made, 40, status="failed", overrun=1, **counts, **names)])
    (after,) = store.rows()
    assert {name for name in before if before[name] != after[name]} - {"cost_usd"} == set(
        SET_BY_SETTLEMENT
    )
    assert None not in {before[one.name] for one in REQUESTS if one.set_by == "hold"}


WORDS: Mapping[tuple[str, str], set[str]] = {
    ("budgets", "period"): set(WINDOWS),
    ("budgets", "origin"): set(get_args(Origin)),
    ("requests", "status"): {"reserved", "expired", *get_args(Status)},
    ("requests", "cost_basis"): set(get_args(CostBasis)),
}


@pytest.mark.parametrize(("table", "column"), WORDS)
async def test_a_column_takes_the_words_of_its_type(made: Store, table: str, column: str) -> None:
    texts = [row["text"] for row in ask(made, SQLITE_CHECKS, POSTGRES_CHECKS, table)]
    # ``status IN ('a', 'b')``, which PostgreSQL writes as ``status = ANY (ARRAY['a'::text, ...])``.
    (found,) = re.findall(rf"\(\(?{column} (?:IN|= ANY) \(([^)]*)\)", " ".join(texts))
    assert set(re.findall(r"'(\w+)'", found)) == WORDS[table, column]
