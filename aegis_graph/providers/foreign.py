"""What an error of a client that this package does not know means: by its status and its code.

Clients spell the two in several ways; the whole chain of causes is searched, because wrappers keep
the error that has them as their cause.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError

from aegis_graph.errors import ModelAccessError, ProviderError
from aegis_graph.providers.statuses import OPENAI_CODES, error_for_status, seconds_to_wait
from aegis_graph.providers.transport import chain_of, transport_error

_SPEAKABLE_CODE = re.compile(r"[A-Za-z0-9_. -]{1,80}")


def foreign_error(error: Exception) -> ProviderError:
    """The error of ours that any client's error means."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, ImportError):
        # Nothing was sent, and asking again in a moment does not install it.
        return ModelAccessError(f"cannot be loaded: {str(error).partition(chr(10))[0]}")
    for link in chain_of(error):
        status = status_of(link)
        if status is not None:
            return _declared(link, status)
    return transport_error(error)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error that was answered with one."""
    if isinstance(error, HttpProcessingError):
        # The transport's own fault, whose code was never a status of the provider.
        return None
    response = getattr(error, "response", None)
    for owner in (error, response):
        for name in ("status_code", "status", "code", "http_status"):
            status = _error_status(getattr(owner, name, None))
            if status is not None:
                return status
    if isinstance(response, Mapping):
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
    return next((code for code in texts if _SPEAKABLE_CODE.fullmatch(code)), None)


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
    return int(value) if 400 <= value <= 599 else None


def _declared(error: BaseException, status: int) -> ProviderError:
    code, wait = code_of(error), retry_after_of(error)
    kind = OPENAI_CODES.get(code or "")
    if kind is None:
        return error_for_status(status, code=code, retry_after=wait)
    return kind(
        f"HTTP {status} ({code})", status=status, code=code, retry_after_s=seconds_to_wait(wait)
    )
