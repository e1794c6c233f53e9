"""Things that belong to one event loop.

A client with open connections cannot be shared by two event loops, and nobody tells a library when
a loop ends. ``LoopScoped`` builds one value per running loop and closes it when the loop shuts down
its async generators, which ``asyncio.run`` and every server do.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class LoopScoped(Generic[T]):
    """One value per running event loop, built on first use, closed with its loop."""

    def __init__(self, build: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._build = build
        self._close = close
        self._values: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[None, None]]
        ] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def get(self) -> T:
        """The running loop's value."""
        loop = asyncio.get_running_loop()
        known = self._values.get(loop)
        if known is not None:
            return known[0]
        value = self._build()
        lifetime = _until_shutdown(value, self._close)
        with self._lock:
            self._values[loop] = (value, lifetime)
        # The first step registers the generator with the loop, which closes it at shutdown.
        await anext(lifetime)
        return value

    def close_soon(self) -> None:
        """Close every loop's value, each on its own loop; from any thread, without waiting."""
        with self._lock:
            opened = [(loop, lifetime) for loop, (_, lifetime) in self._values.items()]
            self._values.clear()
        for loop, lifetime in opened:
            # A loop that is closed has closed its value.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._close_here, lifetime)

    def _close_here(self, lifetime: AsyncGenerator[None, None]) -> None:
        task = asyncio.ensure_future(lifetime.aclose())
        # asyncio itself keeps no reference to a task that nobody waits for.
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _until_shutdown(
    value: T, close: Callable[[T], Awaitable[None]]
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await close(value)
