"""The clock of one attempt: it ends a call that takes too long, in whichever way that is."""

from __future__ import annotations

import asyncio
from types import TracebackType

from aegis_graph.config.time_limits import TimeLimits
from aegis_graph.routing.deadline import Deadline


class AttemptTimer:
    """Ends the block that it surrounds with a ``TimeoutError`` when a limit has passed.

    One timer of the event loop watches the pieces: each of them only leaves its time.

    Args:
        limits: How long the attempt may take.
        in_pieces: Whether the answer will arrive in pieces, so that the first is waited for.
        deadline: When the whole request must have ended.
    """

    def __init__(
        self, limits: TimeLimits, *, in_pieces: bool, deadline: Deadline | None = None
    ) -> None:
        self._limits = limits
        self._deadline = deadline
        self._first_token_s = limits.first_token_s if in_pieces else None
        self._idle_s = limits.idle_s
        self._whole = asyncio.timeout(None)
        self._watch: asyncio.TimerHandle | None = None
        self._began = self._last = 0.0
        self.ends_at = 0.0
        """When the whole attempt must have ended, by the event loop's clock."""
        self._has_begun = False
        self.first_piece_ms: int | None = None
        """When the first piece of the answer came, in milliseconds after the attempt began."""
        self.is_waiting = False
        """Whether the server is not asked just now, because it is still loading its model."""
        self._problem = f"no complete answer within {limits.whole_s:g} s"

    @property
    def problem(self) -> str | None:
        """Which limit has passed; ``None`` where none has."""
        return self._problem if self._whole.expired() else None

    @property
    def running_s(self) -> float:
        """How long the attempt has been running, in seconds; 0 before it has begun."""
        return self._loop.time() - self._began if self._began else 0.0

    def may_wait(self, seconds: float) -> bool:
        """Whether a server that is loading its model may be asked again so many seconds later."""
        again = self._loop.time() + seconds
        return again - self._began < self._limits.to_load_s() and again < self.ends_at

    async def wait(self, seconds: float) -> None:
        """Wait until the server is asked again."""
        self.is_waiting = True
        await asyncio.sleep(seconds)
        self.is_waiting = False

    def piece_arrived(self) -> None:
        """Note that there is a piece of the answer; from any thread."""
        self._last = self._loop.time()
        if not self._has_begun:
            self._has_begun = True
            self.first_piece_ms = round((self._last - self._began) * 1000)
            # A model without an asynchronous client reports its pieces from a thread.
            self._loop.call_soon_threadsafe(self._watch_pieces)

    async def __aenter__(self) -> AttemptTimer:
        self._loop = asyncio.get_running_loop()
        self._began = self._last = now = self._loop.time()
        self.ends_at = now + self._limits.whole_s
        if self._deadline is not None and self._deadline.ends_at < self.ends_at:
            self.ends_at, self._problem = self._deadline.ends_at, self._deadline.problem
        await self._whole.__aenter__()
        self._whole.reschedule(self.ends_at)
        if self._first_token_s is not None:
            text = f"no first token within {self._first_token_s:g} s"
            self._watch = self._loop.call_at(now + self._first_token_s, self._expire, text)
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unwatch()
        # The first piece may have come just now: its watch would begin after the end.
        self._idle_s = None
        await self._whole.__aexit__(error_type, error, traceback)

    def _watch_pieces(self) -> None:
        """Come back when the next piece is due, and look whether it has come."""
        self._unwatch()
        if self._idle_s is None:
            return
        due = self._last + self._idle_s
        if due <= self._loop.time():
            self._expire(f"nothing for {self._idle_s:g} s in the middle of the answer")
        else:
            self._watch = self._loop.call_at(due, self._watch_pieces)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _expire(self, problem: str) -> None:
        # The whole limit may pass in the same moment.
        if not self._whole.expired():
            self._problem = problem
            self._whole.reschedule(self._loop.time())
