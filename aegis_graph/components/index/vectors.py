"""The vectors of an index that are nearest to a question's: every one is compared.

Over ``sqlite-vec`` where it is there, else over numpy in blocks; both give the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import sqrt
from typing import Any

from aegis_graph.components.index.filters import Condition
from aegis_graph.ledger.queries import Query, Statement

BLOCK_ROWS = 4096
"""Vectors that are in memory at once, where numpy compares them: 16 MB of 1,024 dimensions."""

_RIGHT_ANGLE = sqrt(2)
"""The distance of two vectors of length 1 that have nothing in common."""
_ALLOWED = (
    "v.digest IN (SELECT p.digest FROM passages AS p JOIN documents AS d ON d.id = p.document"
    " WHERE {sql})"
)


def unit_blob(vector: Sequence[float]) -> bytes:
    """A vector of length 1 as it is kept; one of zeros stays one, and is like no other."""
    import numpy as np  # noqa: PLC0415 - takes a while, and searches by words need it not

    array = np.asarray(vector, dtype=np.float32)
    length = float(np.linalg.norm(array))
    return bytes((array / length if length else array).astype("<f4").tobytes())


def nearest_passages(
    vector: bytes, *, space: int, limit: int, where: Condition, has_functions: bool
) -> Query[list[int]]:
    """The passages whose vectors are nearest, best first.

    Args:
        vector: The question's, as ``unit_blob`` gives it.
        space: The vectors that it can be compared with.
        limit: Passages, at most.
        where: Which passages.
        has_functions: Whether the connection has the functions of ``sqlite-vec``.
    """
    # The index over spaces and texts would read the rows in another order than they lie.
    scope = "+v.space = ?"
    parameters: tuple[Any, ...] = (space,)
    if where.sql != "1":
        scope += f" AND {_ALLOWED.format(sql=where.sql)}"
        parameters += where.parameters
    if has_functions:
        rows = yield Statement(
            f"SELECT v.id, vec_distance_L2(v.vector, ?) AS distance FROM vectors AS v"
            f" WHERE {scope} ORDER BY distance, v.id LIMIT ?",
            (vector, *parameters, limit),
        )
        best = [number for number, distance in rows if distance < _RIGHT_ANGLE]
    else:
        best = yield from _by_numpy(vector, scope=scope, parameters=parameters, limit=limit)
    found = yield Statement(
        "SELECT p.id FROM json_each(?) AS j JOIN vectors AS v ON v.id = j.value"
        " JOIN passages AS p ON p.digest = v.digest JOIN documents AS d ON d.id = p.document"
        f" WHERE {where.sql} ORDER BY j.key, p.id LIMIT ?",
        (json.dumps(best), *where.parameters, limit),
    )
    return [row[0] for row in found]


def _by_numpy(
    vector: bytes, *, scope: str, parameters: Sequence[Any], limit: int
) -> Query[list[int]]:
    import numpy as np  # noqa: PLC0415 - as above

    asked = np.frombuffer(vector, dtype="<f4")
    best: list[tuple[float, int]] = []
    last = -1
    while True:
        rows = yield Statement(
            f"SELECT v.id, v.vector FROM vectors AS v WHERE v.id > ? AND {scope}"
            " ORDER BY v.id LIMIT ?",
            (last, *parameters, BLOCK_ROWS),
        )
        if not rows:
            return [number for score, number in best if score < 0]
        block = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4")
        scores = -(block.reshape(len(rows), -1) @ asked)
        first = np.argsort(scores, kind="stable")[:limit]
        best += [(float(scores[place]), rows[place][0]) for place in first]
        best = sorted(best)[:limit]
        last = rows[-1][0]
