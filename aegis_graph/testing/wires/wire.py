"""What the three protocols have in common, and the interface through which they are played."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aegis_graph.testing.loopback.journal import ProtocolName, Received, Usage
from aegis_graph.testing.loopback.replies import Reply

CREATED = 1_767_225_600
"""Every answer carries the same date (2026-01-01), so that two recordings compare equal."""


@dataclass(frozen=True, slots=True)
class WireChunk:
    """Bytes that leave together."""

    data: bytes
    characters: int = 0
    usage: Usage | None = None
    """What these bytes say about tokens."""


class Wire(Protocol):
    """How replies and errors are written in one protocol."""

    name: ProtocolName
    stream_type: str
    """Content type of a stream."""

    def wants_stream(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
        """Whether the client asks for a stream."""

    def whole(self, reply: Reply, call: Received, *, finished: bool = True) -> dict[str, Any]:
        """The answer as one body; unfinished, it lacks the finish reason."""

    def usage(self, reply: Reply) -> Usage | None:
        """What the protocol lets a client know about the tokens."""

    def chunks(self, reply: Reply, call: Received) -> list[WireChunk]:
        """The pieces of a streamed answer."""

    def ending(self, reply: Reply, call: Received) -> WireChunk:
        """The finish reason, the usage and the end marker of a stream."""

    def error(self, status: int, code: str | None, message: str | None) -> dict[str, Any]:
        """The body of an HTTP error."""

    def stream_error(self, code: str | None, number: int) -> bytes:
        """An error inside a stream, as its event number ``number``."""

    def broken_event(self, number: int) -> bytes:
        """An event of a stream whose JSON ends in the middle."""


def to_json(value: object) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def finish_reason(reply: Reply, cap: object) -> str:
    """Why the answer ends, in the words that OpenAI and DashScope share.

    Args:
        reply: The answer.
        cap: The most tokens that the call allows, where it says so.
    """
    if reply.finish_reason is not None:
        return reply.finish_reason
    if reply.tool_calls:
        return "tool_calls"
    # Ollama counts from 1: -1 and -2 switch its cap off.
    return "length" if isinstance(cap, int) and 0 < cap < reply.output_tokens else "stop"


def tool_calls(reply: Reply) -> list[dict[str, Any]]:
    """The tool calls of a whole answer."""
    return [
        {
            "index": index,
            "id": call.get("id") or f"call_{index}",
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["args"])},
        }
        for index, call in enumerate(reply.tool_calls)
    ]


def tool_call_deltas(reply: Reply, *, later: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tool calls in pieces: the name, then the arguments in two halves.

    Args:
        reply: The answer.
        later: What the pieces after the first one carry besides the index and the arguments.
    """
    deltas = []
    for call in tool_calls(reply):
        function = call["function"]
        arguments = function["arguments"]
        deltas.append({**call, "function": {"name": function["name"], "arguments": ""}})
        # In two pieces, neither of which is JSON: a client has to join them.
        half = len(arguments) // 2
        for part in (arguments[:half], arguments[half:]):
            deltas.append({"index": call["index"], **later, "function": {"arguments": part}})
    return deltas


def delta_characters(delta: Mapping[str, Any]) -> int:
    """How much of a tool call one piece carries."""
    function = delta["function"]
    return len(function.get("name", "")) + len(function["arguments"])


def characters(reply: Reply) -> int:
    """How much a whole answer carries."""
    # Written as ``tool_calls`` writes them: the pieces have to add up to the whole.
    calls = sum(len(call["name"]) + len(json.dumps(call["args"])) for call in reply.tool_calls)
    return len(reply.reasoning) + len(reply.text) + calls


def full_usage(reply: Reply) -> Usage | None:
    """The usage with its details."""
    if not reply.usage:
        return None
    return Usage(
        reply.input_tokens,
        reply.output_tokens,
        reply.cached_input_tokens,
        reply.reasoning_tokens,
    )
