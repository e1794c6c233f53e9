"""Holds on their way from one node to the next.

Between two nodes the graph's own loop runs, and a cancelled run simply ends there: no node sees it.
So each hold is registered here with the settlement that is right if no node claims it, and
is settled that way after a moment, or at once when its event loop ends.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aegis_graph.concurrency.loop_scoped import LoopScoped
from aegis_graph.ledger.records import Ledger
from aegis_graph.types import SettlementRecord

CLAIM_WITHIN_S = 2.0
"""How long the next node has to claim a hold, in seconds. Claiming later is safe: settling twice
changes nothing, and an attempt whose hold is gone makes a new one."""


@dataclass(slots=True, repr=False)
class _Waiting:
    """The holds of one event loop, in the order in which they were registered."""

    ledger: Ledger
    holds: dict[int, tuple[SettlementRecord, float]] = field(default_factory=dict)
    """By id: what to write if no node claims it, and until when one may, in the loop's seconds."""
    watched: bool = False

    def add(self, settlement: SettlementRecord) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + CLAIM_WITHIN_S
        self.holds[settlement["hold_id"]] = (settlement, until)
        if not self.watched:
            self._watch(loop, until)

    def _watch(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """One timer for all: each of their own would be cancelled by nearly every request."""
        self.watched = True
        loop.call_at(until, self._settle_overdue, loop)

    def _settle_overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        self.watched = False
        overdue = [one for one, (_, until) in self.holds.items() if until <= loop.time()]
        try:
            for hold_id in overdue:
                self.settle_unclaimed(hold_id)
        finally:
            # Each waits equally long, so the oldest is the next, also where settling one failed.
            if self.holds:
                _, until = next(iter(self.holds.values()))
                self._watch(loop, until)

    def settle_unclaimed(self, hold_id: int) -> None:
        settlement, _ = self.holds.pop(hold_id)
        self.ledger.settle_soon(settlement)


class UnclaimedHolds:
    """The holds that no node has claimed yet.

    Args:
        ledger: Settles a hold that no node claimed in time.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._waiting: LoopScoped[_Waiting] = LoopScoped(lambda: _Waiting(ledger), _settle_all)

    async def register(self, settlement: SettlementRecord) -> None:
        """Leave a hold for the next node, with what to write if that node never runs."""
        (await self._waiting.get()).add(settlement)

    async def claim(self, hold_id: int) -> bool:
        """Take a hold over; ``False`` when it is not here (any more)."""
        return (await self._waiting.get()).holds.pop(hold_id, None) is not None


# A function of its own: a method would keep this object alive, and its holds with it.
async def _settle_all(waiting: _Waiting) -> None:
    for hold_id in list(waiting.holds):
        waiting.settle_unclaimed(hold_id)
