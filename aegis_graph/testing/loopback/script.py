"""Which step answers which call."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import get_args

from aegis_graph.testing.loopback.journal import ProtocolName
from aegis_graph.testing.loopback.replies import Step

PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)


class Script:
    """What to answer next, per protocol and model. Any thread may add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[tuple[ProtocolName, str | None], deque[Step]] = {}
        self._always: dict[tuple[ProtocolName, str | None], Step] = {}
        self._problems: list[str] = []

    def add(self, protocol: ProtocolName, model: str | None, steps: Sequence[Step]) -> None:
        """Append steps; those of a model come before those of its protocol."""
        with self._lock:
            self._steps.setdefault((_known(protocol), model), deque()).extend(steps)

    def add_always(self, protocol: ProtocolName, model: str | None, step: Step) -> None:
        """Set the step that is used when nothing else is left."""
        with self._lock:
            self._always[_known(protocol), model] = step

    def take(self, protocol: ProtocolName, model: str) -> Step | None:
        """The next step, or None when there is none."""
        with self._lock:
            for key in ((protocol, model), (protocol, None)):
                if steps := self._steps.get(key):
                    return steps.popleft()
            return self._always.get((protocol, model)) or self._always.get((protocol, None))

    def take_own(self, protocol: ProtocolName, model: str) -> Step | None:
        """The next step that was scripted for this very model, or None."""
        with self._lock:
            if steps := self._steps.get((protocol, model)):
                return steps.popleft()
            return self._always.get((protocol, model))

    def add_problem(self, what: str) -> None:
        """Remember a request that the script does not answer."""
        with self._lock:
            # Kept and not raised: an error on the server's thread would fail no test.
            self._problems.append(what)

    def assert_all_used(self) -> None:
        """Fail when a step is left, or a request had none."""
        with self._lock:
            unused = [
                f"never used: {protocol}{f' {model}' if model else ''}: {step!r}"
                for (protocol, model), steps in self._steps.items()
                for step in steps
            ]
            if problems := [*self._problems, *unused]:
                raise AssertionError("\n".join(problems))


def _known(protocol: ProtocolName) -> ProtocolName:
    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol {protocol!r}; there are {', '.join(PROTOCOLS)}")
    return protocol
