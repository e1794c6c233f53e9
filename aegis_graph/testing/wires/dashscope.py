"""The native DashScope protocol: two generation paths, a stream asked for by a header."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aegis_graph.testing.loopback.journal import ProtocolName, Received, Usage
from aegis_graph.testing.loopback.replies import Reply
from aegis_graph.testing.wires.wire import (
    WireChunk,
    delta_characters,
    finish_reason,
    full_usage,
    to_json,
    tool_call_deltas,
    tool_calls,
)

CODES: Mapping[int, str] = {
    400: "InvalidParameter",
    401: "InvalidApiKey",
    403: "Model.AccessDenied",
    404: "ModelNotFound",
    429: "Throttling.RateQuota",
    500: "InternalError",
    503: "ModelUnavailable",
}
"""DashScope's usual code by status."""

STATUSES: Mapping[str, int] = {
    **{code: status for status, code in CODES.items()},
    "AccessDenied": 403,
    "AllocationQuota.FreeTierOnly": 403,
    "Arrearage": 400,
    "DataInspectionFailed": 400,
    "Throttling": 429,
    "Throttling.AllocationQuota": 429,
}
"""The status that an error inside a stream names; 500 for the others."""


class DashScopeWire:
    """How Alibaba's Model Studio writes an answer."""

    name: ProtocolName = "dashscope"
    stream_type = "text/event-stream;charset=UTF-8"

    def wants_stream(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
        """A stream is asked for in the headers."""
        asked = headers.get("x-dashscope-sse", "").lower() == "enable"
        return asked or "text/event-stream" in headers.get("accept", "")

    def whole(self, reply: Reply, call: Received, *, finished: bool = True) -> dict[str, Any]:
        """A body with one choice. It does not name the model."""
        message: dict[str, Any] = {"role": "assistant", "content": _content(reply.text, call)}
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning
        if reply.tool_calls:
            message["tool_calls"] = tool_calls(reply)
        # The word, as text: so DashScope writes that an answer has not ended.
        finish = _finish(reply, call) if finished else "null"
        body = _body(message, finish, self.usage(reply), call)
        if not _is_multimodal(call):
            body["output"] = {"text": None, "finish_reason": None, **body["output"]}
        return body

    def usage(self, reply: Reply) -> Usage | None:
        """DashScope reports the details as well."""
        return full_usage(reply)

    def chunks(self, reply: Reply, call: Received) -> list[WireChunk]:
        """One event per piece, each with the usage so far."""
        empty = _content("", call)
        deltas: list[tuple[dict[str, Any], int]] = [
            ({"content": empty, "reasoning_content": piece}, len(piece))
            for piece in reply.reasoning_pieces()
        ]
        deltas += [({"content": _content(piece, call)}, len(piece)) for piece in reply.pieces()]
        deltas += [
            ({"content": empty, "tool_calls": [delta]}, delta_characters(delta))
            # The later pieces have an empty id: a client must not put it in place of the first one.
            for delta in tool_call_deltas(reply, later={"id": ""})
        ]
        chunks = []
        for number, (delta, count) in enumerate(deltas, start=1):
            usage = self._usage_so_far(reply, number, len(deltas))
            body = _body({"role": "assistant", **delta}, "null", usage, call)
            chunks.append(WireChunk(_event(number, body), count, usage))
        return chunks

    def ending(self, reply: Reply, call: Received) -> WireChunk:
        """An event without text, with the finish reason and the whole usage."""
        number = len(self.chunks(reply, call)) + 1
        message = {"role": "assistant", "content": _content("", call)}
        usage = self.usage(reply)
        return WireChunk(
            _event(number, _body(message, _finish(reply, call), usage, call)), usage=usage
        )

    def error(self, status: int, code: str | None, message: str | None) -> dict[str, Any]:
        """The error object, with DashScope's own code for the status unless one is given."""
        usual = CODES.get(status) or ("InternalError" if status >= 500 else "InvalidParameter")
        return {
            "code": code or usual,
            "message": message or HTTPStatus(status).phrase,
            "request_id": "loopback-error",
        }

    def stream_error(self, code: str | None, number: int) -> bytes:
        """An event of the kind ``error`` that names a status of its own."""
        status = STATUSES.get(code or "", 500)
        body = self.error(status, code, "An error in the middle of the answer")
        return _event(number, body, kind="error", status=status)

    def broken_event(self, number: int) -> bytes:
        """An event that ends in the middle."""
        return b'id:%d\nevent:result\n:HTTP_STATUS/200\ndata:{"output":{"choic\n\n' % number

    def _usage_so_far(self, reply: Reply, number: int, total: int) -> Usage | None:
        usage = self.usage(reply)
        if usage is None:
            return None
        # Rounded up: the first piece counts at least one token, and the last one all of them.
        output = -(-usage.output_tokens * number // total)
        reasoning = usage.reasoning_tokens
        return usage._replace(
            output_tokens=output,
            reasoning_tokens=None if reasoning is None else min(reasoning, output),
        )


def _is_multimodal(call: Received) -> bool:
    return "/multimodal-generation/" in call.path


def _content(text: str, call: Received) -> str | list[dict[str, str]]:
    if not _is_multimodal(call):
        return text
    return [{"text": text}] if text else []


def _finish(reply: Reply, call: Received) -> str:
    return finish_reason(reply, (call.body.get("parameters") or {}).get("max_tokens"))


def _body(
    message: dict[str, Any], finish: str, usage: Usage | None, call: Received
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "output": {"choices": [{"message": message, "finish_reason": finish}]},
        "request_id": f"loopback-{call.number}",
    }
    if usage is not None:
        body["usage"] = _usage(usage, call)
    return body


def _usage(usage: Usage, call: Received) -> dict[str, Any]:
    row: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if not _is_multimodal(call):
        # With an image in the prompt the total is documented as absent.
        row["total_tokens"] = usage.input_tokens + usage.output_tokens
    if usage.cached_input_tokens is not None:
        row["prompt_tokens_details"] = {"cached_tokens": usage.cached_input_tokens}
    if usage.reasoning_tokens is not None:
        row["output_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return row


def _event(number: int, body: object, *, kind: str = "result", status: int = 200) -> bytes:
    head = f"id:{number}\nevent:{kind}\n:HTTP_STATUS/{status}\ndata:"
    return head.encode() + to_json(body) + b"\n\n"
