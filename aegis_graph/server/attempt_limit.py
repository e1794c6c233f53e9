"""How often a key may be guessed at. Pure, but for the clock of the machine."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_FAILURES = 20
"""Wrong keys of one address in ``WINDOW_S``."""
WINDOW_S = 60.0
MOST_ADDRESSES = 4096
"""Of which failures are remembered; the oldest is forgotten first."""


class AttemptLimit:
    """Counts wrong keys by the address that they came from.

    Args:
        monotonic: Returns seconds that never run backwards.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def failed(self, address: str) -> float | None:
        """Count one more; how long to wait, in seconds, where there were too many."""
        now = self._monotonic()
        began, count = self._failures.get(address, (now, 0))
        if now - began >= WINDOW_S:
            began, count = now, 0
        self._failures[address] = (began, count + 1)
        self._failures.move_to_end(address)
        while len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)
        return None if count < MOST_FAILURES else began + WINDOW_S - now
