"""An envelope that is lent to workers in parts, so that few admissions need the shared database.

Each worker takes a part of what is left, admits its own calls against that, and gives back what it
cannot use. Money is in one place at a time, so that all of them together spend no more than there
is: what is left, what workers have free, what they hold for calls and what was spent always add up
to the envelope.
"""

from __future__ import annotations

from collections import Counter


class EnvelopeLeases:
    """Lends an envelope; all amounts are in nano-USD.

    Args:
        envelope: What all workers together may spend.
        parts: A lease is what is left divided by so many, or one hold where that is more.

    Example:
        >>> leases = EnvelopeLeases(1000, parts=10)
        >>> leases.take("a", hold=30), leases.admit("a", 30), leases.left, leases.free("a")
        (True, True, 900, 70)
    """

    def __init__(self, envelope: int, *, parts: int) -> None:
        if envelope < 0 or parts < 1:
            raise ValueError(f"an envelope of {envelope} cannot be lent in {parts} parts")
        self.envelope = envelope
        self.left = envelope
        """What is lent to no worker."""
        self.spent = 0
        self._parts = parts
        self._free: Counter[str] = Counter()
        self._held: Counter[str] = Counter()

    def take(self, worker: str, *, hold: int) -> bool:
        """Lend a worker enough for one more hold; say whether there was as much."""
        wanted = hold - self._free[worker]
        if wanted <= 0:
            return True
        if wanted > self.left:
            return False
        lent = max(wanted, self.left // self._parts)
        self.left -= lent
        self._free[worker] += lent
        return True

    def admit(self, worker: str, hold: int) -> bool:
        """Reserve a call out of the worker's own lease; the shared database is not asked."""
        if hold < 0 or hold > self._free[worker]:
            return False
        self._free[worker] -= hold
        self._held[worker] += hold
        return True

    def settle(self, worker: str, hold: int, cost: int) -> None:
        """Replace a hold by what the call cost.

        Raises:
            ValueError: It cost more than its hold, or the worker has no such hold.
        """
        if not 0 <= cost <= hold <= self._held[worker]:
            raise ValueError(f"a hold of {hold} of {self._held[worker]} cannot cost {cost}")
        self._held[worker] -= hold
        self._free[worker] += hold - cost
        self.spent += cost

    def give_back(self, worker: str) -> None:
        """Return what a worker has free; what it holds for calls stays."""
        self.left += self._free.pop(worker, 0)

    def lose(self, worker: str) -> None:
        """Count all that a lost worker has as spent: what it bought with it cannot be known."""
        self.spent += self._free.pop(worker, 0) + self._held.pop(worker, 0)

    def free(self, worker: str) -> int:
        """What a worker may still reserve without asking."""
        return self._free[worker]

    def out(self) -> int:
        """What all workers have, free or held."""
        return self._free.total() + self._held.total()
