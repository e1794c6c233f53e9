"""What a failure below a provider's protocol means: nothing was sent, too late, or cut."""

from __future__ import annotations

import json
from collections.abc import Iterator

import aiohttp
import httpx
import pydantic

from aegis_graph.errors import (
    MalformedAnswerError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)

_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    httpx.ConnectError,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    ConnectionRefusedError,
)
"""The request did not leave this machine, so it can have cost nothing."""

_TIMED_OUT = (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout, aiohttp.ServerTimeoutError)

_DROPPED = (aiohttp.ClientError, httpx.TransportError, ConnectionError)

_MALFORMED = (
    json.JSONDecodeError,
    UnicodeDecodeError,
    pydantic.ValidationError,
    httpx.DecodingError,
)


def transport_error(error: BaseException) -> ProviderError:
    """What a failure below the provider's protocol means.

    Clients wrap the transport's errors, some of them by the wrong class (a dropped connection
    becomes a connect timeout), so the whole chain of causes decides, innermost classes first.
    """
    own = own_error(error)
    if own is not None:
        return own
    chain = list(cause_chain(error))
    name = type(error).__name__
    if any(isinstance(link, _NEVER_SENT) for link in chain):
        return ProviderUnavailableError("cannot connect")
    if any(isinstance(link, _MALFORMED) for link in chain):
        return MalformedAnswerError("the answer breaks the protocol", outcome_unknown=True)
    if any(isinstance(link, _TIMED_OUT) for link in chain):
        return ProviderTimeoutError("no answer in time", outcome_unknown=True)
    if any(isinstance(link, _DROPPED) for link in chain):
        return ProviderUnavailableError("the connection was dropped", outcome_unknown=True)
    # A client that trips over what it received raises whatever its code runs into.
    return MalformedAnswerError(f"the client failed with {name}", outcome_unknown=True)


def own_error(error: BaseException) -> ProviderError | None:
    """The error that this package's transport raised below a client that wraps what it catches."""
    return next((link for link in cause_chain(error) if isinstance(link, ProviderError)), None)


def cause_chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
