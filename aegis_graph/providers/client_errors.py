"""A client's error means one of ours: by its status, its code, or the failure below it.

Clients spell status and code in several ways; the whole chain of causes is searched, because
wrappers keep the error that has them as their cause.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
import httpx
import pydantic
from aiohttp.http_exceptions import HttpProcessingError

from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    ContextTooLongError,
    MalformedAnswerError,
    ModelAccessError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
)

CODE_PATTERN = re.compile(r"[A-Za-z0-9_. -]{1,80}")
"""What a code may look like. Anything longer may repeat the prompt or the key."""


def client_error(error: Exception) -> ProviderError:
    """The error of ours that any client's error means."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, ImportError):
        # Nothing was sent, and asking again in a moment does not install it.
        return ModelAccessError(f"cannot be loaded: {str(error).partition(chr(10))[0]}")
    for link in cause_chain(error):
        status = status_of(link)
        if status is not None:
            return error_for_status(
                status,
                code=code_of(link),
                retry_after=retry_after_of(link),
                by_code=OPENAI_CODES,
            )
    return transport_error(error)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error that was answered with one."""
    if isinstance(error, HttpProcessingError):
        # The transport's own fault: its code was never a status of the provider.
        return None
    response = getattr(error, "response", None)
    for owner in (error, response):
        for name in ("status_code", "status", "code", "http_status"):
            status = _error_status(getattr(owner, name, None))
            if status is not None:
                return status
    if isinstance(response, Mapping):
        # botocore answers with a dictionary.
        metadata = response.get("ResponseMetadata")
        if isinstance(metadata, Mapping):
            return _error_status(metadata.get("HTTPStatusCode"))
    return None


def code_of(error: BaseException) -> str | None:
    """The provider's own code, where it is one and not a text."""
    body = getattr(error, "body", None)
    inner = body.get("error") if isinstance(body, Mapping) else None
    found: list[Any] = [getattr(error, "code", None)]
    found += [part.get("code") for part in (inner, body) if isinstance(part, Mapping)]
    texts = (code for code in found if isinstance(code, str))
    return next((code for code in texts if CODE_PATTERN.fullmatch(code)), None)


def retry_after_of(error: BaseException) -> str | None:
    """The ``Retry-After`` header of the answer, where the client passes it on."""
    given = getattr(error, "retry_after", None)
    if isinstance(given, str):
        return given
    for owner in (error, getattr(error, "response", None)):
        headers = getattr(owner, "headers", None)
        if isinstance(headers, Mapping) and headers.get("retry-after"):
            return str(headers["retry-after"])
    return None


def _error_status(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    # Of an ``IntEnum`` too, such as ``http.HTTPStatus``.
    return int(value) if 400 <= value <= 599 else None


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


def cause_chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


OPENAI_CODES: Mapping[str, type[ProviderError]] = {
    "billing_hard_limit_reached": QuotaError,
    "content_filter": ContentRefusedError,
    "content_policy_violation": ContentRefusedError,
    "context_length_exceeded": ContextTooLongError,
    "insufficient_quota": QuotaError,
    "invalid_prompt": BadRequestError,
    "model_not_found": ModelAccessError,
}
"""Source: https://platform.openai.com/docs/guides/error-codes; most compatible servers use them."""

_BY_STATUS: Mapping[int, type[ProviderError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: QuotaError,
    403: ModelAccessError,
    404: ModelAccessError,
    408: ProviderUnavailableError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}


def error_for_status(
    status: int,
    *,
    code: str | None = None,
    retry_after: str | None = None,
    by_code: Mapping[str, type[ProviderError]] | None = None,
) -> ProviderError:
    """The error that an answer with an HTTP status means.

    Args:
        status: 400 or above.
        code: The provider's own code, if it gave one.
        retry_after: The header of that name.
        by_code: What the provider's codes mean; a code counts for more than the status.
    """
    error_type = (by_code or {}).get(code or "") or _BY_STATUS.get(status)
    if error_type is None:
        error_type = ProviderUnavailableError if status >= 500 else MalformedAnswerError
    text = f"HTTP {status}" + (f" ({code})" if code else "")
    return error_type(text, status=status, code=code, retry_after_s=seconds_to_wait(retry_after))


def seconds_to_wait(header: str | None) -> float | None:
    """A ``Retry-After`` header in seconds; ``None`` where it is absent or not a number.

    The header's date form is not read: no provider of this package sends it.
    """
    try:
        seconds = float(header) if header else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None
