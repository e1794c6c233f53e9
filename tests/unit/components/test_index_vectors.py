"""Vectors in blocks: kept once, closed up when some go, and all of them compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from aegis_graph.components.index.filters import condition_of
from aegis_graph.components.index.schema import TABLES
from aegis_graph.components.index.vector_store import drop_unused_vectors, keep_vectors
from aegis_graph.components.index.vectors import Space, nearest_passages, unit_blob
from aegis_graph.errors import StoreError
from aegis_graph.ledger.queries import Statement, advance

SIZE = 8
COUNT = 700


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        for number in range(COUNT):
            source = f"{'even' if number % 2 == 0 else 'odd'}/{number}.md"
            connection.execute(
                "INSERT INTO documents (id, path, source, title, size, mtime_ns, hash, abilities)"
                " VALUES (?, ?, ?, '', 0, 0, x'', '')",
                (number, source.encode(), source),
            )
            connection.execute(
                "INSERT INTO passages (id, document, place, start, heading, sheet, digest)"
                " VALUES (?, ?, 0, 0, '', '', ?)",
                (number, number, digest(number)),
            )
        yield connection


def digest(number: int) -> bytes:
    return number.to_bytes(16, "big")


def made_up() -> Any:
    return np.random.default_rng(3).normal(size=(COUNT, SIZE))


def keep(connection: sqlite3.Connection, vectors: Any, *numbers: int) -> None:
    rows = [(digest(number), unit_blob(vectors[number])) for number in numbers]
    keep_vectors(connection, space="m", vectors=rows)


def nearest(connection: sqlite3.Connection, vector: Any, **where: Any) -> list[int]:
    query = nearest_passages(
        unit_blob(vector), space=Space(1, SIZE), limit=20, where=condition_of(where)
    )
    step = advance(query, None)
    while isinstance(step, Statement):
        step = advance(query, connection.execute(step.sql, step.parameters).fetchall())
    found: list[int] = step.value
    return found


def by_hand(vectors: Any, asked: Any, numbers: list[int]) -> list[int]:
    scores = {n: float(vectors[n] @ asked / np.linalg.norm(vectors[n])) for n in numbers}
    best = sorted((n for n in numbers if scores[n] > 0), key=lambda n: -scores[n])
    return best[:20]


def test_the_nearest_are_found_among_many_blocks_and_after_some_went(
    connection: sqlite3.Connection,
) -> None:
    vectors, asked = made_up(), np.ones(SIZE)
    for first in range(0, COUNT, 30):
        keep(connection, vectors, *range(first, min(first + 30, COUNT)))
    keep(connection, vectors, 5, 6, 7)
    everything = list(range(COUNT))
    assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (COUNT,)
    assert nearest(connection, asked) == by_hand(vectors, asked, everything)
    odd = everything[1::2]
    assert nearest(connection, asked, source="odd/*") == by_hand(vectors, asked, odd)

    connection.execute("DELETE FROM passages WHERE id % 3 = 0 OR id < 300")
    drop_unused_vectors(connection)
    left = [n for n in everything if n % 3 and n >= 300]
    assert connection.execute("SELECT count(*) FROM vectors").fetchone() == (len(left),)
    assert nearest(connection, asked) == by_hand(vectors, asked, left)

    for number in (0, 3):
        connection.execute(
            "INSERT INTO passages (id, document, place, start, heading, sheet, digest)"
            " VALUES (?, ?, 0, 0, '', '', ?)",
            (number, number, digest(number)),
        )
    keep(connection, vectors, 0, 3)
    assert nearest(connection, asked) == by_hand(vectors, asked, sorted([*left, 0, 3]))
    counts = connection.execute("SELECT sum(count), count(*) FROM blocks").fetchone()
    assert counts == (len(left) + 2, 2)


def test_vectors_of_another_length_are_refused(connection: sqlite3.Connection) -> None:
    keep_vectors(connection, space="m", vectors=[(digest(1), unit_blob([1.0, 0.0]))])
    with pytest.raises(StoreError, match="m with 2 dimensions, and these have 3"):
        keep_vectors(connection, space="m", vectors=[(digest(2), unit_blob([1.0, 0.0, 0.0]))])
