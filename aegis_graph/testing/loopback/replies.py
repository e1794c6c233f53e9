"""What a scripted provider does with one call: a ``Reply``, a ``Fault``, or a ``RawReply``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
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


JSON: Mapping[str, str] = {"Content-Type": "application/json"}
EVENT_STREAM: Mapping[str, str] = {"Content-Type": "text/event-stream"}
NDJSON: Mapping[str, str] = {"Content-Type": "application/x-ndjson"}

_FRAMING = {"content-length", "transfer-encoding"}
"""Headers that say where a body ends; names in lower case."""


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
    service_tier: str | None = None
    """The tier that served it; when absent, the one that the call asks for, if any. Only OpenAI's
    protocol has such a field."""
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


Ending = Literal["clean", "close", "reset", "hang"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReply:
    r"""An HTTP response to the byte: what servers send, and no protocol allows.

    The status line, the headers and the bytes go out as they are given. A response whose headers
    say nothing of its length gets a true ``Content-Length``, or ``Transfer-Encoding: chunked``
    where it comes in ``chunks``; one whose headers do is not touched at all, so that a length can
    be wrong and chunks can be broken. The connection is used for nothing else.

    Example:
        >>> RawReply(body=b'{"choices": [', headers={"Content-Type": "text/html"}).status
        200
        >>> stream = RawReply(chunks=(b"data: {}\n", b"\n"), headers=EVENT_STREAM, ending="reset")
        >>> stream.framed()
        (b'9\r\ndata: {}\n\r\n', b'1\r\n\n\r\n')
    """

    status: int = 200
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = field(default_factory=lambda: JSON)
    """Pairs where a name comes twice. Nothing in them is escaped, line breaks neither."""
    body: bytes = b""
    """What comes at once, with the headers."""
    chunks: Sequence[bytes] = ()
    """What comes after it, piece by piece."""
    chunk_interval_s: float = 0.0
    """Seconds between two pieces."""
    ending: Ending = "clean"
    """``clean``: to the end. ``close``: without the last chunk, if there are chunks. ``reset``: as
    ``close``, and the connection is reset. ``hang``: silence, until the client goes away."""

    def head(self) -> bytes:
        """The status line and the headers."""
        pairs = list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)
        named = {name.casefold() for name, _ in pairs}
        if not named & _FRAMING:
            chunked = ("Transfer-Encoding", "chunked")
            pairs.append(chunked if self.chunks else ("Content-Length", str(len(self.body))))
        if "connection" not in named:
            # A client that kept the connection would lose its next call on it.
            pairs.append(("Connection", "close"))
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {text}" for name, text in pairs)]
        # Any byte can be written: above 127 as half of a surrogate pair, as Python reads it.
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("utf-8", "surrogateescape")

    def framed(self) -> tuple[bytes, ...]:
        """The pieces after the headers, as they go over the wire."""
        pieces = (self.body, *self.chunks) if self.body else tuple(self.chunks)
        headers = self.headers if isinstance(self.headers, Mapping) else dict(self.headers)
        if not self.chunks or {name.casefold() for name in headers} & _FRAMING:
            return pieces
        last = (b"0\r\n\r\n",) if self.ending == "clean" else ()
        return (*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece), *last)


Step: TypeAlias = Reply | Fault | RawReply | Callable[[Received], Reply | Fault | RawReply]
"""A reply, a fault, bytes, or a function that decides when it sees the call: a model by content."""
