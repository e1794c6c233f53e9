"""How many items may run now: fewer near the end of the money, one when no provider answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
"""Between two looks whether a provider is back, in seconds; each doubles the next."""
NEXT_TRY_S = 0.1
"""How long to wait for money that other workers hold, in seconds."""


@dataclass(slots=True)
class Throttle:
    """How many items a worker runs at once, and when the next may begin.

    What began before the last change says nothing of the time after it: of thirty calls that fail
    in one outage, the first counts.

    Args:
        most: Items at once, when all is well.
        time: Returns seconds that only grow.
        first_pause_s: How long the first pause of an outage lasts, in seconds.
        longest_pause_s: How long a pause lasts at most, in seconds.
    """

    most: int
    time: Callable[[], float]
    first_pause_s: float = FIRST_PAUSE_S
    longest_pause_s: float = LONGEST_PAUSE_S
    epoch: int = 0
    """Grows with each change for the worse."""
    is_paused: bool = False
    """Whether no provider answers."""
    _limit: int = field(init=False)
    _not_before: float = field(init=False, default=0.0)
    _pause_s: float = field(init=False, default=0.0)
    _successes: int = field(init=False, default=0)
    _paused_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """All is well at first."""
        self._limit = self.most

    @property
    def allowed(self) -> int:
        """How many items may run at this moment."""
        return self._limit if self.wait_s <= 0 else 0

    @property
    def wait_s(self) -> float:
        """When the next item may begin, in seconds; 0 for now."""
        return max(0.0, self._not_before - self.time())

    @property
    def is_open(self) -> bool:
        """Whether nothing holds the worker back."""
        return self._limit >= self.most and self.wait_s <= 0

    @property
    def paused_s(self) -> float:
        """How long no provider has answered, in seconds."""
        return self.time() - self._paused_at if self.is_paused else 0.0

    def succeeded(self, epoch: int) -> None:
        """An item that began in this epoch got its result."""
        if epoch < self.epoch:
            return
        if self.is_paused:
            # A provider that is back is not met by all at once.
            self.is_paused, self._pause_s, self._limit = False, 0.0, min(self.most, 2)
            return
        self._successes += 1
        if self._limit < self.most and self._successes >= self._limit:
            self._limit, self._successes = self._limit + 1, 0

    def refused(self, epoch: int, *, running: int) -> None:
        """There was no money for an item, while so many others hold some."""
        if epoch < self.epoch:
            return
        self.epoch += 1
        self._limit, self._successes = max(1, running // 2), 0
        if not running:
            self._not_before = self.time() + NEXT_TRY_S

    def crowded(self, epoch: int, wait_s: float | None) -> None:
        """A limit had no room for an item; it may have some after this time."""
        if epoch < self.epoch:
            return
        self.epoch += 1
        self._limit, self._successes = max(1, self._limit // 2), 0
        self._not_before = self.time() + min(wait_s or self.first_pause_s, self.longest_pause_s)

    def down(self, epoch: int) -> None:
        """No provider answered an item: one item at a time finds out whether one is back."""
        if epoch < self.epoch:
            return
        now = self.time()
        if not self.is_paused:
            self._paused_at = now
        self.epoch += 1
        self.is_paused, self._limit = True, 1
        self._pause_s = min(self.longest_pause_s, 2 * self._pause_s or self.first_pause_s)
        self._not_before = now + self._pause_s
