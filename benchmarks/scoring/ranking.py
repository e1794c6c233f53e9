"""How early the gold passages of a question stand in what a search found."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

from scoring.figures import Scores


def score_ranking(holds: Sequence[Sequence[int]], golds: int) -> Scores:
    """Recall@5 and nDCG@10.

    Args:
        holds: For each passage, best first, the gold ones that stand in it, by number.
        golds: How many there are; nothing is scored where there are none.

    Example:
        >>> score_ranking([[], [0]], 1)
        {'recall@5': (1.0, 1.0), 'nDCG@10': (0.6309297535714575, 1.0)}
    """
    if not golds:
        return {"recall@5": (0.0, 0.0), "nDCG@10": (0.0, 0.0)}
    found = {gold for some in holds[:5] for gold in some}
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(golds, 10) + 1))
    return {
        "recall@5": (len(found) / golds, 1.0),
        "nDCG@10": (min(1.0, _gain(holds[:10]) / ideal), 1.0),
    }


def _gain(holds: Sequence[Sequence[int]]) -> float:
    """A gold passage that is found twice, in passages that overlap, counts once."""
    seen: set[int] = set()
    gain = 0.0
    for rank, some in enumerate(holds, start=1):
        new = set(some) - seen
        gain += bool(new) / log2(rank + 1)
        seen |= new
    return gain
