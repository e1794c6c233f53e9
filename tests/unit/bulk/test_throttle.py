from __future__ import annotations

from aegis_graph.bulk.outages import Throttle


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def throttle(seconds: Seconds, most: int = 32) -> Throttle:
    return Throttle(most, seconds, first_pause_s=1, longest_pause_s=5)


def test_of_many_calls_that_fail_in_one_outage_the_first_counts() -> None:
    seconds = Seconds()
    one = throttle(seconds)
    for _ in range(32):
        one.down(0)
    assert (one.allowed, one.wait_s, one.is_paused) == (0, 1, True)
    seconds.now = 1
    assert one.allowed == 1


def test_each_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    seconds = Seconds()
    one, waits = throttle(seconds), []
    for _ in range(5):
        one.down(one.epoch)
        waits.append(one.wait_s)
        seconds.now += one.wait_s
    assert waits == [1, 2, 4, 5, 5]
    assert one.paused_s == sum(waits)


def test_a_provider_that_is_back_is_not_met_by_all_at_once() -> None:
    seconds = Seconds()
    one = throttle(seconds, most=4)
    one.down(0)
    seconds.now = 1
    one.succeeded(one.epoch)
    allowed = [one.allowed]
    for _ in range(10):
        one.succeeded(one.epoch)
        allowed.append(one.allowed)
    assert (allowed[0], allowed[-1], one.is_paused) == (2, 4, False)


def test_an_item_from_before_the_outage_does_not_end_it() -> None:
    one = throttle(Seconds())
    one.down(0)
    one.succeeded(0)
    assert one.is_paused


def test_near_the_end_of_the_money_half_as_many_run() -> None:
    seconds = Seconds()
    one = throttle(seconds)
    one.refused(0, running=20)
    one.refused(0, running=19)
    assert one.allowed == 10
    one.refused(one.epoch, running=0)
    assert one.allowed == 0
    seconds.now = one.wait_s
    assert one.allowed == 1


def test_a_full_limit_is_waited_for_as_long_as_it_says() -> None:
    one = throttle(Seconds())
    one.crowded(0, 3.5)
    assert one.wait_s == 3.5
    assert not one.is_paused
