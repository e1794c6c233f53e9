"""``/v1/chat/completions``."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from langchain_core.messages import AIMessageChunk
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from aegis_graph.chat.chunks import RouterResult
from aegis_graph.errors import AegisError
from aegis_graph.routing.observer import ChunkEvent
from aegis_graph.server.endpoint.answers import RoutedAnswer, route_headers
from aegis_graph.server.endpoint.asking import Piece, RoutedQuestion
from aegis_graph.server.endpoint.chat_request import ChatRequest, chat_request
from aegis_graph.server.endpoint.connection import EventStream
from aegis_graph.server.endpoint.errors import error_event_body, refusal_of
from aegis_graph.server.endpoint.json_body import json_body
from aegis_graph.server.services import ServerServices


class ChatEndpoint:
    """Answers a conversation.

    Args:
        services: Of the app.
    """

    def __init__(self, services: ServerServices) -> None:
        self._services = services

    async def answer(self, request: Request) -> Response:
        """Serve one request."""
        try:
            body = await json_body(request)
            wanted = chat_request(body)
            question = RoutedQuestion(self._services, request, body, wanted.asked)
            unknown = question.unknown_model()
            if unknown is not None:
                return unknown
            if wanted.streams:
                return await self._stream(question, wanted)
            answer = RoutedAnswer(await question.answer())
        except AegisError as error:
            return refusal_of(error)
        return JSONResponse(completion(answer, self._now()), headers=answer.headers)

    async def _stream(self, question: RoutedQuestion, wanted: ChatRequest) -> Response:
        first, rest = await question.pieces()
        if isinstance(first, ChunkEvent):
            route_id, model = first.route_id, first.model
            headers = route_headers(route_id, first.provider, model)
        else:
            whole = RoutedAnswer(first)
            route_id, model, headers = whole.route_id, whole.model, whole.headers
        chunks = CompletionChunks(
            route_id, model, self._now(), includes_usage=wanted.includes_usage
        )
        return EventStream(_events(first, rest, chunks), headers)

    def _now(self) -> int:
        return int(self._services.clock().timestamp())


async def _events(
    first: Piece, rest: AsyncGenerator[Piece, None], chunks: CompletionChunks
) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        try:
            yield chunks.of(first)
            async for piece in rest:
                yield chunks.of(piece)
        except Exception as error:  # noqa: BLE001  the client is told, and the log has it
            yield _event(error_event_body(error))
        else:
            yield b"data: [DONE]\n\n"


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
        route_id: Of the request.
        model: That answers.
        created: Seconds since 1970.
        includes_usage: Whether the last event has the usage.
    """

    def __init__(self, route_id: str, model: str, created: int, *, includes_usage: bool) -> None:
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{route_id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._usage: dict[str, Any] = {"usage": None} if includes_usage else {}
        choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": None}
        choice["delta"] = {}
        # Of each event but the last ones only the delta differs: it is written at the end.
        text = json.dumps({**self._head, **self._usage, "choices": [choice]})
        self._before = f"data: {text.removesuffix('{}}]}')}"
        self._began = False

    def of(self, piece: ChunkEvent | RouterResult) -> bytes:
        """The events of one piece."""
        if isinstance(piece, ChunkEvent):
            return b"".join(self._delta(delta) for delta in self._deltas(piece.chunk))
        answer = RoutedAnswer(piece)
        deltas = [] if self._began else [*self._whole(answer)]
        ends = [self._delta(delta) for delta in deltas]
        return b"".join([*ends, *self._last(answer)])

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
