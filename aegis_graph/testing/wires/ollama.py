"""The Ollama protocol: ``POST /api/chat``, streamed as one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aegis_graph.testing.loopback.journal import ProtocolName, Received, Usage
from aegis_graph.testing.loopback.replies import Reply
from aegis_graph.testing.wires.wire import WireChunk, finish_reason, to_json

CREATED_AT = "2026-01-01T00:00:00Z"
# 20 ms: Ollama gives its durations in nanoseconds.
NANOSECONDS_PER_TOKEN = 20_000_000


class OllamaWire:
    """How Ollama writes an answer."""

    name: ProtocolName = "ollama"
    stream_type = "application/x-ndjson"

    def wants_stream(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
        """Ollama streams unless the body says `false`."""
        return body.get("stream") is not False

    def whole(self, reply: Reply, call: Received, *, finished: bool = True) -> dict[str, Any]:
        """One object with the whole message."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if reply.reasoning:
            message["thinking"] = reply.reasoning
        if reply.tool_calls:
            message["tool_calls"] = _tool_calls(reply)
        line = _line(call, message)
        return {**line, **self._last(reply, call)} if finished else line

    def usage(self, reply: Reply) -> Usage | None:
        """Ollama reports two numbers."""
        return Usage(reply.input_tokens, reply.output_tokens) if reply.usage else None

    def chunks(self, reply: Reply, call: Received) -> list[WireChunk]:
        """One line per piece; a tool call is one piece."""
        messages: list[tuple[dict[str, Any], int]] = [
            ({"content": "", "thinking": piece}, len(piece)) for piece in reply.reasoning_pieces()
        ]
        messages += [({"content": piece}, len(piece)) for piece in reply.pieces()]
        messages += [
            (
                {"content": "", "tool_calls": [tool]},
                len(tool["function"]["name"]) + len(json.dumps(tool["function"]["arguments"])),
            )
            for tool in _tool_calls(reply)
        ]
        return [
            WireChunk(_to_line(_line(call, {"role": "assistant", **message})), count)
            for message, count in messages
        ]

    def ending(self, reply: Reply, call: Received) -> WireChunk:
        """The line with ``done``, the reason and the counts."""
        line = _line(call, {"role": "assistant", "content": ""})
        return WireChunk(_to_line({**line, **self._last(reply, call)}), usage=self.usage(reply))

    def error(self, status: int, code: str | None, message: str | None) -> dict[str, Any]:
        """A message and nothing else: Ollama has no error codes."""
        return {"error": message or code or HTTPStatus(status).phrase}

    def stream_error(self, code: str | None, number: int) -> bytes:
        """A line with the message in place of an answer."""
        return _to_line({"error": code or "an error was encountered while running the model"})

    def broken_event(self, number: int) -> bytes:
        """A line that ends in the middle."""
        return b'{"model":"broken","created_at":"2026-01-01T00:00:00Z","mess\n'

    def _last(self, reply: Reply, call: Received) -> dict[str, Any]:
        reason = finish_reason(reply, (call.body.get("options") or {}).get("num_predict"))
        usage = self.usage(reply)
        evaluated = (reply.input_tokens, reply.output_tokens)
        last: dict[str, Any] = {
            "done": True,
            # Ollama says "stop" after a tool call as well.
            "done_reason": "stop" if reason == "tool_calls" else reason,
            "total_duration": sum(evaluated) * NANOSECONDS_PER_TOKEN,
            "load_duration": 0,
        }
        if usage is not None:
            last["prompt_eval_count"] = usage.input_tokens
            last["prompt_eval_duration"] = usage.input_tokens * NANOSECONDS_PER_TOKEN
            last["eval_count"] = usage.output_tokens
            last["eval_duration"] = usage.output_tokens * NANOSECONDS_PER_TOKEN
        return last


def model_list(names: Sequence[str]) -> dict[str, Any]:
    """The answer of ``GET /api/tags``."""
    rows = [
        {"name": name, "model": name, "modified_at": CREATED_AT, "size": 0, "digest": "0" * 64}
        for name in names
    ]
    return {"models": rows}


def _line(call: Received, message: dict[str, Any]) -> dict[str, Any]:
    return {"model": call.model, "created_at": CREATED_AT, "message": message, "done": False}


def _to_line(value: object) -> bytes:
    return to_json(value) + b"\n"


def _tool_calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "id": call.get("id") or f"call_{index}",
            "function": {"index": index, "name": call["name"], "arguments": call["args"]},
        }
        for index, call in enumerate(reply.tool_calls)
    ]
