"""The tables of an index, and the statements that read them."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x41454958
"""Marks the file as an index of this package ("AEIX" in ASCII)."""

LAYOUT: Final = 1
"""The version of these tables. An index is made from files that are there, so another layout is
not migrated: it is made again."""

PAGE_BYTES: Final = 16384
"""Bytes of a page: larger than SQLite's usual ones, because passages and vectors are."""

TABLES: Final = """
CREATE TABLE roots (path BLOB PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,      -- as the system has it: not every name is text
    source TEXT NOT NULL,
    title TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,      -- -1 where it is not to be trusted
    hash BLOB NOT NULL,
    sensitivity TEXT,
    reason TEXT,                    -- why it was not read, or not all of it
    message TEXT,
    abilities TEXT NOT NULL         -- the optional readers that were there
);

CREATE TABLE passages (
    id INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    place INTEGER NOT NULL,
    start INTEGER NOT NULL,
    heading TEXT NOT NULL,
    page INTEGER,
    slide INTEGER,
    sheet TEXT NOT NULL,
    first_line INTEGER,
    last_line INTEGER,
    digest BLOB NOT NULL            -- of the text that is embedded
);
CREATE UNIQUE INDEX passages_in_order ON passages (document, place);
CREATE INDEX passages_by_digest ON passages (digest);

-- A passage's text, its stems, and its long German words read backwards: a compound ends with the
-- word that it is a kind of.
CREATE VIRTUAL TABLE words USING fts5 (
    text UNINDEXED, stems, endings, tokenize = 'unicode61 remove_diacritics 0'
);

CREATE TABLE spaces (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, dimensions INTEGER NOT NULL
);
-- Vectors of length 1, as 32-bit floats, some hundreds in a row: one by one, reading them takes ten
-- times as long.
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY, space INTEGER NOT NULL, count INTEGER NOT NULL, matrix BLOB NOT NULL
);
CREATE TABLE vectors (
    space INTEGER NOT NULL,
    digest BLOB NOT NULL,
    block INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    PRIMARY KEY (space, digest)
) WITHOUT ROWID;
CREATE UNIQUE INDEX vectors_in_order ON vectors (block, slot);
"""

LEFT_OUT: Final = """
CREATE TABLE IF NOT EXISTS left_out (path BLOB PRIMARY KEY) WITHOUT ROWID
"""
"""What was taken out by hand below a folder that is indexed. Apart from the others, because an
index of this layout may have been made without it."""

ROW: Final = """
    p.id, p.document, p.place, w.text, p.heading, p.start, p.page, p.slide, p.sheet, p.first_line,
    p.last_line, d.source, d.title, d.sensitivity
FROM passages AS p JOIN documents AS d ON d.id = p.document JOIN words AS w ON w.rowid = p.id
"""
"""What is read of a passage; see ``rows.FoundPassage``."""
