"""Asks the router what a request of HTTP asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse

from aegis_graph.chat.chunks import RouterResult
from aegis_graph.chat.streaming import stream_events
from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.selection import read_selections
from aegis_graph.routing.candidates.choosing import ProviderNames
from aegis_graph.routing.observer import (
    AttemptDiscarded,
    ChunkEvent,
    RunObserver,
    StreamEvent,
    with_observer,
)
from aegis_graph.server.endpoint.choices import THREAD_ID, request_choices
from aegis_graph.server.endpoint.connection import while_connected
from aegis_graph.server.refusals import refusal
from aegis_graph.server.services import ServerServices

Piece = ChunkEvent | RouterResult
"""A part of an answer, or at the end the router's output."""


class RoutedQuestion:
    """One question of a client.

    Args:
        services: Of the app.
        request: Of the client.
        body: Its body.
        asked: The router's request that the body is.

    Raises:
        InvalidRequestError: A choice is unknown or wrong.
    """

    def __init__(
        self,
        services: ServerServices,
        request: Request,
        body: Mapping[str, Any],
        asked: Mapping[str, Any],
    ) -> None:
        choices = request_choices(request, body)
        self._thread_id = choices.pop(THREAD_ID, None)
        self._services = services
        self._receive = request.receive
        self._asked = {**asked, **choices}

    def unknown_model(self) -> JSONResponse | None:
        """The refusal of a name that no provider has."""
        config = self._services.config
        names = ProviderNames(config.providers, config.aliases)
        try:
            names.chosen(read_selections(self._asked))
        except InvalidRequestError as error:
            param = str(error).partition(":")[0]
            return refusal(404, str(error), code="model_not_found", param=param)
        return None

    async def answer(self) -> RouterResult:
        """The whole answer.

        Raises:
            ClientDisconnect: The client has gone; the attempt was cancelled.
            AegisError: What the router raises.
        """
        return await while_connected(self._receive, self._ask(self._observer()))

    async def pieces(self) -> tuple[Piece, AsyncGenerator[Piece, None]]:
        """The first piece of an answer, and what follows: until it there may be a refusal.

        Raises:
            ClientDisconnect: The client has gone; the attempt was cancelled.
            AegisError: What the router raises.
        """
        if "response_schema" in self._asked["options"]:
            # Nothing of it is worth showing before it is known to fit.
            return await self.answer(), _nothing()
        events = _pieces(stream_events(self._ask, self._observer(ends_on_interrupt=True)))
        try:
            return await while_connected(self._receive, anext(events)), events
        except BaseException:
            await events.aclose()
            raise

    def _observer(self, *, ends_on_interrupt: bool = False) -> RunObserver:
        return RunObserver(ends_on_interrupt=ends_on_interrupt, thread_id=self._thread_id)

    async def _ask(self, observer: RunObserver) -> RouterResult:
        result = await self._services.router.ainvoke(self._asked, with_observer(observer))
        return cast("RouterResult", result)


async def _pieces(
    events: AsyncGenerator[StreamEvent | RouterResult, None],
) -> AsyncGenerator[Piece, None]:
    async with aclosing(events):
        async for event in events:
            # What follows an attempt that broke off is the error that says why.
            if not isinstance(event, AttemptDiscarded):
                yield event


async def _nothing() -> AsyncGenerator[Piece, None]:
    nothing: tuple[Piece, ...] = ()
    for piece in nothing:
        yield piece
