"""What a scripted provider does with one call: a ``Reply``, or a ``Fault``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal, TypeAlias

from aegis_graph.testing.loopback.journal import Received

FaultKind = Literal[
    "cut",
    "drop",
    "end_early",
    "hang",
    "malformed",
    "no_usage",
    "slow_stream",
    "status",
    "stream_error",
]

# Spaces belong to a piece as well: joined, the pieces are the text to its last character.
_WORD = re.compile(r"\S+\s*|\s+")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, as a provider would give it.

    Example:
        >>> Reply("It is Paris.", input_tokens=12, output_tokens=4).pieces()
        ('It ', 'is ', 'Paris.')
    """

    text: str = ""
    _: KW_ONLY
    input_tokens: int = 10
    output_tokens: int = 5
    """As a provider counts them: with the reasoning, and not limited by the cap of the call."""
    cached_input_tokens: int | None = None
    """How many of the input tokens came from the cache. Ollama has no such field."""
    reasoning_tokens: int | None = None
    """How many of the output tokens were reasoning. Ollama has no such field."""
    reasoning: str = ""
    """The text of the reasoning; it comes before the answer."""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    """Each with ``name``, ``args`` and, where it matters, ``id``."""
    usage: bool = True
    """Whether the provider says how many tokens there were."""
    chunks: tuple[str, ...] | list[str] | None = None
    """The pieces of a streamed text; its words when absent. Gives the text when there is none."""
    finish_reason: str | None = None
    """Taken from the answer when absent: tool calls, over the cap of the call, or stop."""
    latency_s: float | Callable[[], float] = 0.0
    """Seconds before the first byte, or a function that is asked for them at each call."""
    chunk_interval_s: float = 0.0
    """Seconds between two pieces. A client that does not stream waits for their sum."""

    def __post_init__(self) -> None:
        # Refused here, where the test that wrote it stands, and not later on the server's thread.
        for call in self.tool_calls:
            if missing := {"name", "args"} - set(call):
                raise ValueError(f"tool call {dict(call)!r} lacks {sorted(missing)}")
        if self.chunks is not None:
            whole = "".join(self.chunks)
            if self.text not in ("", whole):
                raise ValueError("the chunks of a reply must join to its text")
            # A frozen dataclass has no other way to set a field of its own.
            object.__setattr__(self, "text", whole)

    def pieces(self) -> tuple[str, ...]:
        """The text as it is streamed."""
        return tuple(self.chunks) if self.chunks is not None else tuple(_WORD.findall(self.text))

    def reasoning_pieces(self) -> tuple[str, ...]:
        """The reasoning as it is streamed."""
        return tuple(_WORD.findall(self.reasoning))

    def wait_s(self) -> float:
        """Seconds before the first byte of this call."""
        return self.latency_s() if callable(self.latency_s) else self.latency_s

    def first(self, count: int) -> Reply:
        """The answer as far as its first ``count`` pieces, without usage and tool calls."""
        reasoning = self.reasoning_pieces()[:count]
        text = self.pieces()[: count - len(reasoning)]
        # Text and chunks change together: ``replace`` checks anew that they join.
        return replace(
            self,
            text="".join(text),
            chunks=text,
            reasoning="".join(reasoning),
            tool_calls=(),
            usage=False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A provider that misbehaves in one way. Build it with one of the class methods.

    Each of them can be played in each protocol, to a client that streams and to one that does not.
    """

    kind: FaultKind
    reply: Reply = Reply()
    """The answer that goes wrong."""
    after_chunks: int = 0
    """How many pieces of it a streaming client gets first."""
    status_code: int = 500
    retry_after_s: float | None = None
    error_code: str | None = None
    message: str | None = None

    @classmethod
    def status(
        cls,
        code: int,
        *,
        retry_after_s: float | None = None,
        error_code: str | None = None,
        message: str | None = None,
    ) -> Fault:
        """An HTTP error with the body that the provider would send.

        Args:
            code: The HTTP status.
            retry_after_s: Value of the ``Retry-After`` header.
            error_code: The provider's own code; its usual one for this status when absent.
            message: The provider's message; the name of the status when absent.
        """
        return cls(
            kind="status",
            status_code=code,
            retry_after_s=retry_after_s,
            error_code=error_code,
            message=message,
        )

    @classmethod
    def hang(cls) -> Fault:
        """Take the request and never answer, until the client goes away or the server stops."""
        return cls(kind="hang")

    @classmethod
    def drop(cls) -> Fault:
        """Take the request and close the connection without a byte."""
        return cls(kind="drop")

    @classmethod
    def slow_stream(cls, reply: Reply, interval_s: float) -> Fault:
        """The whole answer, with a pause between two pieces."""
        return cls(kind="slow_stream", reply=replace(reply, chunk_interval_s=interval_s))

    @classmethod
    def cut(cls, reply: Reply, after_chunks: int) -> Fault:
        """Close the connection in the middle: after some pieces, or half of the body."""
        return cls(kind="cut", reply=reply, after_chunks=after_chunks)

    @classmethod
    def end_early(cls, reply: Reply, after_chunks: int) -> Fault:
        """End the answer in good HTTP order, without finish reason, usage and end marker."""
        return cls(kind="end_early", reply=reply, after_chunks=after_chunks)

    @classmethod
    def malformed(cls, after_chunks: int = 0) -> Fault:
        """Break the JSON of the body, or of the event after some pieces."""
        filler = Reply(chunks=("piece ",) * after_chunks)
        return cls(kind="malformed", reply=filler, after_chunks=after_chunks)

    @classmethod
    def no_usage(cls, reply: Reply) -> Fault:
        """The whole answer, without a word about tokens."""
        return cls(kind="no_usage", reply=replace(reply, usage=False))

    @classmethod
    def stream_error(cls, reply: Reply, after_chunks: int, error_code: str | None = None) -> Fault:
        """Report an error inside a stream of status 200; without a stream, with status 500."""
        return cls(
            kind="stream_error", reply=reply, after_chunks=after_chunks, error_code=error_code
        )


Step: TypeAlias = Reply | Fault | Callable[[Received], Reply | Fault]
"""A reply, a fault, or a function that decides when it sees the call: a model by content."""
