"""How long attempts take: the median of the last times, and the time that few of them pass. Pure.

Of an attempt without an answer only one thing is known: an answer would have taken longer.
"""

from __future__ import annotations

from typing import NamedTuple

_TIMES = 32
"""Times of which the median is made; the weight of each is nine tenths of the next one's."""

_WEIGHTS = tuple(round(1_000 * 0.9**age) for age in range(_TIMES))

_DURATIONS = 128
"""Attempts of which a rare time is told: that many forget a bad hour within a few hundred calls."""

RARE = 0.05
"""The share of answers that take longer than the 95th percentile."""

FEWEST_ANSWERS = 19
"""Answers without which no time is known to be rare: the next of n answers takes longer than all
of them one time in n + 1, which is one in twenty from here on."""


class Times(NamedTuple):
    """The last times of something in milliseconds, and their median, to which the last count most.

    Example:
        >>> Times().plus(900).plus(100).plus(120).median_ms
        120
    """

    median_ms: int | None = None
    last: tuple[int, ...] = ()

    def plus(self, ms: int) -> Times:
        """The times with one more."""
        last = (ms, *self.last[: _TIMES - 1])
        weighted = sorted(zip(last, _WEIGHTS, strict=False))
        half = sum(weight for _, weight in weighted) / 2
        for value, weight in weighted:
            half -= weight
            if half <= 0:
                return Times(value, last)
        raise AssertionError("the weights add up to twice a half")


class Durations(NamedTuple):
    """How long the last attempts ran, each with whether an answer ended it.

    Example:
        >>> durations = Durations()
        >>> for ms in range(100, 120):
        ...     durations = durations.plus(ms, answered=True)
        >>> durations.p95_ms
        119
    """

    last: tuple[tuple[int, bool], ...] = ()

    def plus(self, ms: int, *, answered: bool) -> Durations:
        """The durations with one more."""
        return Durations(((ms, answered), *self.last[: _DURATIONS - 1]))

    @property
    def p95_ms(self) -> int | None:
        """The time that the next answer takes longer than one time in twenty.

        The product-limit estimate (Kaplan and Meier, "Nonparametric estimation from incomplete
        observations", 1958), with the next answer counted in: an attempt that was cut short counts
        among the slower ones for as long as it ran, and not at all after that. Where more than one
        in twenty never answered, it is the longest time of an answer.

        Returns:
            ``None`` where fewer than ``FEWEST_ANSWERS`` are known.
        """
        if sum(answered for _, answered in self.last) < FEWEST_ANSWERS:
            return None
        slower, running, longest = 1.0, len(self.last) + 1, 0
        for ms, answered in sorted(self.last, key=lambda one: (one[0], not one[1])):
            if answered:
                slower, longest = slower * (1 - 1 / running), ms
                # As a sum of products it may miss a share by a hair.
                if slower <= RARE + 1e-9:
                    return ms
            running -= 1
        return longest
