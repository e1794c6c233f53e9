"""A search in an index, as statements: by words, by meaning, and both joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from aegis_graph.components.index.filters import Condition
from aegis_graph.components.index.rows import FoundPassage
from aegis_graph.components.index.schema import ROW
from aegis_graph.components.index.vectors import Space, nearest_passages
from aegis_graph.components.retriever.base import fuse, take_turns
from aegis_graph.ledger.queries import Query, Statement

_RANK = "bm25(words, 0.0, 1.0, 0.4)"
"""A part of a compound counts less than the word itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to look for: a question, and each part of it that can be looked up alone."""

    words: Sequence[str]
    """One for each of them, as ``Stemmer.query`` gives it."""
    where: Condition
    depth: int
    """How far down each ranking is read."""
    neighbours: int
    """Passages before and after each that is found."""
    space: Space | None = None
    vectors: Sequence[bytes] = ()
    """One for each of them, where they were embedded."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found, with those around it."""

    found: FoundPassage
    before: tuple[FoundPassage, ...]
    after: tuple[FoundPassage, ...]


def space_of(name: str) -> Query[Space | None]:
    """The space of vectors with a name, where the index has some."""
    rows = yield Statement(
        "SELECT s.id, s.dimensions FROM spaces AS s WHERE s.name = ?"
        " AND EXISTS (SELECT 1 FROM blocks AS b WHERE b.space = s.id)",
        (name,),
    )
    return Space(*rows[0]) if rows else None


def hits(search: Search) -> Query[list[Hit]]:
    """What is found, best first."""
    # All statements see the index as it is now, also while it is being written.
    yield Statement("BEGIN")
    rankings: list[list[int]] = []
    for words, vector in zip_longest(search.words, search.vectors):
        rankings.append((yield from _ranking(search, words, vector)))
    best = take_turns(rankings)[: search.depth]
    found = yield from _passages(best)
    if not search.neighbours:
        return [Hit(one, (), ()) for one in found]
    around = yield from _around(found, search.neighbours)
    return [_hit(one, around, search.neighbours) for one in found]


def _ranking(search: Search, words: str, vector: bytes | None) -> Query[list[int]]:
    by_words = yield from _by_words(search, words)
    if vector is None or search.space is None:
        return by_words
    by_meaning = yield from nearest_passages(
        vector, space=search.space, limit=search.depth, where=search.where
    )
    return fuse([by_words, by_meaning])


def _by_words(search: Search, words: str) -> Query[list[int]]:
    if not words:
        return []
    joined = (
        " JOIN passages AS p ON p.id = words.rowid JOIN documents AS d ON d.id = p.document"
        if search.where.parameters
        else ""
    )
    rows = yield Statement(
        f"SELECT words.rowid FROM words{joined} WHERE words MATCH ? AND {search.where.sql}"
        f" ORDER BY {_RANK}, words.rowid LIMIT ?",
        (words, *search.where.parameters, search.depth),
    )
    return [row[0] for row in rows]


def _passages(numbers: Sequence[int]) -> Query[list[FoundPassage]]:
    rows = yield Statement(
        f"SELECT {ROW} JOIN json_each(?) AS j ON j.value = p.id ORDER BY j.key",
        (json.dumps(numbers),),
    )
    return [FoundPassage.of(row) for row in rows]


def _around(
    found: Sequence[FoundPassage], distance: int
) -> Query[dict[tuple[int, int], FoundPassage]]:
    wanted = {
        (one.document, place)
        for one in found
        for place in range(one.place - distance, one.place + distance + 1)
    }
    rows = yield Statement(
        f"SELECT {ROW} JOIN json_each(?) AS j"
        " ON p.document = json_extract(j.value, '$[0]')"
        " AND p.place = json_extract(j.value, '$[1]')",
        (json.dumps(sorted(wanted)),),
    )
    passages = [FoundPassage.of(row) for row in rows]
    return {(one.document, one.place): one for one in passages}


def _hit(one: FoundPassage, around: dict[tuple[int, int], FoundPassage], distance: int) -> Hit:
    before = [around.get((one.document, one.place - step)) for step in range(distance, 0, -1)]
    after = [around.get((one.document, one.place + step)) for step in range(1, distance + 1)]
    return Hit(one, tuple(filter(None, before)), tuple(filter(None, after)))
