"""Lets work in while there is room for it, by count and by size."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """A semaphore with two measures: how many are inside, and how large they are together.

    Whoever came first goes first, so that a large one is not passed over for ever. One that is
    larger than all the room goes in alone. It belongs to one event loop.

    Args:
        most: How many may be inside at once.
        room: How large they may be together, in bytes.
    """

    def __init__(self, most: int, room: int) -> None:
        self._places = most
        self._room = self._free = room
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def inside(self, size: int) -> AsyncIterator[None]:
        """Wait for room, and give it back afterwards."""
        size = min(size, self._room)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._let_in()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._leave(size)
            raise
        try:
            yield
        finally:
            self._leave(size)

    def _leave(self, size: int) -> None:
        self._places += 1
        self._free += size
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            # Who gave up while waiting takes no room.
            if not turn.cancelled():
                if not self._places or size > self._free:
                    return
                self._places -= 1
                self._free -= size
                turn.set_result(None)
            self._waiting.popleft()
