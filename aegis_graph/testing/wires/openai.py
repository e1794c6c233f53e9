"""The OpenAI protocol: ``POST /v1/chat/completions``, streamed as server-sent events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aegis_graph.testing.loopback.journal import ProtocolName, Received, Usage
from aegis_graph.testing.loopback.replies import Reply
from aegis_graph.testing.wires.wire import (
    CREATED,
    WireChunk,
    delta_characters,
    finish_reason,
    full_usage,
    to_json,
    tool_call_deltas,
    tool_calls,
)

CODES: Mapping[int, str] = {
    401: "invalid_api_key",
    403: "model_not_found",
    404: "model_not_found",
    429: "rate_limit_exceeded",
}
"""OpenAI's usual code by status. It sends none for 400 and 5xx."""

TYPES: Mapping[int, str] = {429: "requests", 500: "server_error", 503: "server_error"}


class OpenAIWire:
    """How OpenAI, and the many servers that copy it, write an answer."""

    name: ProtocolName = "openai"
    stream_type = "text/event-stream; charset=utf-8"

    def wants_stream(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
        """A stream is asked for in the body."""
        return bool(body.get("stream"))

    def whole(self, reply: Reply, call: Received, *, finished: bool = True) -> dict[str, Any]:
        """A ``chat.completion`` object."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning
        if reply.tool_calls:
            message["content"] = reply.text or None
            message["tool_calls"] = [
                # Only the pieces of a stream carry an index.
                {key: value for key, value in tool.items() if key != "index"}
                for tool in tool_calls(reply)
            ]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _finish(reply, call) if finished else None,
        }
        body = {**_head(call, "chat.completion"), **_tier(reply, call), "choices": [choice]}
        if (usage := self.usage(reply)) is not None:
            body["usage"] = _usage(usage)
        return body

    def usage(self, reply: Reply) -> Usage | None:
        """OpenAI reports the details as well."""
        return full_usage(reply)

    def chunks(self, reply: Reply, call: Received) -> list[WireChunk]:
        """One event per piece; the role comes in an event before the first one."""
        deltas: list[tuple[dict[str, Any], int]] = [
            ({"reasoning_content": piece}, len(piece)) for piece in reply.reasoning_pieces()
        ]
        deltas += [({"content": piece}, len(piece)) for piece in reply.pieces()]
        deltas += [
            ({"tool_calls": [delta]}, delta_characters(delta))
            for delta in tool_call_deltas(reply, later={})
        ]
        role = _delta_event(call, {"role": "assistant", "content": "", "refusal": None})
        return [
            WireChunk((b"" if index else role) + _delta_event(call, delta), count)
            for index, (delta, count) in enumerate(deltas)
        ]

    def ending(self, reply: Reply, call: Received) -> WireChunk:
        """The finish reason, the usage where it was asked for, and ``[DONE]``."""
        data = _delta_event(call, {}, _finish(reply, call))
        usage = self.usage(reply) if _includes_usage(call) else None
        if usage is not None:
            head = _head(call, "chat.completion.chunk")
            last = {"choices": [], "usage": _usage(usage)}
            data += _event({**head, **_tier(reply, call), **last})
        return WireChunk(data + b"data: [DONE]\n\n", usage=usage)

    def error(self, status: int, code: str | None, message: str | None) -> dict[str, Any]:
        """The error object, with OpenAI's own code for the status unless one is given."""
        code = code or CODES.get(status)
        kind = "insufficient_quota" if code == "insufficient_quota" else TYPES.get(status)
        if kind is None:
            kind = "server_error" if status >= 500 else "invalid_request_error"
        text = message or HTTPStatus(status).phrase
        return {"error": {"message": text, "type": kind, "param": None, "code": code}}

    def stream_error(self, code: str | None, number: int) -> bytes:
        """An event with the error object in place of a chunk."""
        return _event(self.error(500, code, "The server had an error in the middle of the answer"))

    def broken_event(self, number: int) -> bytes:
        """A chunk that ends in the middle."""
        return b'data: {"id":"chatcmpl-0","object":"chat.completion.chunk","choices":[{"ind\n\n'


def model_list(names: Sequence[str]) -> dict[str, Any]:
    """The answer of ``GET /v1/models``."""
    rows = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "loopback"}
        for name in names
    ]
    return {"object": "list", "data": rows}


def _head(call: Received, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{call.number}",
        "object": kind,
        "created": CREATED,
        "model": call.model,
    }


def _tier(reply: Reply, call: Received) -> dict[str, Any]:
    served = reply.service_tier or call.body.get("service_tier")
    return {"service_tier": served} if served else {}


def _event(value: object) -> bytes:
    return b"data: " + to_json(value) + b"\n\n"


def _delta_event(call: Received, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {**_head(call, "chat.completion.chunk"), "choices": [choice]}
    if _includes_usage(call):
        # Where usage is asked for, every event has the field; the last one has the numbers.
        chunk["usage"] = None
    return _event(chunk)


def _includes_usage(call: Received) -> bool:
    return bool((call.body.get("stream_options") or {}).get("include_usage"))


def _finish(reply: Reply, call: Received) -> str:
    # OpenAI's client sends the newer name of the cap; many compatible servers know only the older.
    return finish_reason(
        reply, call.body.get("max_completion_tokens") or call.body.get("max_tokens")
    )


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
    }
