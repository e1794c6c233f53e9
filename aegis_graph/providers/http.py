"""The HTTP transport under the clients.

httpx's own pool scans every connection for every request and collapses above a hundred calls in
flight; the same clients over aiohttp do not.
"""

from __future__ import annotations

import aiohttp
import httpx

from aegis_graph.providers.base import Probe
from aegis_graph.providers.client_errors import transport_error

MAX_CONNECTIONS = 1000
KEEPALIVE_S = 4.0
"""Shorter than the 5 s after which common servers close idle connections, in seconds."""

CONNECTION_LIMITS = httpx.Limits(
    max_connections=MAX_CONNECTIONS,
    max_keepalive_connections=MAX_CONNECTIONS,
    keepalive_expiry=KEEPALIVE_S,
)

PROBE_TIMEOUT_S = 3.0


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
            return Probe(True, None), await response.json(content_type=None)
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return Probe(False, None, str(transport_error(error))), None
