"""Holds that nobody comes for are given up in their turn, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from aegis_graph.ledger.records import Ledger, unused_hold
from aegis_graph.routing.unclaimed_holds import PICKUP_S, HoldsInTransit
from aegis_graph.types import SettlementRecord


class HandDriven(asyncio.SelectorEventLoop):
    """A loop whose time passes only where the test says so."""

    now = 0.0

    def time(self) -> float:
        return self.now


class GivenUp:
    """A ledger that notes what is settled; it fails where it is told to."""

    def __init__(self, fails: int | None = None) -> None:
        self.holds: list[int] = []
        self._fails = fails

    def settle_soon(self, settlement: SettlementRecord) -> None:
        self.holds.append(settlement["hold_id"])
        if settlement["hold_id"] == self._fails:
            raise RuntimeError("no thread can be started")


@pytest.fixture
def loop() -> Iterator[HandDriven]:
    made = HandDriven()
    yield made
    made.run_until_complete(made.shutdown_asyncgens())
    made.close()


def run(loop: HandDriven, ledger: GivenUp) -> list[list[int]]:
    """Hand holds over a second apart, take one, and see at each second who is given up."""
    transit = HoldsInTransit(cast(Ledger, ledger))

    async def settled_at(second: float) -> list[int]:
        loop.now = second
        for _ in range(3):
            await asyncio.sleep(0)
        return list(ledger.holds)

    async def work() -> list[list[int]]:
        for second in range(3):
            loop.now = float(second)
            await transit.hand_over(unused_hold(second))
        assert await transit.pick_up(2)
        assert not await transit.pick_up(2)
        await transit.hand_over(unused_hold(3))
        seconds = [0.5, 1.0, 1.5, 2.0]
        return [await settled_at(PICKUP_S + second) for second in seconds]

    return loop.run_until_complete(work())


def test_each_is_given_up_at_its_own_time(loop: HandDriven) -> None:
    assert run(loop, GivenUp()) == [[0], [0, 1], [0, 1], [0, 1, 3]]


def test_one_that_cannot_be_given_up_does_not_keep_the_others(loop: HandDriven) -> None:
    told: list[Any] = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    assert run(loop, GivenUp(fails=0)) == [[0], [0, 1], [0, 1], [0, 1, 3]]
    assert [str(error) for error in told] == ["no thread can be started"]


def test_all_are_given_up_when_their_loop_ends() -> None:
    ledger = GivenUp()

    async def work() -> None:
        transit = HoldsInTransit(cast(Ledger, ledger))
        for number in range(3):
            await transit.hand_over(unused_hold(number))

    asyncio.run(work())
    assert ledger.holds == [0, 1, 2]
