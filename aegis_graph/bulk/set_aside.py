"""Which items of a job were set aside, and why."""

from __future__ import annotations

from typing import NamedTuple

from aegis_graph.bulk.queue import WorkQueue


class SetAsideItem(NamedTuple):
    """An item that failed as often as it may."""

    key: str
    source: str | None
    """Where it comes from, for people."""
    error: str
    """Why, in one line."""


def set_aside_items(queue: WorkQueue, *, most: int) -> list[SetAsideItem]:
    """The first items that were set aside, in their order.

    Args:
        queue: Of the job.
        most: How many at most.

    Raises:
        StoreError: The job's file cannot be read.
    """
    with queue.file.reading() as connection:
        rows = connection.execute(
            "SELECT key, source, coalesce(error, '') FROM items WHERE state = 'set_aside'"
            " ORDER BY number LIMIT ?",
            (most,),
        ).fetchall()
    return [SetAsideItem(*row) for row in rows]
