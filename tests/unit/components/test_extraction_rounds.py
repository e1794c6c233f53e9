"""Which chunks get another round."""

from __future__ import annotations

from typing import Any, cast

import pytest

from aegis_graph.components.relation_extractor.chunk_graph import ChunkDone, Retry
from aegis_graph.components.relation_extractor.rounds import Rounds, next_round


def chunk(retry: Retry | None, tries: int = 1) -> ChunkDone:
    return cast("ChunkDone", {"retry": retry, "tries": tries})


FINE = chunk(None)


@pytest.mark.parametrize(
    ("done", "before", "pending", "wait", "idle"),
    [
        ([FINE, FINE], (2, 0), 0, False, 0),
        ([FINE, chunk("now")], (2, 0), 1, False, 0),
        ([FINE, chunk("later")], (2, 0), 1, False, 0),  # something was done: go on at once
        ([chunk("now")], (1, 0), 1, False, 1),
        ([chunk("later", 0)], (1, 0), 1, True, 1),
        ([chunk("later", 0), chunk("now")], (2, 1), 2, True, 2),
        ([chunk("later", 0)], (1, 2), 0, False, 2),  # three rounds without a result
        ([chunk("now", 3)], (1, 0), 0, False, 0),  # asked three times
        ([chunk("now", 3), chunk("now", 2)], (2, 0), 1, False, 0),
    ],
)
def test_next_round(
    done: list[Any], before: tuple[int, int], pending: int, wait: bool, idle: int
) -> None:
    following = next_round(done, Rounds(pending=before[0], idle=before[1]), 2)
    assert (len(following.pending), following.wait) == (pending, wait)
    assert len(following.pending) + len(following.finished) == len(done)
    if following.pending:
        assert following.rounds == Rounds(pending=pending, idle=idle)


def test_no_retries_are_none() -> None:
    assert not next_round([chunk("now"), FINE], Rounds(pending=2, idle=0), 0).pending
