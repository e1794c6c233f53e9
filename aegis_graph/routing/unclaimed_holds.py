"""Holds on their way from one node to the next.

Between two nodes the graph's own loop runs, and a cancelled run simply ends there: no node sees it.
So each hold is registered here with the settlement that is right if nobody comes for it, and is
settled that way after a moment, or at once when its event loop ends.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aegis_graph.concurrency.loop_scoped import LoopScoped
from aegis_graph.ledger.records import Ledger
from aegis_graph.types import SettlementRecord

PICKUP_S = 2.0
"""How long the next node has to come, in seconds. Coming later is safe: settling twice changes
nothing, and an attempt whose hold is gone makes a new one."""


@dataclass(slots=True, repr=False)
class _Waiting:
    """The holds of one event loop, in the order in which they were handed over."""

    ledger: Ledger
    holds: dict[int, tuple[SettlementRecord, float]] = field(default_factory=dict)
    """What to write if nobody comes, and until when one may."""
    watched: bool = False

    def add(self, settlement: SettlementRecord) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + PICKUP_S
        self.holds[settlement["hold_id"]] = (settlement, until)
        if not self.watched:
            self._watch(loop, until)

    def _watch(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """One timer for all: each of their own would be cancelled by nearly every request."""
        self.watched = True
        loop.call_at(until, self._give_up_late, loop)

    def _give_up_late(self, loop: asyncio.AbstractEventLoop) -> None:
        self.watched = False
        late = [one for one, (_, until) in self.holds.items() if until <= loop.time()]
        try:
            for hold_id in late:
                self.give_up(hold_id)
        finally:
            if self.holds:
                _, until = next(iter(self.holds.values()))
                self._watch(loop, until)

    def give_up(self, hold_id: int) -> None:
        settlement, _ = self.holds.pop(hold_id)
        self.ledger.settle_soon(settlement)


class HoldsInTransit:
    """Keeps every hold in somebody's care.

    Args:
        ledger: Where a hold that nobody came for is settled.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._waiting: LoopScoped[_Waiting] = LoopScoped(lambda: _Waiting(ledger), _settle_all)

    async def hand_over(self, settlement: SettlementRecord) -> None:
        """Leave a hold for the next node, with what to write if it never comes."""
        (await self._waiting.get()).add(settlement)

    async def pick_up(self, hold_id: int) -> bool:
        """Take a hold over; ``False`` when it is not here (any more)."""
        return (await self._waiting.get()).holds.pop(hold_id, None) is not None


async def _settle_all(waiting: _Waiting) -> None:
    for hold_id in list(waiting.holds):
        waiting.give_up(hold_id)
