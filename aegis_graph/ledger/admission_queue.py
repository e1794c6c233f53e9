"""Requests of this process that wait for room in a limit, in their order of arrival.

There is a line for each scope that is full. Only the first of a line asks the ledger: at once when
an attempt of this process was settled, and otherwise in growing intervals, in which it finds what
other programs have freed. The others sleep until they are first.
"""

from __future__ import annotations

import asyncio
import threading
from bisect import insort
from collections.abc import Iterable
from itertools import count
from operator import attrgetter

from aegis_graph.concurrency.forks import reset_in_child
from aegis_graph.ledger.limits import LimitRefusal

FIRST_POLL_S, LONGEST_POLL_S = 0.05, 1.5
"""How soon the first of a line asks again by itself, in seconds; it doubles each time. Asking takes
about 1 ms of the processor."""

POLLS_A_SECOND = 20
"""How often all lines of a process ask together at most: with many, each does it less often."""


class AdmissionQueue:
    """The lines of this process, of any number of event loops and threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._tickets = count()
        reset_in_child(self, AdmissionQueue._forget_lines)

    def _forget_lines(self) -> None:
        """In a forked process: those that wait, wait in the parent."""
        self._lock, self._lines = threading.Lock(), {}

    def arrive(self) -> PlaceInLine:
        """A place for a request that has just come; it is in no line yet."""
        return PlaceInLine(self, next(self._tickets))

    def refusal_ahead(self, scopes: Iterable[str], place: PlaceInLine) -> LimitRefusal | None:
        """Why an earlier request waits for one of these scopes; ``None`` where none does."""
        if not self._lines:
            return None
        with self._lock:
            for scope in scopes:
                line = self._lines.get(scope)
                if line is not None and line.places[0].ticket < place.ticket:
                    return line.refusal
        return None

    def wake(self) -> None:
        """Have the first of each line ask now; from any thread."""
        if self._lines:
            with self._lock:
                for line in self._lines.values():
                    line.places[0].wake()

    def enter(self, place: PlaceInLine, refusal: LimitRefusal) -> bool:
        """Put a request into the line of what it was refused for; whether it is the first there."""
        with self._lock:
            if place.scope != refusal.scope:
                self._leave(place)
                place.scope = refusal.scope
                line = self._lines.setdefault(refusal.scope, _Line(refusal))
                insort(line.places, place, key=attrgetter("ticket"))
            line = self._lines[refusal.scope]
            first = line.places[0] is place
            if first:
                line.refusal = refusal
            return first

    def leave(self, place: PlaceInLine) -> None:
        """Take a request out of its line; the next one is first then, and asks."""
        with self._lock:
            self._leave(place)

    def _leave(self, place: PlaceInLine) -> None:
        line = self._lines.get(place.scope or "")
        place.scope = None
        if line is None or place not in line.places:
            return
        was_first = line.places[0] is place
        line.places.remove(place)
        # Of an event loop that has ended, none can ask any more.
        while line.places and was_first and not line.places[0].wake():
            del line.places[0]
        if not line.places:
            self._lines = {name: one for name, one in self._lines.items() if one is not line}

    def waiting(self) -> int:
        """How many requests wait."""
        with self._lock:
            return sum(len(line.places) for line in self._lines.values())

    def longest_poll_s(self) -> float:
        """How long the first of a line waits at most before it asks by itself, in seconds."""
        return max(LONGEST_POLL_S, len(self._lines) / POLLS_A_SECOND)


class _Line:
    """Those that wait for one scope, the first of them first."""

    def __init__(self, refusal: LimitRefusal) -> None:
        self.refusal = refusal
        """What the first of them was told last."""
        self.places: list[PlaceInLine] = []


class PlaceInLine:
    """A request that may wait.

    Args:
        queue: Where it does.
        ticket: Its number, in the order of arrival.
    """

    def __init__(self, queue: AdmissionQueue, ticket: int) -> None:
        self.ticket = ticket
        self.scope: str | None = None
        """What it waits for."""
        self._queue = queue
        self._poll_s = FIRST_POLL_S
        self._woken = False
        self._sleep: asyncio.Future[None] | None = None

    async def wait(self, refusal: LimitRefusal, *, at_most_s: float) -> None:
        """Wait until the request should ask again, or the time is over.

        Args:
            refusal: What it waits for.
            at_most_s: How long, in seconds.
        """
        loop = asyncio.get_running_loop()
        self._sleep = sleep = loop.create_future()
        until_s = at_most_s
        if self._queue.enter(self, refusal):
            free_in_s = refusal.free_in_s
            until_s = min(until_s, self._poll_s, free_in_s or self._poll_s)
            self._poll_s = min(2 * self._poll_s, self._queue.longest_poll_s())
        timer = loop.call_later(until_s, _end, sleep)
        try:
            # What was freed while it asked is seen by asking once more.
            if not self._woken:
                await sleep
        finally:
            self._woken = False
            self._sleep = None
            timer.cancel()

    def wake(self) -> bool:
        """Have it ask; ``False`` where its event loop has ended."""
        self._woken, sleep = True, self._sleep
        try:
            if sleep is not None:
                sleep.get_loop().call_soon_threadsafe(_end, sleep)
        except RuntimeError:  # a loop that was closed
            return False
        return True

    def leave(self) -> None:
        """Wait no more."""
        if self.scope is not None:
            self._queue.leave(self)


def _end(sleep: asyncio.Future[None]) -> None:
    if not sleep.done():
        sleep.set_result(None)
