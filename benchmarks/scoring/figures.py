"""Figures as shares that add up over items, and how sure a difference between two of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Share = tuple[float, float]
"""What counts, of how much: an item's part of a mean, a precision, a recall or an F1."""

Scores = Mapping[str, Share]
"""An item's shares, by figure; ``(0, 0)`` where the figure is not about the item."""

RESAMPLES = 2_000
SEED = 20_261
LOW, HIGH = 2.5, 97.5
"""Percentiles: 95 % of the resamples lie between them."""


@dataclass(frozen=True)
class Difference:
    """How much more the one has than the other, and the interval of the resamples."""

    value: float
    low: float
    high: float


def figure(scores: Sequence[Scores], name: str) -> float | None:
    """One figure over all items; ``None`` where no item is about it."""
    counted, of = (sum(one[name][part] for one in scores) for part in (0, 1))
    return counted / of if of else None


def difference(
    ours: Sequence[Scores], theirs: Sequence[Scores], name: str, *, resamples: int = RESAMPLES
) -> Difference | None:
    """How much better ours is, with a bootstrap interval: items are drawn in pairs.

    ``None`` where one of both has no such figure. The seed is fixed, so the same items give the
    same interval.

    Example:
        >>> one, none = [{"right": (1, 1)}] * 4, [{"right": (0, 1)}] * 4
        >>> difference(one, none, "right")
        Difference(value=1.0, low=1.0, high=1.0)
    """
    sides = [np.array([one[name] for one in side], dtype=float) for side in (ours, theirs)]
    if any(not len(side) or not side[:, 1].sum() for side in sides):
        return None
    random = np.random.default_rng(SEED)
    drawn = random.integers(len(sides[0]), size=(resamples, len(sides[0])))
    first, second = (_shares(side[drawn].sum(axis=1)) for side in sides)
    apart = first - second
    low, high = np.nanpercentile(apart, [LOW, HIGH])
    (value,) = np.subtract(*(_shares(side.sum(axis=0, keepdims=True)) for side in sides))
    return Difference(float(value), float(low), float(high))


def _shares(sums: np.ndarray) -> np.ndarray:
    """By row. A resample without any item that counts says nothing."""
    of = sums[:, 1]
    shares: np.ndarray = np.divide(sums[:, 0], of, out=np.full(len(of), np.nan), where=of > 0)
    return shares
