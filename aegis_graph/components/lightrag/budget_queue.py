"""Where extraction waits while its budget has no room, instead of failing.

A document whose extraction fails is given up by LightRAG; one whose extraction waits is not. When
nothing is left under way that could make room, the insert is stopped at a point at which no graph
is half written.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aegis_graph.errors import BudgetExceededError

T = TypeVar("T")


class BudgetQueue:
    """Lets calls through, and parks the refused ones until another call has ended.

    Args:
        slots: Most calls under way at the same time.
    """

    def __init__(self, slots: int) -> None:
        self._most = slots
        self._slots = asyncio.Semaphore(slots)
        self._parked: deque[asyncio.Future[None]] = deque()
        self._in_flight = 0
        self._full = False
        self._closed: Exception | None = None
        self.refusal: BudgetExceededError | None = None
        """The latest refusal."""
        self.stopping = False
        """Whether nothing new is asked any more; what is under way goes on."""

    def renewed(self) -> BudgetQueue:
        """A queue of the same width."""
        return BudgetQueue(self._most)

    @property
    def is_stalled(self) -> bool:
        """Whether nothing is under way, and something is waiting or may not begin."""
        return not self._in_flight and (bool(self._parked) or self.stopping)

    async def run_when_there_is_room(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, and wait for room when the budget refuses.

        Raises:
            Exception: What ``ask`` raises, or what the queue was closed with.
        """
        woken = False
        while True:
            # Only a call that was woken tries a full budget again: else every call would be refused
            # once more.
            if self.stopping or (self._full and not woken):
                await self._park()
                woken = True
                continue
            woken = False
            try:
                return await self.run_now(ask)
            except BudgetExceededError as refusal:
                self.refusal = refusal
                self._full = True

    async def run_now(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask at once; its end may make room for one that waits."""
        if self._closed is not None:
            raise self._closed
        self._in_flight += 1
        refused = False
        try:
            async with self._slots:
                return await ask()
        except BudgetExceededError:
            refused = True
            raise
        finally:
            self._in_flight -= 1
            # A refused call has spent nothing, so its end makes no room.
            if not refused:
                self._full = False
                self._wake_one()

    def close(self, why: Exception) -> None:
        """Let everything that waits, and everything that comes, fail."""
        self._closed = why
        while self._parked:
            waiting = self._parked.popleft()
            if not waiting.done():
                waiting.set_exception(why)

    async def _park(self) -> None:
        if self._closed is not None:
            raise self._closed
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parked.append(waiting)
        try:
            await waiting
            self._in_flight -= 1
        except asyncio.CancelledError:
            # Woken and cancelled in the same turn: what was counted for it is taken back.
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self._in_flight -= 1
            raise
        finally:
            if waiting in self._parked:
                self._parked.remove(waiting)

    def _wake_one(self) -> None:
        while self._parked and not self.stopping:
            waiting = self._parked.popleft()
            if not waiting.done():
                # Counted until it has asked: in between, nothing is still.
                self._in_flight += 1
                waiting.set_result(None)
                return
