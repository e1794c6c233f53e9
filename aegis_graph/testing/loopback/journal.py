"""What a loopback server was asked, and what it really wrote."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

ProtocolName = Literal["dashscope", "ollama", "openai"]


class Usage(NamedTuple):
    """The tokens that a provider reported to its client."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(slots=True)
class Produced:
    """What went out for one call so far. It grows while the call is served."""

    status: int | None = None
    """The HTTP status; None while nothing went out."""
    chunks_sent: int = 0
    """Pieces of the answer; a body that is not streamed is one, and half a body none."""
    characters_sent: int = 0
    """Characters of reasoning, text, and names and arguments of tools."""
    usage: Usage | None = None
    """The usage as the client saw it last; None when it was never sent."""
    completed: bool = False
    """Whether the answer went out to its end, as the protocol wants it."""
    disconnected: bool = False
    """Whether the client went away before the server was done."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request to a loopback server."""

    number: int
    """1 for the first request to this server."""
    protocol: ProtocolName
    path: str
    model: str
    """Empty where the request names none."""
    body: dict[str, Any]
    headers: dict[str, str]
    """Names in lower case. ``authorization`` is kept."""
    streamed: bool
    """Whether the client asked for a stream."""
    generation: bool
    """Whether this is a call for an answer, and not for a list of models."""
    arrived_at: float
    """``time.monotonic()`` at arrival."""
    produced: Produced = field(default_factory=Produced, compare=False)
    batch_id: str | None = None
    """The batch whose line it is; ``None`` for a request of its own."""
    custom_id: str | None = None
    """What the line is called there."""


class Journal:
    """The requests so far. Safe to read from any thread while the server writes."""

    def __init__(self) -> None:
        # Its lock is reentrant: a condition that is waited for reads the journal while the lock is
        # held.
        self._changed = threading.Condition()
        self._entries: list[Received] = []
        self._numbers = itertools.count(1)
        self._arrived = 0
        self._in_flight = 0
        self._peak = 0

    @property
    def entries(self) -> tuple[Received, ...]:
        """Every request so far."""
        with self._changed:
            return tuple(self._entries)

    @property
    def arrived(self) -> int:
        """How many calls for an answer came so far."""
        with self._changed:
            return self._arrived

    @property
    def in_flight(self) -> int:
        """Calls being served right now."""
        with self._changed:
            return self._in_flight

    @property
    def peak_in_flight(self) -> int:
        """The most calls that were served at the same time."""
        with self._changed:
            return self._peak

    def next_number(self) -> int:
        """The number of the request that is just coming in."""
        return next(self._numbers)

    def add(self, entry: Received) -> None:
        """Keep a request; a call for an answer is in flight from now on."""
        with self._changed:
            self._entries.append(entry)
            if entry.generation:
                self._arrived += 1
                self._in_flight += 1
                self._peak = max(self._peak, self._in_flight)
            self._changed.notify_all()

    def finish(self, entry: Received) -> None:
        """Take a call out of flight."""
        with self._changed:
            self._in_flight -= int(entry.generation)
            self._changed.notify_all()

    def notify(self) -> None:
        """Wake the threads that wait for what a call produced."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], *, timeout_s: float, goal: str) -> None:
        """Block until the condition holds.

        Raises:
            TimeoutError: It did not hold in time. The message names the goal.
        """
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise TimeoutError(
                    f"not within {timeout_s:g} s: {goal} "
                    f"(calls: {self._arrived}, in flight: {self._in_flight})"
                )
