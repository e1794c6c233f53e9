"""What is known of a provider's model and a task, and how one more attempt changes it. Pure.

Amounts are integers, money nano-USD.
"""

from __future__ import annotations

from typing import NamedTuple

from aegis_graph.ledger.past_attempts import PastAttempt
from aegis_graph.routing.candidates.latencies import Durations, Times

_SCALE = 1_000
"""What one unit is in a sum, so that integers can lose a fiftieth of it."""

Subject = tuple[str, str, str]
"""Provider, model and task; an empty name stands for all."""


class Ratio(NamedTuple):
    """One sum over another, in which an amount counts half after 34 more.

    Example:
        >>> Ratio().plus(300, 1).plus(100, 1).of(1)
        198
    """

    part: int = 0
    whole: int = 0

    def plus(self, part: int, whole: int) -> Ratio:
        """The ratio with one more observation."""
        return Ratio(
            self.part * 49 // 50 + part * _SCALE,
            self.whole * 49 // 50 + whole * _SCALE,
        )

    def of(self, amount: int, *, prior: tuple[int, int] = (0, 0)) -> int:
        """The ratio of an amount.

        Args:
            amount: Of what.
            prior: An observation that counts beside the others, so that there is always one.
        """
        part, whole = self.part + prior[0] * _SCALE, self.whole + prior[1] * _SCALE
        return amount * part // whole


class Record(NamedTuple):
    """What is known of a subject from the ledger's rows."""

    output: Ratio = Ratio()
    """Output tokens of an answer."""
    failed_nano_usd: Ratio = Ratio()
    """What failures cost, per answer."""
    failed_ms: Ratio = Ratio()
    """What time failures took, per answer."""
    cached: Ratio = Ratio()
    """Cached input tokens of all input, where a conversation did not go on."""
    repeated: Ratio = Ratio()
    """Cached input tokens of what a conversation had sent before."""
    whole: Times = Times()
    """To the end of an answer."""
    durations: Durations = Durations()
    """The same, with the attempts that had none."""

    def after(self, past: PastAttempt) -> Record:
        """With how one more attempt ended, and how long that took."""
        took_ms, known = past.latency_ms or 0, self
        if past.latency_ms is not None:
            durations = known.durations.plus(took_ms, answered=past.answered)
            known = known._replace(durations=durations)
        if past.cancelled:
            return known
        if not past.answered:
            return known._replace(
                failed_nano_usd=known.failed_nano_usd.plus(past.cost_nano_usd, 0),
                failed_ms=known.failed_ms.plus(took_ms, 0),
            )
        return known._replace(
            failed_nano_usd=known.failed_nano_usd.plus(0, 1),
            failed_ms=known.failed_ms.plus(0, 1),
            whole=known.whole.plus(took_ms),
        )

    def with_output(self, tokens: int) -> Record:
        """With the output tokens of one more answer."""
        return self._replace(output=self.output.plus(tokens, 1))

    def with_cache(self, cached: int, input_tokens: int, sent_before: int | None) -> Record:
        """With what one more answer had from the provider's cache, in tokens.

        Args:
            cached: Of its input.
            input_tokens: All of its input.
            sent_before: What its conversation had sent last; ``None`` where it did not go on.
        """
        if sent_before is None:
            return self._replace(cached=self.cached.plus(cached, input_tokens))
        again = min(sent_before, input_tokens)
        return self._replace(repeated=self.repeated.plus(min(cached, again), again))


class Measured(NamedTuple):
    """What no row of the ledger has, and only this process knows."""

    size: Ratio = Ratio()
    """Input tokens of the request's upper bound."""
    first: Times = Times()
    """To the first token of an answer that came in pieces."""
    first_durations: Durations = Durations()
    """The same, with the attempts that had none."""

    def with_input(self, tokens: int, *, bound: int) -> Measured:
        """With the input tokens of one more answer."""
        return self._replace(size=self.size.plus(tokens, bound))

    def with_first(self, first_ms: int) -> Measured:
        """With the time of one more first token."""
        return self._replace(first=self.first.plus(first_ms))

    def with_wait(self, waited_ms: int, *, answered: bool) -> Measured:
        """With how long one more attempt went without a token, and whether one came then."""
        durations = self.first_durations.plus(waited_ms, answered=answered)
        return self._replace(first_durations=durations)
