"""Work for a client as long as it is there, and answers that come piece by piece."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

T = TypeVar("T")

logger = logging.getLogger(__name__)

SEND_TIMEOUT_S = 60.0
"""How long a client may take to take a piece, in seconds: it holds up the provider's answer."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do work for a client, and cancel it when the client goes away.

    Args:
        receive: The connection's; the request's body was read from it.
        work: Is over when this returns, whatever ends it.

    Raises:
        ClientDisconnect: The client has gone.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        gone.result()
        raise ClientDisconnect
    finally:
        for one in (task, gone):
            one.cancel()
        # A call that was cancelled settles what it cost before it ends.
        await asyncio.wait([task, gone])


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events, for as long as the client listens.

    Args:
        events: Each as bytes. It is closed when the client goes away.
        headers: More headers.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        self.status_code = 200
        self.background = None
        self._events = events
        self.init_headers({"x-accel-buffering": "no", **headers})

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # A client that has gone cancelled the attempt, and there is no one to say more to.
            with suppress(ClientDisconnect):
                await while_connected(receive, self._send(send))
        except TimeoutError:
            # The server closes a connection whose answer is not complete.
            logger.warning("a client took no piece of its answer for %.0f s", SEND_TIMEOUT_S)

    async def _send(self, send: Send) -> None:
        async with aclosing(self._events) as events:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            async for piece in events:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
