"""What the ledger's tests share: a place to open ledgers at, holds and settlements."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg.rows import dict_row

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import (
    Admission,
    Budget,
    BudgetRefusal,
    FailedRequest,
    Hold,
    RequestFacts,
)
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.types import SettlementRecord

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAYS: dict[str, Any] = {"first_day": "2026-11-01", "end_day": "2026-12-01"}
_numbers = itertools.count(1)


@dataclass
class Store:
    """One place of storage, at which ledgers can be opened."""

    folder: Path
    url: str
    now: datetime = NOON
    opened: list[SqlLedger] = field(default_factory=list)

    def open(self, *budgets: tuple[str, str, str], zone: str = "UTC") -> SqlLedger:
        rows = [{"scope": s, "window": w, "limit_usd": usd} for s, w, usd in budgets]
        chain = [
            {"name": name, "kind": "ollama", "model": "m", "location": "local", "price": "free"}
            for name in ("cheap", "dear")
        ]
        place = {"url": self.url, "timezone": zone}
        config = RouterConfig.model_validate({"ledger": place, "budgets": rows, "providers": chain})
        self.opened.append(create_ledger(config, clock=lambda: self.now))
        return self.opened[-1]

    def rows(self, table: str = "requests") -> list[dict[str, Any]]:
        return self.query(f"SELECT * FROM {table}")

    def query(self, sql: str) -> list[dict[str, Any]]:
        if self.url.startswith("postgresql:"):
            with connect(self.url) as connection:
                return connection.cursor(row_factory=dict_row).execute(sql.encode()).fetchall()
        with closing(sqlite3.connect(self.folder / "costs.db")) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql)]

    def change(self, sql: str) -> None:
        if self.url.startswith("postgresql:"):
            with connect(self.url) as connection:
                connection.execute(sql.encode())
            return
        with closing(sqlite3.connect(self.folder / "costs.db")) as database, database:
            database.execute(sql)


def connect(url: str) -> psycopg.Connection[Any]:
    """A connection of the test's own to the ledger's tables."""
    return psycopg.connect(url, autocommit=True, options="-c search_path=aegis_graph")


def empty_store(kind: str, folder: Path, postgres_url: str | None = None) -> Store:
    """A place without any ledger."""
    if kind == "sqlite":
        return Store(folder, f"sqlite:///{folder}/costs.db")
    assert postgres_url is not None
    with connect(postgres_url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS aegis_graph CASCADE")
    return Store(folder, postgres_url)


def hold(nano_usd: int, *, provider: str = "cheap", user: str = "ada", **more: Any) -> Hold:
    request = {name: more.pop(name) for name in RequestFacts._fields if name in more}
    values: dict[str, Any] = {"attempt": 1, "provider": provider, "model": "m", "lease_s": 60.0}
    facts = request_facts(user_id=user, **request)
    return Hold(**{"request": facts, "nano_usd": nano_usd, **values, **more})


def request_facts(**changes: Any) -> RequestFacts:
    values: dict[str, Any] = {
        "route_id": f"r{next(_numbers)}",
        "task": "chat",
        "sensitivity": "public",
        "user_id": "ada",
        "thread_id": None,
        "query_hash": "0" * 64,
    }
    return RequestFacts(**{**values, **changes})


def failed_request(reasons: str = "no provider may", **changes: Any) -> FailedRequest:
    return FailedRequest(
        request=request_facts(**changes), error_type="NoProviderError", reasons=reasons
    )


def full_budget(admission: Admission) -> Budget:
    """The budget that the first hold did not fit into."""
    refusal = admission.refusals[0]
    assert isinstance(refusal, BudgetRefusal)
    return refusal.budget


def settlement(admission: Admission, cost: int, **more: Any) -> SettlementRecord:
    assert admission.hold_id is not None
    facts = {"status": "answered", "cost_nano_usd": cost, "cost_basis": "reported"}
    tokens = {"input_tokens": 7, "output_tokens": 3, "latency_ms": 5}
    return cast(SettlementRecord, {**unused_hold(admission.hold_id), **facts, **tokens, **more})


async def spent_and_held(ledger: SqlLedger) -> list[tuple[int, int]]:
    return [(row.spent_nano_usd, row.held_nano_usd) for row in await ledger.budgets()]


USD = 1_000_000_000
