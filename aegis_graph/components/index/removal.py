"""Takes files and folders out of an index again, and what an update must leave out after that."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from aegis_graph.components.documents.sources import shown
from aegis_graph.components.index.contents import (
    is_below,
    known_documents,
    left_out_of,
    roots_of,
    status_of,
)
from aegis_graph.components.index.database import IndexFile
from aegis_graph.components.index.report import RemoveReport
from aegis_graph.components.index.vector_store import drop_unused_vectors
from aegis_graph.components.index.writing import DocumentWriter
from aegis_graph.errors import DocumentError


def remove_documents(
    file: IndexFile, connection: sqlite3.Connection, paths: Sequence[Path]
) -> RemoveReport:
    """Take out what is at or below some paths, all of it or nothing.

    Args:
        file: The index.
        connection: It, opened to be written.
        paths: Files and folders.

    Raises:
        DocumentError: The index has nothing from one of them.
    """
    given = [Path(os.path.abspath(path)) for path in paths]
    # Zeros in the place of what goes: else its text would stay in the file for a while.
    connection.execute("PRAGMA secure_delete = ON")
    with file.transaction(connection):
        before, roots = status_of(connection), roots_of(connection)
        known = known_documents(connection, given)
        for path in given:
            if path not in roots and not any(is_below(one, [path]) for one in known):
                made = ", ".join(before.roots) or "nothing"
                raise DocumentError(f"{shown(str(path))}: is not in the index, which is of {made}")
        DocumentWriter(connection).remove([one.id for one in known.values()])
        drop_unused_vectors(connection)
        _leave_out(connection, given, roots)
        # The words of what went stay in their lists until these are joined.
        connection.execute("INSERT INTO words (words) VALUES ('optimize')")
        after = status_of(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return RemoveReport(
        documents=before.documents - after.documents,
        passages=before.passages - after.passages,
        vectors=sum(before.spaces.values()) - sum(after.spaces.values()),
        status=after,
    )


def bring_back(
    file: IndexFile, connection: sqlite3.Connection, given: Sequence[Path]
) -> list[Path]:
    """What an update leaves out: what was taken out, and is not named now, nor anything in it."""
    out = left_out_of(connection)
    kept = [one for one in out if not any(is_below(os.fsencode(path), [one]) for path in given)]
    if kept != out:
        with file.transaction(connection):
            _replace(connection, "left_out", kept)
    return kept


def _leave_out(
    connection: sqlite3.Connection, given: Sequence[Path], roots: Sequence[Path]
) -> None:
    left = [one for one in roots if not is_below(os.fsencode(one), given)]
    _replace(connection, "roots", left)
    # Below a folder that stays, the next update would read it again.
    out = dict.fromkeys([*left_out_of(connection), *given])
    _replace(connection, "left_out", [one for one in out if is_below(os.fsencode(one), left)])


def _replace(connection: sqlite3.Connection, table: str, paths: Sequence[Path]) -> None:
    connection.execute(f"DELETE FROM {table}")
    rows = [(os.fsencode(one),) for one in paths]
    connection.executemany(f"INSERT INTO {table} VALUES (?)", rows)
