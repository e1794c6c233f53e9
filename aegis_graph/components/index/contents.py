"""What an index has: its files as they were read, and the paths that it is made from."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aegis_graph.components.index.report import IndexStatus
from aegis_graph.types import Sensitivity


class Stamp(NamedTuple):
    """What a file looks like from outside."""

    size: int
    mtime_ns: int


class KnownDocument(NamedTuple):
    """What an index has of a file."""

    id: int
    stamp: Stamp
    hash: bytes
    source: str
    sensitivity: Sensitivity | None
    reason: str | None
    """Why it was not read, or not all of it."""
    message: str | None
    abilities: str
    """The optional readers that were there."""

    def is_final(self, abilities: str) -> bool:
        """Whether reading the same file again gives the same."""
        return self.reason is None or self.abilities == abilities


def known_documents(
    connection: sqlite3.Connection, scanned: Sequence[Path]
) -> dict[bytes, KnownDocument]:
    """The documents at or below some paths, by their files."""
    rows = connection.execute(
        "SELECT path, id, size, mtime_ns, hash, source, sensitivity, reason, message, abilities"
        " FROM documents"
    )
    return {
        row[0]: KnownDocument(row[1], Stamp(row[2], row[3]), *row[4:])
        for row in rows
        if is_below(row[0], scanned)
    }


def roots_of(connection: sqlite3.Connection) -> list[Path]:
    """The files and folders that an index is made from."""
    rows = connection.execute("SELECT path FROM roots ORDER BY path").fetchall()
    return [Path(os.fsdecode(row[0])) for row in rows]


def left_out_of(connection: sqlite3.Connection) -> list[Path]:
    """What was taken out by hand; the index is opened to be written."""
    rows = connection.execute("SELECT path FROM left_out ORDER BY path").fetchall()
    return [Path(os.fsdecode(row[0])) for row in rows]


def path_of(connection: sqlite3.Connection, source: str) -> Path | None:
    """The file that has a source's name."""
    row = connection.execute("SELECT path FROM documents WHERE source = ?", (source,)).fetchone()
    return None if row is None else Path(os.fsdecode(row[0]))


def fewest(roots: Sequence[Path]) -> list[Path]:
    """As few paths as say the same: a folder stands for what is below it.

    Example:
        >>> [path.as_posix() for path in fewest([Path("/a"), Path("/a/b"), Path("/c")])]
        ['/a', '/c']
    """
    every = dict.fromkeys(roots)
    return [one for one in every if not any(other in every for other in one.parents)]


def root_of(path: Path, roots: Sequence[Path]) -> Path:
    """The folder that a file is named below."""
    for root in roots:
        if root in path.parents:
            return root
    return path.parent


def is_below(path: bytes, roots: Sequence[Path]) -> bool:
    """Whether a file is at or below one of some paths."""
    separator = os.sep.encode()
    encoded = (os.fsencode(root).rstrip(separator) for root in roots)
    return any(path == root or path.startswith(root + separator) for root in encoded)


def is_gone(path: bytes | Path) -> bool:
    """Whether a file is not there; not so where that cannot be seen."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def is_hidden(path: bytes | Path) -> bool:
    """Whether it cannot be seen if a file is there, as in a folder that may not be entered."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return False


def status_of(connection: sqlite3.Connection) -> IndexStatus:
    """What is in an index."""
    [documents] = connection.execute(
        "SELECT count(*) FROM documents WHERE reason IS NULL OR reason = 'partly'"
    ).fetchone()
    [passages] = connection.execute("SELECT count(*) FROM passages").fetchone()
    roots = tuple(str(root) for root in roots_of(connection))
    spaces = connection.execute(
        "SELECT s.name, count(*) FROM spaces AS s JOIN vectors AS v ON v.space = s.id GROUP BY s.id"
    ).fetchall()
    return IndexStatus(
        documents=documents, passages=passages, roots=roots, spaces=dict(sorted(spaces))
    )
