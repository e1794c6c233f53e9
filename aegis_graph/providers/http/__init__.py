"""How kinds open their HTTP clients: one function for each family of clients, given the row.

All of them send by the same rules, which lie below the clients: no redirect is followed, a local
row uses no proxy, nothing is sent that the row does not name (``headers``), a connection has a
limit in time (``transports``) and a body one in bytes (``bodies``), and what servers make of the
streams' formats is put right (``event_streams``).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ProviderError
from aegis_graph.providers.http.bodies import (
    MAX_BODY_BYTES,
    MAX_STREAM_BYTES,
    STREAM_BYTES_PER_TOKEN,
)
from aegis_graph.providers.http.headers import RowHeaders
from aegis_graph.providers.probe import Probe
from aegis_graph.providers.transport_errors import transport_error

if TYPE_CHECKING:
    import httpx2

    from aegis_graph.providers.http.transports import HttpxTransport, RowRules

PROBE_TIMEOUT_S = 3.0


def httpx_transport(
    spec: ProviderSpec, api_key: str | None, *, most_bytes: int = MAX_BODY_BYTES
) -> HttpxTransport:
    """The transport of a row for clients that build their own ``httpx.AsyncClient``.

    Args:
        spec: The row.
        api_key: Its key; it is sent as a bearer token where the client does not send it.
        most_bytes: Most bytes of a whole answer.
    """
    from aegis_graph.providers.http.transports import (  # noqa: PLC0415  loads both httpx
        HttpxTransport,
    )

    return HttpxTransport(_rules(spec, api_key, most_bytes))


def httpx_client(
    spec: ProviderSpec, api_key: str | None, *, most_bytes: int = MAX_BODY_BYTES, **more: Any
) -> httpx.AsyncClient:
    """A client of a row for libraries that take an ``httpx.AsyncClient``.

    Args:
        spec: The row.
        api_key: Its key.
        most_bytes: Most bytes of a whole answer.
        more: Further arguments of the client, such as ``base_url``. It has no time limits of its
            own, because the attempt has one.
    """
    transport = httpx_transport(spec, api_key, most_bytes=most_bytes)
    return httpx.AsyncClient(transport=transport, **{"timeout": None, **more})


def openai_http_client(
    spec: ProviderSpec, api_key: str | None, *, most_bytes: int = MAX_BODY_BYTES
) -> httpx2.AsyncClient:
    """The HTTP client of OpenAI's own client for a row."""
    import httpx2  # noqa: PLC0415  loaded with the client

    from aegis_graph.providers.http.transports import (  # noqa: PLC0415  loads both httpx
        Httpx2Transport,
    )

    transport = Httpx2Transport(_rules(spec, api_key, most_bytes))
    return httpx2.AsyncClient(transport=transport, timeout=None)


def recorded_http_client(spec: ProviderSpec, api_key: str | None) -> httpx2.AsyncClient:
    """An HTTP client of OpenAI's own client that sends nothing: see ``recorded``."""
    import httpx2  # noqa: PLC0415  loaded with the client

    from aegis_graph.providers.http.recorded import RecordedTransport  # noqa: PLC0415  loads httpx2

    return httpx2.AsyncClient(transport=RecordedTransport())


def no_sync_client() -> httpx2.Client:
    """What OpenAI's integration takes for its synchronous half, so that it builds none."""
    import httpx2  # noqa: PLC0415  loaded with the client

    from aegis_graph.providers.http.transports import (  # noqa: PLC0415  loads both httpx
        NoSyncHttpx2Transport,
    )

    return httpx2.Client(transport=NoSyncHttpx2Transport())


def no_sync_transport() -> httpx.BaseTransport:
    """The same for Ollama's, which builds that half itself."""
    from aegis_graph.providers.http.transports import (  # noqa: PLC0415  loads both httpx
        NoSyncHttpxTransport,
    )

    return NoSyncHttpxTransport()


async def probe_models(
    spec: ProviderSpec, url: str, *, api_key: str | None = None
) -> tuple[Probe, object]:
    """Ask a provider for its list of models; free everywhere.

    Returns:
        Whether it is reachable, and the JSON it answered, if it did.
    """
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S), httpx_client(spec, api_key) as client:
            response = await client.get(url)
            if response.status_code != 200:
                return Probe(True, None, f"HTTP {response.status_code}"), None
            return Probe(True, None), response.json()
    except ProviderError as error:
        return Probe(False, None, str(error)), None
    except (
        TimeoutError,
        aiohttp.ClientError,
        httpx.HTTPError,
        httpx.InvalidURL,
        OSError,
        RecursionError,
        ValueError,
    ) as error:
        return Probe(False, None, str(transport_error(error))), None


def _rules(spec: ProviderSpec, api_key: str | None, most_bytes: int) -> RowRules:
    from aegis_graph.providers.http.transports import RowRules  # noqa: PLC0415  with the transport

    return RowRules(
        headers=RowHeaders(api_key, spec.base_url, spec.options),
        uses_proxy=spec.location == "cloud",
        most_bytes=most_bytes,
        most_stream_bytes=max(MAX_STREAM_BYTES, STREAM_BYTES_PER_TOKEN * spec.max_output_tokens),
    )
