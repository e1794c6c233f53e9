"""``/v1/chat/completions``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessageChunk
from typing_extensions import override

from aegis_graph.routing.observer import ChunkEvent
from aegis_graph.server.endpoint.answer_endpoint import AnswerEndpoint, AnswerHead
from aegis_graph.server.endpoint.answers import RoutedAnswer
from aegis_graph.server.endpoint.asking import Piece
from aegis_graph.server.endpoint.chat_request import ChatRequest, chat_request


class ChatEndpoint(AnswerEndpoint):
    """Answers a conversation."""

    @override
    def read(self, body: Mapping[str, Any]) -> ChatRequest:
        return chat_request(body)

    @override
    def whole(self, answer: RoutedAnswer, head: AnswerHead) -> dict[str, Any]:
        return completion(answer, head.created)

    @override
    def events(self, head: AnswerHead, wanted: ChatRequest) -> CompletionChunks:
        return CompletionChunks(head, includes_usage=wanted.includes_usage)


def completion(answer: RoutedAnswer, created: int) -> dict[str, Any]:
    """A whole answer in OpenAI's form."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if calls := answer.tool_calls:
        message |= {"content": answer.text or None, "tool_calls": calls}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    return {
        "id": f"chatcmpl-{answer.route_id}",
        "object": "chat.completion",
        "created": created,
        "model": answer.model,
        "choices": [choice],
        "usage": answer.usage(inward="prompt", outward="completion"),
        "aegis": answer.route,
    }


class CompletionChunks:
    """Turns the pieces of one answer into events.

    Args:
        head: What is known of it.
        includes_usage: Whether the last event has the usage.
    """

    def __init__(self, head: AnswerHead, *, includes_usage: bool) -> None:
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{head.route_id}",
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
        }
        self._usage: dict[str, Any] = {"usage": None} if includes_usage else {}
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": None}
        choice["delta"] = {}
        # Of each event but the last ones only the delta differs: it is written at the end.
        text = json.dumps({**self._head, **self._usage, "choices": [choice]})
        self._before = f"data: {text.removesuffix('{}}]}')}"
        self._began = False

    def begin(self) -> bytes:
        """Nothing: the first piece says what comes first."""
        return b""

    def of(self, piece: Piece) -> bytes:
        """The events of one piece."""
        if isinstance(piece, ChunkEvent):
            return b"".join(self._delta(delta) for delta in self._deltas(piece.chunk))
        answer = RoutedAnswer(piece)
        deltas = [] if self._began else [*self._whole(answer)]
        ends = [self._delta(delta) for delta in deltas]
        return b"".join([*ends, *self._last(answer)])

    def failed(self, error: Mapping[str, Any]) -> bytes:
        """The event that says that the answer broke off."""
        return _event(error)

    def end(self) -> bytes:
        """The mark after the last event."""
        return b"data: [DONE]\n\n"

    def _deltas(self, chunk: AIMessageChunk) -> list[dict[str, Any]]:
        delta: dict[str, Any] = {}
        if text := str(chunk.text):
            delta["content"] = text
        if chunk.tool_call_chunks:
            delta["tool_calls"] = [_call_delta(dict(call)) for call in chunk.tool_call_chunks]
        return [self._with_role(delta)] if delta or not self._began else []

    def _whole(self, answer: RoutedAnswer) -> list[dict[str, Any]]:
        delta: dict[str, Any] = {"content": answer.text} if answer.text else {}
        if calls := answer.tool_calls:
            delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
        return [self._with_role(delta)]

    def _with_role(self, delta: dict[str, Any]) -> dict[str, Any]:
        if self._began:
            return delta
        self._began = True
        return {"role": "assistant", "content": "", **delta}

    def _last(self, answer: RoutedAnswer) -> list[bytes]:
        choice = {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": answer.finish_reason,
        }
        end = {**self._head, **self._usage, "choices": [choice], "aegis": answer.route}
        if not self._usage:
            return [_event(end)]
        usage = answer.usage(inward="prompt", outward="completion")
        return [_event(end), _event({**self._head, "choices": [], "usage": usage})]

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        return f"{self._before}{json.dumps(delta)}}}]}}\n\n".encode()


def _call_delta(call: Mapping[str, Any]) -> dict[str, Any]:
    function = {"arguments": call["args"] or ""}
    if call["name"]:
        function["name"] = call["name"]
    delta: dict[str, Any] = {"index": call["index"] or 0, "function": function}
    return {**delta, "id": call["id"], "type": "function"} if call["id"] else delta


def _event(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
