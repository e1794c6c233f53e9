"""The time that one answer in twenty takes longer than, also from what was cut short."""

from __future__ import annotations

import random

import pytest

from aegis_graph.routing.candidates.latencies import FEWEST_ANSWERS, RARE, Durations


def answered(*times: int) -> Durations:
    durations = Durations()
    for ms in times:
        durations = durations.plus(ms, answered=True)
    return durations


def test_nothing_is_rare_among_too_few() -> None:
    few = answered(*range(FEWEST_ANSWERS - 1))
    assert few.p95_ms is None
    assert few.plus(500, answered=False).p95_ms is None, "what was cut short is no answer"
    assert few.plus(100, answered=True).p95_ms == 100


@pytest.mark.parametrize("count", [19, 40, 100, 128])
def test_the_next_answer_takes_longer_one_time_in_twenty(count: int) -> None:
    """Of all places that the next of ``count + 1`` times may have, so many are above it."""
    p95_ms = answered(*range(1, count + 1)).p95_ms
    assert p95_ms is not None
    assert (count + 1 - p95_ms) / (count + 1) <= RARE
    assert (count + 2 - p95_ms) / (count + 1) > RARE


def test_one_slow_answer_does_not_move_it() -> None:
    assert answered(60_000, *[100] * 99).p95_ms == 100


def test_what_was_cut_short_later_counts_as_slower_and_earlier_as_nothing() -> None:
    hundred = answered(*range(1, 101))
    late = hundred
    for _ in range(20):
        late = late.plus(95, answered=False)
    assert (hundred.p95_ms or 0) < (late.p95_ms or 0)
    early = hundred
    for _ in range(20):
        early = early.plus(0, answered=False)
    assert early.p95_ms == hundred.p95_ms


def test_where_many_never_answer_it_is_the_longest_answer() -> None:
    durations = answered(*range(1, 51))
    for _ in range(25):
        durations = durations.plus(1000, answered=False)
    assert durations.p95_ms == 50


def test_the_old_are_forgotten() -> None:
    slow = answered(*[5000] * 200)
    for _ in range(128):
        slow = slow.plus(100, answered=True)
    assert slow.p95_ms == 100
    assert len(slow.last) == 128


def test_hedging_at_it_does_not_make_it_sink() -> None:
    """Each answer that takes longer is cut short there: the estimate stays where it would be."""
    draw = random.Random(7)
    whole = hedged = Durations()
    hedges, apart = 0, []
    for number in range(6000):
        ms = round(100 * draw.lognormvariate(0, 0.5))
        p95_ms = hedged.p95_ms
        whole = whole.plus(ms, answered=True)
        if p95_ms is not None and ms > p95_ms:
            # The second attempt answers some time after that.
            hedged = hedged.plus(min(ms, p95_ms + 60), answered=ms <= p95_ms + 60)
            hedges += 1
        else:
            hedged = hedged.plus(ms, answered=True)
        if number > 500:
            apart.append((hedged.p95_ms or 0) / (whole.p95_ms or 1))
    assert 0.03 < hedges / 6000 < 0.06
    assert 0.9 < sum(apart) / len(apart) < 1.1
