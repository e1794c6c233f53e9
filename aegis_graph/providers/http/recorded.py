"""Answers that are there already: a client reads one as if a server had sent it just now."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

import httpx2
from typing_extensions import override

from aegis_graph.errors import ProviderError


class RecordedResponse(NamedTuple):
    """What a server has answered to a call."""

    status: int
    body: bytes
    """JSON."""


RECORDED: ContextVar[RecordedResponse | ProviderError] = ContextVar("recorded")
"""What the call of the running task is answered with; an error in place of an answer is raised."""


class RecordedTransport(httpx2.AsyncBaseTransport):
    """Answers each request with what was recorded for its task; nothing is sent."""

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The recorded response.

        Raises:
            ProviderError: That was recorded in its place.
        """
        found = RECORDED.get()
        if isinstance(found, ProviderError):
            raise found
        headers = {"content-type": "application/json"}
        return httpx2.Response(found.status, headers=headers, content=found.body, request=request)
