"""Holds that no node claims are settled in their turn, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest
from typing_extensions import override

from aegis_graph.ledger.records import Ledger
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.routing.unclaimed_holds import CLAIM_WITHIN_S, UnclaimedHolds
from aegis_graph.types import SettlementRecord


class HandDriven(asyncio.SelectorEventLoop):
    """A loop whose time passes only where the test says so."""

    now = 0.0

    @override
    def time(self) -> float:
        return self.now


class RecordingLedger:
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


def run(loop: HandDriven, ledger: RecordingLedger) -> list[list[int]]:
    """Register holds a second apart, claim one, and see at each second which are settled."""
    unclaimed = UnclaimedHolds(cast(Ledger, ledger))

    async def settled_at(second: float) -> list[int]:
        loop.now = second
        for _ in range(3):
            await asyncio.sleep(0)
        return list(ledger.holds)

    async def work() -> list[list[int]]:
        for second in range(3):
            loop.now = float(second)
            await unclaimed.register(unused_hold(second))
        assert await unclaimed.claim(2)
        assert not await unclaimed.claim(2)
        await unclaimed.register(unused_hold(3))
        seconds = [0.5, 1.0, 1.5, 2.0]
        return [await settled_at(CLAIM_WITHIN_S + second) for second in seconds]

    return loop.run_until_complete(work())


def test_each_is_settled_at_its_own_time(loop: HandDriven) -> None:
    assert run(loop, RecordingLedger()) == [[0], [0, 1], [0, 1], [0, 1, 3]]


def test_one_that_cannot_be_settled_does_not_keep_the_others(loop: HandDriven) -> None:
    reported: list[Any] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    assert run(loop, RecordingLedger(fails=0)) == [[0], [0, 1], [0, 1], [0, 1, 3]]
    assert [str(error) for error in reported] == ["no thread can be started"]


def test_all_are_settled_when_their_loop_ends() -> None:
    ledger = RecordingLedger()

    async def work() -> None:
        unclaimed = UnclaimedHolds(cast(Ledger, ledger))
        for number in range(3):
            await unclaimed.register(unused_hold(number))

    asyncio.run(work())
    assert ledger.holds == [0, 1, 2]
