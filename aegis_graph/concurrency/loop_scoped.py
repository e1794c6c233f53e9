"""Things that belong to one event loop.

A client with open connections cannot be shared by two event loops, and a library is not notified
when a loop ends. ``LoopScoped`` builds one value per running loop and closes it when the loop shuts
down its async generators, which ``asyncio.run`` and every server do.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from aegis_graph.concurrency.forks import reset_in_child

_parents_values: list[object] = []
"""Kept in a forked process: closed there, a connection would be closed under its parent."""

T = TypeVar("T")


class LoopScoped(Generic[T]):
    """One value per running event loop, built on first use, closed with its loop or with this.

    Args:
        build: Makes the running loop's value.
        close: Ends it. It must not refer to whatever owns this object: what is still open when the
            owner is forgotten could never be.
    """

    def __init__(self, build: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._build = build
        self._values_by_loop = _LoopValues(close)
        # Holds the values to the last: a client that is collected together with its owner, on a
        # loop that goes on, complains that it was not closed.
        weakref.finalize(self, self._values_by_loop.close_soon).atexit = False

    async def get(self) -> T:
        """The running loop's value."""
        known = self._values_by_loop.current()
        return await self._values_by_loop.add(self._build()) if known is None else known[0]

    def close_soon(self) -> None:
        """Close every loop's value, each on its own loop; from any thread, without waiting."""
        self._values_by_loop.close_soon()


class _LoopValues(Generic[T]):
    """The values of all loops, and how each of them ends."""

    def __init__(self, close: Callable[[T], Awaitable[None]]) -> None:
        self._close = close
        self._values: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]] = {}
        self._lock = threading.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        reset_in_child(self, _LoopValues._forget_loops)

    def _forget_loops(self) -> None:
        """In a forked process: no loop of the parent runs here, and its values are the parent's."""
        _parents_values.append(self._values)
        self._lock, self._values = threading.Lock(), {}

    def current(self) -> tuple[T, AsyncGenerator[None, None]] | None:
        return self._values.get(asyncio.get_running_loop())

    async def add(self, value: T) -> T:
        loop = asyncio.get_running_loop()
        lifetime = self._until_shutdown(loop, value)
        with self._lock:
            self._values[loop] = (value, lifetime)
        # The first step registers the generator with the loop, which closes it at shutdown.
        await anext(lifetime)
        return value

    def close_soon(self) -> None:
        with self._lock:
            opened = [(loop, lifetime) for loop, (_, lifetime) in self._values.items()]
            self._values.clear()
        for loop, lifetime in opened:
            # A loop that is closed has closed its value.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._close_here, lifetime)

    def _close_here(self, lifetime: AsyncGenerator[None, None]) -> None:
        task = asyncio.ensure_future(lifetime.aclose())
        # asyncio itself keeps no reference to a task that no other waits for.
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _until_shutdown(
        self, loop: asyncio.AbstractEventLoop, value: T
    ) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            with self._lock:
                if self._values.get(loop, (None,))[0] is value:
                    del self._values[loop]
            await self._close(value)
