"""The vectors of an index as they are kept: in blocks, each text's once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby

from aegis_graph.errors import StoreError

BLOCK_VECTORS = 256
"""Vectors of a block, at most: 1 MB of 1,024 dimensions."""


def keep_vectors(
    connection: sqlite3.Connection, *, space: str, vectors: Sequence[tuple[bytes, bytes]]
) -> None:
    """Keep vectors, inside the caller's transaction; those that are there already stay.

    Args:
        connection: The index.
        space: Name of what they are compared with.
        vectors: Each text's digest, and its vector as ``unit_blob`` gives it.

    Raises:
        StoreError: The index has vectors of that name and of another length.
    """
    if not vectors:
        return
    bytes_each = len(vectors[0][1])
    number = _space(connection, space, bytes_each // 4)
    # Another process may have bought the same.
    new = [one for one in dict(vectors).items() if not _is_kept(connection, number, one[0])]
    while new:
        block, count, matrix = _open_block(connection, number)
        some, new = new[: BLOCK_VECTORS - count], new[BLOCK_VECTORS - count :]
        grown = matrix + b"".join(vector for _, vector in some)
        connection.execute(
            "UPDATE blocks SET count = ?, matrix = ? WHERE id = ?",
            (count + len(some), grown, block),
        )
        connection.executemany(
            "INSERT INTO vectors (space, digest, block, slot) VALUES (?, ?, ?, ?)",
            [(number, digest, block, slot) for slot, (digest, _) in enumerate(some, start=count)],
        )


def drop_unused_vectors(connection: sqlite3.Connection) -> None:
    """Take out the vectors of texts that are gone, inside the caller's transaction."""
    unused = connection.execute(
        "SELECT block, slot FROM vectors"
        " WHERE digest NOT IN (SELECT digest FROM passages) ORDER BY block, slot"
    ).fetchall()
    for block, slots in groupby(unused, key=lambda row: row[0]):
        _close_up(connection, block, {slot for _, slot in slots})


def _space(connection: sqlite3.Connection, name: str, dimensions: int) -> int:
    connection.execute(
        "INSERT INTO spaces (name, dimensions) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (name, dimensions),
    )
    number, before = connection.execute(
        "SELECT id, dimensions FROM spaces WHERE name = ?", (name,)
    ).fetchone()
    if before != dimensions:
        raise StoreError(
            f"the index has vectors of {name} with {before} dimensions, and these have"
            f" {dimensions}; make another index for them"
        )
    return int(number)


def _is_kept(connection: sqlite3.Connection, space: int, digest: bytes) -> bool:
    found = connection.execute(
        "SELECT 1 FROM vectors WHERE space = ? AND digest = ?", (space, digest)
    )
    return found.fetchone() is not None


def _open_block(connection: sqlite3.Connection, space: int) -> tuple[int, int, bytes]:
    """A block with room, which may be a new one."""
    found = connection.execute(
        "SELECT id, count, matrix FROM blocks WHERE space = ? AND count < ? ORDER BY id LIMIT 1",
        (space, BLOCK_VECTORS),
    ).fetchone()
    if found is not None:
        return int(found[0]), int(found[1]), bytes(found[2])
    made = connection.execute(
        "INSERT INTO blocks (space, count, matrix) VALUES (?, 0, x'') RETURNING id", (space,)
    ).fetchone()
    return int(made[0]), 0, b""


def _close_up(connection: sqlite3.Connection, block: int, gone: set[int]) -> None:
    """Take slots out of a block, and move the others together."""
    count, matrix = connection.execute(
        "SELECT count, matrix FROM blocks WHERE id = ?", (block,)
    ).fetchone()
    size = len(matrix) // count
    kept = [slot for slot in range(count) if slot not in gone]
    connection.executemany(
        "DELETE FROM vectors WHERE block = ? AND slot = ?", [(block, slot) for slot in gone]
    )
    if not kept:
        connection.execute("DELETE FROM blocks WHERE id = ?", (block,))
        return
    # From the front, so that no slot is taken by two.
    connection.executemany(
        "UPDATE vectors SET slot = ? WHERE block = ? AND slot = ?",
        [(new, block, old) for new, old in enumerate(kept) if new != old],
    )
    closed = b"".join(matrix[slot * size : (slot + 1) * size] for slot in kept)
    connection.execute(
        "UPDATE blocks SET count = ?, matrix = ? WHERE id = ?", (len(kept), closed, block)
    )
