"""The items of a job that are run first, for a forecast. Each function needs a transaction."""

from __future__ import annotations

import random
import sqlite3
from typing import NamedTuple

CHOSEN = -1
"""The doubts of an item that was chosen: fewer than any other's, so it is leased first."""


class SampledItem(NamedTuple):
    """What an item of the sample came to."""

    nano_usd: int
    seconds: float


def choose_sample(connection: sqlite3.Connection, count: int) -> int:
    """Choose items by chance, so many with those that were chosen before.

    Returns:
        How many of them have no result yet.
    """
    chosen, waiting = connection.execute(
        "SELECT count(*), coalesce(sum(state IN ('pending', 'failed')), 0)"
        " FROM items WHERE doubts = ?",
        (CHOSEN,),
    ).fetchone()
    numbers = [
        number
        for (number,) in connection.execute(
            "SELECT number FROM items WHERE state = 'pending' AND doubts >= 0 ORDER BY number"
        )
    ]
    # By the size of the job, so that the same job has the same sample each time.
    picked = random.Random(len(numbers)).sample(numbers, min(len(numbers), max(0, count - chosen)))
    connection.executemany(
        "UPDATE items SET doubts = ? WHERE number = ?", [(CHOSEN, number) for number in picked]
    )
    return int(waiting) + len(picked)


def read_sample(connection: sqlite3.Connection) -> list[SampledItem]:
    """What the chosen items cost and took, of those that ended."""
    rows = connection.execute(
        "SELECT cost_nano_usd, seconds FROM items"
        " WHERE doubts = ? AND state IN ('done', 'failed', 'set_aside')",
        (CHOSEN,),
    )
    return [SampledItem(nano_usd, seconds) for nano_usd, seconds in rows]
