"""The HTTP transport under the clients.

httpx's own pool scans every connection for every request and collapses above a hundred calls in
flight; the same clients over aiohttp do not.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from typing_extensions import override

from aegis_graph.providers.base import Probe
from aegis_graph.providers.client_errors import transport_error

if TYPE_CHECKING:
    from httpx_aiohttp import AiohttpTransport

MAX_CONNECTIONS = 1000
KEEPALIVE_S = 4.0
"""Shorter than the 5 s after which common servers close idle connections, in seconds."""

CONNECTION_LIMITS = httpx.Limits(
    max_connections=MAX_CONNECTIONS,
    max_keepalive_connections=MAX_CONNECTIONS,
    keepalive_expiry=KEEPALIVE_S,
)

PROBE_TIMEOUT_S = 3.0


class BearerAuth(httpx.Auth):
    """Sends the key. Headers would show it in the model's ``repr``, which tracers are given."""

    def __init__(self, key: str) -> None:
        self._key = key

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Put the key on a request."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request


def aiohttp_transport() -> AiohttpTransport:
    """A transport for clients over httpx, for the running event loop alone."""
    from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415  loaded with the client

    return AiohttpTransport(limits=CONNECTION_LIMITS)


def openai_http_client() -> Any:
    """The HTTP client of OpenAI's own client, for the running event loop alone."""
    # OpenAI's client stands on a later httpx than the others, with limits of its own class.
    import httpx2  # noqa: PLC0415  loaded with the client
    from openai import DefaultAioHttpClient  # noqa: PLC0415  loaded with the client

    limits = httpx2.Limits(
        max_connections=MAX_CONNECTIONS,
        max_keepalive_connections=MAX_CONNECTIONS,
        keepalive_expiry=KEEPALIVE_S,
    )
    return DefaultAioHttpClient(limits=limits)


async def probe_models(url: str, *, api_key: str | None = None) -> tuple[Probe, object]:
    """Ask a provider for its list of models; free everywhere.

    Returns:
        Whether it is reachable, and the JSON it answered, if it did.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(url, headers=headers) as response,
        ):
            if response.status != 200:
                return Probe(True, None, f"HTTP {response.status}"), None
            # Without ``None`` aiohttp refuses JSON that is declared as something else.
            return Probe(True, None), await response.json(content_type=None)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return Probe(False, None, str(transport_error(error))), None
