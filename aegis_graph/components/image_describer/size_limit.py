"""Bounds the images that are in memory at once, by count and by size."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class SizedSemaphore:
    """A semaphore with two measures: how many hold it, and how large they are together.

    It is granted first come, first served, so that a large item is not passed over for ever. An
    item that is larger than all of ``max_bytes`` holds it alone. It belongs to one event loop.

    Args:
        max_count: How many may hold it at once.
        max_bytes: How large they may be together.
    """

    def __init__(self, max_count: int, max_bytes: int) -> None:
        self._free_places = max_count
        self._max_bytes = self._free_bytes = max_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def acquired(self, size: int) -> AsyncIterator[None]:
        """Wait until an item of ``size`` bytes may hold it; released on leaving the block."""
        size = min(size, self._max_bytes)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._grant()
        try:
            await turn
        except asyncio.CancelledError:
            # Granted and cancelled in the same moment: what it was given goes back.
            if not turn.cancelled():
                self._release(size)
            raise
        try:
            yield
        finally:
            self._release(size)

    def _release(self, size: int) -> None:
        self._free_places += 1
        self._free_bytes += size
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            # One that was cancelled while it waited takes no room.
            if not turn.cancelled():
                if not self._free_places or size > self._free_bytes:
                    return
                self._free_places -= 1
                self._free_bytes -= size
                turn.set_result(None)
            self._waiting.popleft()
