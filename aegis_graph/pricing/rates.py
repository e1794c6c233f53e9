"""Lines of a price list, and what an attempt costs by one of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple, get_args, overload

MTOK = 1_000_000

InputKind = Literal["audio", "image", "explicit_cache_write", "cache_write_1h"]
"""Input that a request has only where it says so: other media, and writes to a cache that it asks
for, for five minutes or an hour. Any input may be read from a cache."""

INPUT_KINDS: frozenset[InputKind] = frozenset(get_args(InputKind))


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one attempt.

    Input includes what was cached, written, heard and seen; output what was thought.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    explicit_cached_tokens: int = 0
    """Of the cached ones, those that the request had marked (``dashscope``)."""
    cache_write_tokens: int = 0
    """Written to the provider's cache, for whichever time."""
    cache_write_1h_tokens: int = 0
    """Of the written ones, those that the cache keeps for an hour."""
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    reasoning_tokens: int = 0


class Cost(NamedTuple):
    """What an attempt cost."""

    usd: Decimal
    exact: bool
    """Whether the price list has a rate for all of it. What it lacks counts at the dearest rate
    for text that it has."""


class _Share(NamedTuple):
    """Some of the tokens, and what each of them costs."""

    rate: Decimal
    tokens: int
    exact: bool

    @classmethod
    def of(cls, tokens: int, rate: Decimal | None, *, lacking: Decimal) -> _Share:
        """A share at its rate, or at another one where its own is not known."""
        return cls(lacking if rate is None else rate, tokens, rate is not None)


@dataclass(frozen=True, slots=True)
class Rate:
    """USD per million tokens, for requests of up to ``up_to`` input tokens.

    A rate that is ``None`` is unknown, unless its description says otherwise.
    """

    input: Decimal
    output: Decimal
    thinking_output: Decimal | None = None
    """Of all output of an answer that was thought over; the output rate when absent."""
    reasoning_output: Decimal | None = None
    """Of the reasoning alone; as other output when absent."""
    cached_input: Decimal | None = None
    """Of input read from the provider's cache."""
    explicit_cached_input: Decimal | None = None
    """Of input read from a cache that the request asked for; as any cached input when absent."""
    cache_write: Decimal | None = None
    """Of input that the provider writes to its cache, for five minutes where that differs."""
    explicit_cache_write: Decimal | None = None
    """The same, where the provider writes only what a request has marked."""
    cache_write_1h: Decimal | None = None
    """Of input written to the provider's cache for an hour."""
    audio_input: Decimal | None = None
    image_input: Decimal | None = None
    """As text when absent: nearly every model bills an image's tokens as such."""
    audio_output: Decimal | None = None
    image_output: Decimal | None = None
    per_request: Decimal = Decimal(0)
    """USD for the request itself."""
    up_to: int | None = None

    def cost(self, usage: TokenUsage) -> Cost:
        """What an attempt costs that falls under this line."""
        read = _cost_of(usage.input_tokens, self.input, self._input_shares(usage))
        thought = usage.reasoning_tokens > 0 and self.thinking_output is not None
        output = _first(self.thinking_output if thought else None, self.output)
        written = _cost_of(usage.output_tokens, output, self._output_shares(usage, output))
        return Cost(self.per_request + read.usd + written.usd, read.exact and written.exact)

    def _output_shares(self, usage: TokenUsage, output: Decimal) -> tuple[_Share, ...]:
        if not (usage.reasoning_tokens or usage.audio_output_tokens or usage.image_output_tokens):
            return ()
        return (
            _Share(_first(self.reasoning_output, output), usage.reasoning_tokens, exact=True),
            _Share.of(usage.audio_output_tokens, self.audio_output, lacking=output),
            _Share.of(usage.image_output_tokens, self.image_output, lacking=output),
        )

    def _input_shares(self, usage: TokenUsage) -> tuple[_Share, ...]:
        kept = usage.cached_input_tokens or usage.cache_write_tokens
        if not (kept or usage.audio_input_tokens or usage.image_input_tokens):
            return ()
        explicit = min(usage.explicit_cached_tokens, usage.cached_input_tokens)
        hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
        explicit_rate = _first(self.explicit_cached_input, self.cached_input)
        write_rate = _first(self.cache_write, self.explicit_cache_write)
        image_rate, dearest = _first(self.image_input, self.input), max(self._text_rates)
        return (
            _Share.of(usage.cached_input_tokens - explicit, self.cached_input, lacking=self.input),
            _Share.of(explicit, explicit_rate, lacking=self.input),
            _Share.of(usage.cache_write_tokens - hour, write_rate, lacking=dearest),
            _Share.of(hour, self.cache_write_1h, lacking=dearest),
            _Share.of(usage.audio_input_tokens, self.audio_input, lacking=dearest),
            _Share(image_rate, usage.image_input_tokens, exact=True),
        )

    def most_usd(
        self, input_tokens: int, output_tokens: int, kinds: Collection[InputKind]
    ) -> Decimal:
        """The most that so many tokens can cost under this line.

        Args:
            input_tokens: The most.
            output_tokens: The most.
            kinds: Which special kinds of input there may be.
        """
        special = {
            "audio": self.audio_input,
            "image": self.image_input,
            "explicit_cache_write": self.explicit_cache_write,
            "cache_write_1h": self.cache_write_1h,
        }
        read = max(self._text_rates + _known(*(special[kind] for kind in kinds)))
        outputs = (self.thinking_output, self.reasoning_output)
        written = max(_known(self.output, *outputs, self.audio_output, self.image_output))
        return self.per_request + (read * input_tokens + written * output_tokens) / MTOK

    @property
    def _text_rates(self) -> list[Decimal]:
        """The rates that any request's input may come under."""
        cached = (self.cached_input, self.explicit_cached_input)
        return [self.input, *_known(*cached, self.cache_write)]


def _known(*rates: Decimal | None) -> list[Decimal]:
    return [rate for rate in rates if rate is not None]


@overload
def _first(rate: Decimal | None, otherwise: Decimal) -> Decimal: ...
@overload
def _first(rate: Decimal | None, otherwise: Decimal | None) -> Decimal | None: ...
def _first(rate: Decimal | None, otherwise: Decimal | None) -> Decimal | None:
    return otherwise if rate is None else rate


def _cost_of(tokens: int, plain: Decimal, shares: Sequence[_Share]) -> Cost:
    """What tokens cost of which some have a rate of their own.

    Args:
        tokens: All of them.
        plain: The rate of those in no share.
        shares: Where they overlap or are more than all, the dearest count.
    """
    usd, left, exact = Decimal(0), tokens, True
    for share in sorted((share for share in shares if share.tokens), reverse=True):
        taken = min(share.tokens, left)
        usd, left = usd + share.rate * taken, left - taken
        exact = exact and (share.exact or not taken)
    return Cost((usd + plain * left) / MTOK, exact)
