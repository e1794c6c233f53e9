"""The tables, as an append-only list of migrations.

``requests`` has one row per attempt. ``totals`` has one row per scope and local day, kept by the
transaction that writes the row it counts: a budget's window and a month's report are sums over a
few of them, at any size of ``requests``. ``unanswered`` has one row per request without an answer.
"""

from __future__ import annotations

APPLICATION_ID = 0x41454749
"""Marks the file as ours ("AEGI" in ASCII), so that nobody else's database is written to."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE requests (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            timestamp TEXT NOT NULL,
            day TEXT NOT NULL,
            route_id TEXT NOT NULL,
            attempt INTEGER NOT NULL,
            provider TEXT NOT NULL,
            model TEXT NOT NULL,
            task TEXT NOT NULL,
            sensitivity TEXT NOT NULL,
            user_id TEXT NOT NULL,
            thread_id TEXT,
            query_hash TEXT NOT NULL,
            status TEXT NOT NULL DEFAULT 'reserved'
                CHECK (status IN ('reserved', 'answered', 'failed', 'cancelled', 'expired')),
            error_type TEXT,
            cost_basis TEXT NOT NULL DEFAULT 'held'
                CHECK (cost_basis IN ('reported', 'estimated', 'held', 'none')),
            hold_nano_usd INTEGER NOT NULL CHECK (hold_nano_usd >= 0),
            cost_nano_usd INTEGER NOT NULL DEFAULT 0 CHECK (cost_nano_usd >= 0),
            cost_usd REAL GENERATED ALWAYS AS (cost_nano_usd / 1e9) VIRTUAL,
            input_tokens INTEGER,
            output_tokens INTEGER,
            cached_input_tokens INTEGER,
            reasoning_tokens INTEGER,
            latency_ms INTEGER,
            expires_at TEXT NOT NULL
        ) STRICT
        """,
        "CREATE INDEX requests_route ON requests (route_id)",
        "CREATE INDEX requests_open ON requests (expires_at) WHERE status = 'reserved'",
        """
        CREATE TABLE totals (
            scope TEXT NOT NULL,
            day TEXT NOT NULL,
            spent_nano_usd INTEGER NOT NULL DEFAULT 0,
            held_nano_usd INTEGER NOT NULL DEFAULT 0 CHECK (held_nano_usd >= 0),
            calls INTEGER NOT NULL DEFAULT 0,
            failures INTEGER NOT NULL DEFAULT 0,
            input_tokens INTEGER NOT NULL DEFAULT 0,
            output_tokens INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (scope, day)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE unanswered (
            route_id TEXT PRIMARY KEY,
            timestamp TEXT NOT NULL,
            task TEXT NOT NULL,
            sensitivity TEXT NOT NULL,
            user_id TEXT NOT NULL,
            thread_id TEXT,
            query_hash TEXT NOT NULL,
            error_type TEXT NOT NULL,
            reasons TEXT NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
)

SCHEMA_VERSION = len(MIGRATIONS)
