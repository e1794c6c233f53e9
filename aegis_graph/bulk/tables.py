"""The tables of a job's file ``job.sqlite``. Times are milliseconds since 1970 in UTC."""

from __future__ import annotations

TABLES = """
CREATE TABLE job (
    name TEXT NOT NULL, graph TEXT NOT NULL, format TEXT NOT NULL, created_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'running', reason TEXT, max_attempts INTEGER NOT NULL DEFAULT 3,
    envelope_nano_usd INTEGER, spent_nano_usd INTEGER NOT NULL DEFAULT 0,
    twice_items INTEGER NOT NULL DEFAULT 0, twice_nano_usd INTEGER NOT NULL DEFAULT 0,
    parts INTEGER NOT NULL DEFAULT 0, compacted INTEGER NOT NULL DEFAULT 0,
    compacted_rows INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE items (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, input TEXT NOT NULL, source TEXT,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, begun INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0, doubts INTEGER NOT NULL DEFAULT 0, worker TEXT,
    output TEXT, error TEXT, cost_nano_usd INTEGER NOT NULL DEFAULT 0,
    route_ids TEXT NOT NULL DEFAULT '[]', seconds REAL NOT NULL DEFAULT 0, part INTEGER,
    last_call INTEGER NOT NULL DEFAULT 0, twice INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX items_open ON items (state, doubts, number) WHERE state IN ('pending', 'failed');
CREATE INDEX items_begun ON items (number) WHERE begun > 1 AND state IN ('pending', 'failed');
CREATE INDEX items_leased ON items (worker) WHERE state = 'leased';
CREATE INDEX items_staged ON items (number) WHERE state = 'staged';
CREATE INDEX items_aside ON items (number) WHERE state = 'set_aside';
CREATE INDEX items_kept ON items (number) WHERE state = 'done' AND part IS NULL;
CREATE INDEX items_part ON items (part) WHERE output IS NOT NULL AND part IS NOT NULL;
CREATE INDEX items_source ON items (source) WHERE source IS NOT NULL;
CREATE TABLE counts (state TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE workers (
    id TEXT PRIMARY KEY, host TEXT NOT NULL, process TEXT NOT NULL, until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pace (second INTEGER PRIMARY KEY, ended INTEGER NOT NULL) STRICT;
CREATE TRIGGER item_added AFTER INSERT ON items BEGIN
    INSERT INTO counts VALUES (NEW.state, 1)
        ON CONFLICT (state) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER item_removed AFTER DELETE ON items BEGIN
    UPDATE counts SET number = number - 1 WHERE state = OLD.state;
END;
CREATE TRIGGER item_moved AFTER UPDATE OF state ON items WHEN NEW.state <> OLD.state BEGIN
    UPDATE counts SET number = number - 1 WHERE state = OLD.state;
    INSERT INTO counts VALUES (NEW.state, 1)
        ON CONFLICT (state) DO UPDATE SET number = number + 1;
END;
CREATE TRIGGER item_paid AFTER UPDATE OF cost_nano_usd ON items
WHEN NEW.cost_nano_usd <> OLD.cost_nano_usd BEGIN
    UPDATE job SET spent_nano_usd = spent_nano_usd + NEW.cost_nano_usd - OLD.cost_nano_usd;
END;
"""

APPLICATION_ID = 0x41454742
"""Marks the file as a job's ("AEGB" in ASCII)."""
VERSION = 1
