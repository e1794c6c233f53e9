"""An event loop's clock that a test sets ahead, so that time limits pass without a wait."""

from __future__ import annotations

import asyncio


class LoopClock:
    """Sets the clock of an event loop ahead, and with it every timer of that loop.

    A busy machine may take seconds for a call that a test wants to time out at once: the limit is
    generous, and passes when the test says so.

    Args:
        loop: The loop whose clock it is.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ahead_s = 0.0
        real = loop.time
        # An event loop has no other way to be given a clock.
        loop.time = lambda: real() + self._ahead_s  # type: ignore[method-assign]

    def advance(self, seconds: float) -> None:
        """Let so much time pass, from any thread: timers that are due by then run now."""
        self._ahead_s += seconds
        # The loop sleeps until the next timer by the old clock: only a wake-up makes it look again.
        self._loop.call_soon_threadsafe(_wake)


def _wake() -> None:
    """Make the loop look at its timers."""
