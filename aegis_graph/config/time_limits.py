"""How long one attempt may take: as a whole, to its first token, and between two pieces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Location = Literal["local", "cloud"]


class TimeLimits(NamedTuple):
    """The limits of one attempt, in seconds.

    The last two count where an answer arrives in pieces; for the others ``whole_s`` counts alone.
    """

    whole_s: float
    """From the first byte sent to the last received."""
    first_token_s: float | None = None
    """To the first piece of the answer. The server may have to load the model before it, and
    reads the prompt."""
    idle_s: float | None = None
    """Between two pieces."""

    def to_load_s(self) -> float:
        """How long a server that is loading its model is waited for."""
        return min(self.whole_s, self.first_token_s or self.whole_s)


DEFAULT_LIMITS: Mapping[Location, TimeLimits] = {
    "cloud": TimeLimits(60.0),
    # Measured: a model of 1.5 billion parameters on two CPU cores reads 38 tokens a second and
    # writes 12, so 8,000 tokens take 210 s to read; two pieces were at most 3.3 s apart.
    "local": TimeLimits(600.0, 300.0, 60.0),
}
"""What counts where a row says nothing."""

DEFAULT_QUEUE_S: Mapping[Location, float] = {"cloud": 0.0, "local": 60.0}
"""How long a request waits for a provider whose limits are full, in seconds: one's own machine
answers the calls before it soon, and beside a cloud there is another."""
