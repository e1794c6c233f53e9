"""The time that a request has for all its attempts, waits and retries together."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aegis_graph.request.request import Request
from aegis_graph.routing.state import RouterState


class Deadline(NamedTuple):
    """When a request must have ended."""

    ends_at: float
    """By the event loop's clock: a run stays on one loop, and no checkpoint has it. A run that is
    resumed, perhaps by another process, begins with the whole time again."""
    timeout_s: float

    @classmethod
    def of(cls, state: RouterState, request: Request) -> Deadline | None:
        """The deadline of a request in progress; it begins when it is first asked for."""
        if request.timeout_s is None:
            return None
        ends_at = state.get("ends_at")
        if ends_at is None:
            ends_at = asyncio.get_running_loop().time() + request.timeout_s
        return cls(ends_at, request.timeout_s)

    @property
    def problem(self) -> str:
        """What to say of it once it has passed."""
        return f"the {self.timeout_s:g} s of the whole request are over"

    @property
    def left_s(self) -> float:
        """How much time is left, in seconds; 0 when it has passed."""
        return max(self.ends_at - asyncio.get_running_loop().time(), 0.0)


def is_over(deadline: Deadline | None) -> bool:
    """Whether a request has a deadline, and it has passed."""
    return deadline is not None and deadline.left_s == 0.0


def shortened(wait_s: float, deadline: Deadline | None) -> float:
    """A wait, or what is left of the request's time where that is less, in seconds."""
    return wait_s if deadline is None else min(wait_s, deadline.left_s)


def kept(deadline: Deadline | None) -> RouterState:
    """What each node leaves in the state for the next one of the run."""
    return {} if deadline is None else {"ends_at": deadline.ends_at}  # type: ignore[typeddict-item]
