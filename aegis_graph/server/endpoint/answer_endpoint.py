"""What every endpoint that answers with a model does with a request, whatever form it speaks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from aegis_graph.errors import AegisError
from aegis_graph.routing.observer import ChunkEvent
from aegis_graph.server.endpoint.answers import RoutedAnswer, route_headers
from aegis_graph.server.endpoint.asking import Piece, RoutedQuestion
from aegis_graph.server.endpoint.chat_request import ChatRequest
from aegis_graph.server.endpoint.connection import EventStream
from aegis_graph.server.endpoint.errors import error_event_body, refusal_of
from aegis_graph.server.endpoint.json_body import json_body
from aegis_graph.server.services import ServerServices


class AnswerHead(NamedTuple):
    """What is known of an answer when it begins."""

    route_id: str
    model: str
    created: int
    """Seconds since 1970."""
    body: Mapping[str, Any]
    """The request's."""


class AnswerEvents(Protocol):
    """Turns the pieces of one answer into a form's events; each method gives bytes, or none."""

    def begin(self) -> bytes:
        """Before the first piece."""
        ...

    def of(self, piece: Piece) -> bytes:
        """Of a piece; the last one is the router's output."""
        ...

    def failed(self, error: Mapping[str, Any]) -> bytes:
        """In place of the rest: a body as of a refusal."""
        ...

    def end(self) -> bytes:
        """After the last piece."""
        ...


class AnswerEndpoint(ABC):
    """Answers a request in one of OpenAI's forms.

    Args:
        services: Of the app.
    """

    def __init__(self, services: ServerServices) -> None:
        self._services = services

    @abstractmethod
    def read(self, body: Mapping[str, Any]) -> ChatRequest:
        """Read a body.

        Raises:
            InvalidRequestError: One line that names the parameter.
        """

    @abstractmethod
    def whole(self, answer: RoutedAnswer, head: AnswerHead) -> dict[str, Any]:
        """A whole answer in this form."""

    @abstractmethod
    def events(self, head: AnswerHead, wanted: ChatRequest) -> AnswerEvents:
        """What writes an answer in pieces."""

    async def answer(self, request: Request) -> Response:
        """Serve one request."""
        try:
            body = await json_body(request)
            wanted = self.read(body)
            question = RoutedQuestion(self._services, request, body, wanted.asked)
            unknown = question.unknown_model()
            if unknown is not None:
                return unknown
            if wanted.streams:
                return await self._stream(question, wanted, body)
            answer = RoutedAnswer(await question.answer())
        except AegisError as error:
            return refusal_of(error)
        head = self._head(answer.route_id, answer.model, body)
        return JSONResponse(self.whole(answer, head), headers=answer.headers)

    async def _stream(
        self, question: RoutedQuestion, wanted: ChatRequest, body: Mapping[str, Any]
    ) -> Response:
        first, rest = await question.pieces()
        if isinstance(first, ChunkEvent):
            route_id, model = first.route_id, first.model
            headers = route_headers(route_id, first.provider, model)
        else:
            whole = RoutedAnswer(first)
            route_id, model, headers = whole.route_id, whole.model, whole.headers
        events = self.events(self._head(route_id, model, body), wanted)
        return EventStream(_written(first, rest, events), headers)

    def _head(self, route_id: str, model: str, body: Mapping[str, Any]) -> AnswerHead:
        return AnswerHead(route_id, model, int(self._services.clock().timestamp()), body)


async def _written(
    first: Piece, rest: AsyncGenerator[Piece, None], events: AnswerEvents
) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        if begin := events.begin():
            yield begin
        try:
            yield events.of(first)
            async for piece in rest:
                yield events.of(piece)
        except Exception as error:  # noqa: BLE001  the client is told, and the log has it
            yield events.failed(error_event_body(error))
        else:
            if end := events.end():
                yield end
