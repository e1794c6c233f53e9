"""What every call of a row keeps to, below the clients: where it goes, what it carries, its bounds.

A transport belongs to one row and one event loop. It stands on aiohttp: httpx's own pool scans
every connection for every request and collapses above a hundred calls in flight.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar

import aiohttp
import httpx
import httpx2
from aiohttp.abc import ResolveResult
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.httpx2.transport import AiohttpTransport as AiohttpTransport2
from typing_extensions import override

from aegis_graph.config.addresses import is_loopback
from aegis_graph.errors import MalformedAnswerError, ProviderUnavailableError
from aegis_graph.providers.http.bodies import Body
from aegis_graph.providers.http.headers import RowHeaders
from aegis_graph.providers.http.heard_headers import hear
from aegis_graph.providers.http.proxies import environment_proxy

MAX_CONNECTIONS = 1000
KEEPALIVE_S = 4.0
"""Shorter than the 5 s after which common servers close idle connections, in seconds."""
CONNECT_TIMEOUT_S = 5.0
"""For the look-up of a name, and for a connection with its TLS: a host in the same network answers
within milliseconds, one on another continent within one. Nothing is sent before."""
LOOPBACK_CONNECT_TIMEOUT_S = 15.0
"""The same for this machine, which accepts or refuses at once: what takes longer is mostly its own
load, and says nothing of the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """What the calls of one row keep to."""

    headers: RowHeaders
    uses_proxy: bool
    """Whether calls go through the proxy that the environment names, if any."""
    most_bytes: int
    most_stream_bytes: int


@lru_cache(maxsize=64)
def _connect_timeout_s(netloc: bytes) -> float:
    here = is_loopback(f"http://{netloc.decode('ascii')}")
    return LOOPBACK_CONNECT_TIMEOUT_S if here else CONNECT_TIMEOUT_S


class _RowTransport:
    """The rules around the transport of either httpx, which share no class."""

    family: ClassVar[Any]
    inner: ClassVar[type[Any]]
    stream: ClassVar[type[Any]]

    def __init__(self, rules: RowRules) -> None:
        self._rules = rules
        self._transports: dict[str, Any] = {}

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request by the rules.

        Raises:
            ProviderUnavailableError: The answer leads to another address.
            MalformedAnswerError: The answer is too large, packed in a way that was not offered, or
                no HTTP.
        """
        self._rules.headers.settle(request.headers)
        connect_s = _connect_timeout_s(request.url.netloc)
        timeout = {**request.extensions.get("timeout", {}), "connect": connect_s}
        request.extensions = {**request.extensions, "timeout": timeout}
        try:
            response = await self._transport_for(request.url).handle_async_request(request)
        except aiohttp.ClientResponseError as error:
            # Its status is aiohttp's own word for what breaks HTTP, and none of the provider's.
            raise MalformedAnswerError(
                "the head of the answer breaks HTTP, or is too long", outcome_unknown=True
            ) from error
        try:
            hear(response.headers)
            response.stream = self.stream(response.stream, self._body_of(response))
        except BaseException:
            await response.aclose()
            raise
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        for transport in self._transports.values():
            await transport.aclose()

    def _body_of(self, response: Any) -> Body:
        status = response.status_code
        if 300 <= status < 400:
            # Without the status: to ask again would lead there again.
            raise ProviderUnavailableError(f"HTTP {status}: a redirect, which is not followed")
        rules = self._rules
        return Body(
            status,
            response.headers,
            most_bytes=rules.most_bytes,
            most_stream_bytes=rules.most_stream_bytes,
        )

    def _transport_for(self, url: Any) -> Any:
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if origin not in self._transports:
            proxy = environment_proxy(origin) if self._rules.uses_proxy else None
            tls = self._tls if url.scheme == "https" or proxy else _without_authorities()
            self._transports[origin] = self.inner(
                verify=tls,
                proxy=self.family.Proxy(proxy) if proxy else None,
                client=partial(_session, tls),
            )
        return self._transports[origin]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context: ssl.SSLContext = self.family.create_ssl_context()
        return context


def _without_authorities() -> ssl.SSLContext:
    """For an address without TLS: reading every authority takes 25 ms and up to 2 MB."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=MAX_CONNECTIONS,
        keepalive_timeout=KEEPALIVE_S,
        ssl=tls,
        resolver=_BoundedResolver(),
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


class _BoundedResolver(aiohttp.ThreadedResolver):
    """Looks names up within the limit for connections, which aiohttp counts from later on."""

    @override
    async def resolve(self, *args: Any, **kwargs: Any) -> list[ResolveResult]:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await super().resolve(*args, **kwargs)


class _Stream:
    def __init__(self, raw: Any, body: Body) -> None:
        self._raw = raw
        self._body = body

    def __aiter__(self) -> Any:
        return self._body.read(self._raw)

    async def aclose(self) -> None:
        await self._raw.aclose()


class _HttpxStream(_Stream, httpx.AsyncByteStream):
    """A body for clients over httpx."""


class _Httpx2Stream(_Stream, httpx2.AsyncByteStream):
    """A body for clients over httpx2."""


class HttpxTransport(_RowTransport, httpx.AsyncBaseTransport):
    """For Ollama's, Anthropic's and DashScope's clients."""

    family: ClassVar[Any] = httpx
    inner = AiohttpTransport
    stream = _HttpxStream


class Httpx2Transport(_RowTransport, httpx2.AsyncBaseTransport):
    """For OpenAI's client, which stands on a later httpx than the others."""

    family: ClassVar[Any] = httpx2
    inner = AiohttpTransport2
    stream = _Httpx2Stream


class _NoSyncTransport:
    """For the synchronous client that comes with an asynchronous one: the router never uses it."""

    family: ClassVar[Any]

    def handle_request(self, request: Any) -> Any:
        """Refuse.

        Raises:
            UnsupportedProtocol: Always.
        """
        raise self.family.UnsupportedProtocol("a provider of the router is asked asynchronously")


class NoSyncHttpxTransport(_NoSyncTransport, httpx.BaseTransport):
    """For Ollama's client."""

    family: ClassVar[Any] = httpx


class NoSyncHttpx2Transport(_NoSyncTransport, httpx2.BaseTransport):
    """For OpenAI's client."""

    family: ClassVar[Any] = httpx2
