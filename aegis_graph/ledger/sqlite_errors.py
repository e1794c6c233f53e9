"""What SQLite's errors mean for a ledger, and what to do about them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aegis_graph.errors import LedgerError, ReadOnlyLedgerError

_MEANING: dict[str, str] = {
    "SQLITE_BUSY": "is locked by another program; end it, or raise ledger.busy_timeout_s",
    "SQLITE_LOCKED": "is locked by another program; end it, or raise ledger.busy_timeout_s",
    "SQLITE_FULL": "cannot grow: the disk is full; free some space",
    "SQLITE_READONLY": "is read-only; allow writing to it and to its folder",
    "SQLITE_CANTOPEN": "cannot be opened; check that its folder exists and may be written to",
    "SQLITE_PERM": "may not be opened by this user; change its permissions",
    "SQLITE_NOTADB": "is not a SQLite database; move it away or set another ledger.url",
    "SQLITE_CORRUPT": "is damaged; restore a backup, or move it away to start a new one",
    "SQLITE_IOERR": "cannot be read or written: the disk reports an error, or is full",
}


def damaged(path: Path, found: str) -> LedgerError:
    """The error for a fault that the database found in its own pages."""
    error = sqlite3.DatabaseError(found)
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return explain(path, error)


def explain(path: Path, error: Exception) -> LedgerError:
    """The ``LedgerError`` that says what a database error means and what to do about it."""
    error_type = LedgerError
    if isinstance(error, OSError):
        text = f"the ledger's folder {path.parent} cannot be made: {error.strerror or error}"
    else:
        name = getattr(error, "sqlite_errorname", None) or "SQLITE_ERROR"
        # ``SQLITE_IOERR_WRITE`` means what ``SQLITE_IOERR`` does.
        primary = "_".join(name.split("_")[:2])
        meaning = _MEANING.get(primary, f"cannot be used ({name}: {error})")
        # SQLite says of a folder what it says of a disk with errors.
        meaning = "is a folder; name a file in it" if path.is_dir() else meaning
        text = f"the ledger {path} {meaning}"
        # SQLite names a folder in which it may make no file as one that it cannot open, and a full
        # disk as one with errors.
        unclear = primary in {"SQLITE_CANTOPEN", "SQLITE_IOERR"} and path.exists()
        if unclear or primary in {"SQLITE_READONLY", "SQLITE_FULL"}:
            error_type = ReadOnlyLedgerError
    explained = error_type(text)
    explained.__cause__ = error
    return explained
