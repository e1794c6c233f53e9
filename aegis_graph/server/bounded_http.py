"""uvicorn's HTTP, with headers that have to be there in time."""

from __future__ import annotations

import asyncio

import h11
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_S = 10.0
"""In which the headers of a request have to be there, in seconds; uvicorn waits without an end."""


class BoundedHttp(H11Protocol):
    """A connection that is closed where a request begins and does not go on."""

    headers_s = HEADERS_S
    _due: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        # Between two requests uvicorn has a limit of its own, until the first byte comes.
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(self.headers_s, self.transport.close)

    def _stop(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
