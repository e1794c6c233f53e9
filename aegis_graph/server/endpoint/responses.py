"""``/v1/responses``, as far as text, images, functions and streams go; nothing of it is kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from aegis_graph.errors import AegisError
from aegis_graph.routing.observer import ChunkEvent
from aegis_graph.server.endpoint.answers import RoutedAnswer, route_headers
from aegis_graph.server.endpoint.asking import Piece, RoutedQuestion
from aegis_graph.server.endpoint.connection import EventStream
from aegis_graph.server.endpoint.errors import error_event_body, refusal_of
from aegis_graph.server.endpoint.json_body import json_body
from aegis_graph.server.endpoint.responses_answer import (
    ResponseEvents,
    response_head,
    whole_response,
)
from aegis_graph.server.endpoint.responses_request import responses_request
from aegis_graph.server.services import ServerServices


class ResponsesEndpoint:
    """Answers in OpenAI's newer form.

    Args:
        services: Of the app.
    """

    def __init__(self, services: ServerServices) -> None:
        self._services = services

    async def answer(self, request: Request) -> Response:
        """Serve one request."""
        try:
            body = await json_body(request)
            wanted = responses_request(body)
            question = RoutedQuestion(self._services, request, body, wanted.asked)
            unknown = question.unknown_model()
            if unknown is not None:
                return unknown
            if wanted.streams:
                return await self._stream(question, body)
            answer = RoutedAnswer(await question.answer())
        except AegisError as error:
            return refusal_of(error)
        head = self._head(answer.route_id, answer.model, body)
        return JSONResponse(whole_response(head, answer), headers=answer.headers)

    async def _stream(self, question: RoutedQuestion, body: Mapping[str, Any]) -> Response:
        first, rest = await question.pieces()
        if isinstance(first, ChunkEvent):
            route_id, model = first.route_id, first.model
            headers = route_headers(route_id, first.provider, model)
        else:
            whole = RoutedAnswer(first)
            route_id, model, headers = whole.route_id, whole.model, whole.headers
        events = ResponseEvents(self._head(route_id, model, body), route_id)
        return EventStream(_events(first, rest, events), headers)

    def _head(self, route_id: str, model: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return response_head(route_id, model, int(self._services.clock().timestamp()), body)


async def _events(
    first: Piece, rest: AsyncGenerator[Piece, None], events: ResponseEvents
) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield b"".join(events.begin())
        try:
            yield _of(first, events)
            async for piece in rest:
                yield _of(piece, events)
        except Exception as error:  # noqa: BLE001  the client is told, and the log has it
            yield b"".join(events.failed(error_event_body(error)["error"]))


def _of(piece: Piece, events: ResponseEvents) -> bytes:
    if isinstance(piece, ChunkEvent):
        return b"".join(events.of_chunk(piece.chunk))
    return b"".join(events.end(RoutedAnswer(piece)))
