"""Holds on their way from one node to the next.

Between two nodes the graph's own loop runs, and a cancelled run simply ends there: no node sees it.
So each hold is registered here with the settlement that is right if nobody comes for it, and is
settled that way after a moment, or at once when its event loop ends.
"""

from __future__ import annotations

import asyncio

from aegis_graph.ledger.base import Ledger
from aegis_graph.loops import LoopScoped
from aegis_graph.state import SettlementRecord

PICKUP_S = 2.0
"""How long the next node has to come, in seconds. Coming later is safe: settling twice changes
nothing, and an attempt whose hold is gone makes a new one."""

_Waiting = dict[int, tuple[SettlementRecord, asyncio.TimerHandle]]


class HoldsInTransit:
    """Keeps every hold in somebody's care.

    Args:
        ledger: Where a hold that nobody came for is settled.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: LoopScoped[_Waiting] = LoopScoped(
            dict, lambda waiting: _settle_all(ledger, waiting)
        )

    async def hand_over(self, settlement: SettlementRecord) -> None:
        """Leave a hold for the next node, with what to write if it never comes."""
        waiting = await self._waiting.get()
        hold_id = settlement["hold_id"]
        loop = asyncio.get_running_loop()
        # A closure: as arguments they would be part of the timer's repr, and they hold the timer
        # itself, so that asyncio's debug mode would print for ever.
        ledger = self._ledger
        timer = loop.call_later(PICKUP_S, lambda: _give_up(ledger, waiting, hold_id))
        waiting[hold_id] = (settlement, timer)

    async def pick_up(self, hold_id: int) -> bool:
        """Take a hold over; ``False`` when it is not here (any more)."""
        found = (await self._waiting.get()).pop(hold_id, None)
        if found is None:
            return False
        found[1].cancel()
        return True


def _give_up(ledger: Ledger, waiting: _Waiting, hold_id: int) -> None:
    found = waiting.pop(hold_id, None)
    if found is not None:
        ledger.settle_soon(found[0])


async def _settle_all(ledger: Ledger, waiting: _Waiting) -> None:
    for hold_id in list(waiting):
        _give_up(ledger, waiting, hold_id)
