"""A client's error means one of ours: by its status, its body, or the failure below it.

Clients spell status and body in several ways; the whole chain of causes is searched, because
wrappers keep the error that has them as their cause.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

from aiohttp.http_exceptions import HttpProcessingError

from aegis_graph.clock import utc_now
from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    ContextTooLongError,
    ModelAccessError,
    ModelLoadingError,
    ProviderError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
)
from aegis_graph.providers.error_body import ErrorBody, as_status, read_error_body
from aegis_graph.providers.error_codes import BY_STATUS, CODES, CodeTable
from aegis_graph.providers.error_phrases import PHRASES
from aegis_graph.providers.retry_advice import retry_advice
from aegis_graph.providers.transport_errors import cause_chain, own_error
from aegis_graph.providers.transport_errors import transport_error as transport_error
from aegis_graph.providers.unsupported_parameter import unsupported_parameter

_CODE_PATTERN = re.compile(r"[A-Za-z0-9_.:#/-]{1,64}")
"""What a code may look like that no table has. Anything else may be a text."""

_UNWORKED = (
    AuthenticationError,
    BadRequestError,
    ContextTooLongError,
    ModelAccessError,
    ModelLoadingError,
    QuotaError,
    RateLimitError,
)
"""What a provider finds before it begins to work."""

_UNWORKED_STATUSES = frozenset({*range(400, 500), 503, 529}) - {408, 409, 424, 499}
"""Statuses that say, inside an answer, that no work was done before."""

_OPEN = frozenset({400, 422})
"""Statuses that gateways send in place of a more precise one."""

_UNCLEAR = frozenset({402, 403, 404, 405, 410, 451})
"""Statuses that may be about the key or the model, or about this request alone."""


class _Meaning(NamedTuple):
    error_type: type[ProviderError]
    status: int | None
    """The answer's, or the one that its body names."""
    about_request: bool | None = False
    word: str | None = None
    """The code that decided."""


def client_error(error: Exception, *, codes: CodeTable = CODES) -> ProviderError:
    """The error of ours that any client's error means.

    Args:
        error: What the client raised.
        codes: What the provider's codes mean.
    """
    own = own_error(error)
    if own is not None:
        return own
    if isinstance(error, ImportError):
        # Nothing was sent, and asking again in a moment does not install it.
        return ModelAccessError(f"cannot be loaded: {str(error).partition(chr(10))[0]}")
    links = list(cause_chain(error))
    if any(isinstance(link, HttpProcessingError) for link in links):
        # What aiohttp could not read it gives a status of its own: 400.
        return transport_error(error)
    for place, link in enumerate(links):
        status = status_of(link)
        if status is None and not _is_error_object(link):
            continue
        # A wrapper has less than what it wraps.
        inside = links[place:]
        bodies = (found for of in (_body_of, _parts_of) for found in map(of, inside) if found)
        headers = (found for found in map(_headers_of, inside) if found)
        return error_from_body(
            next(bodies, {}), status=status, headers=next(headers, {}), codes=codes
        )
    return transport_error(error)


def error_from_body(
    body: object,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    begun: bool = False,
    codes: CodeTable = CODES,
) -> ProviderError:
    """The error that an error object of OpenAI's or a similar dialect means.

    Args:
        body: The parsed JSON, the object under its ``error``, or a text.
        status: The HTTP status; ``None`` for an error inside an answer of status 200, whole or
            streamed. Its body is then read like a status, and what no code explains may have cost.
        headers: Of the answer.
        begun: Whether a part of the answer came before.
        codes: What the provider's codes mean.
    """
    found = read_error_body(body)
    meaning = _meaning(found, status, codes, by_text=status is not None or not begun)
    unworked = status is not None or (
        not begun
        and (issubclass(meaning.error_type, _UNWORKED) or meaning.status in _UNWORKED_STATUSES)
    )
    advice = retry_advice(
        meaning.status or 0,
        {str(name).lower(): str(value) for name, value in islice((headers or {}).items(), 200)},
        now=utc_now(),
        objects=found.objects,
        text=found.text,
    )
    code = _shown_code(found, meaning, codes)
    again = advice.should_retry
    if again is None and status is None and meaning.error_type.retryable:
        # There is no status to say that the work was not done.
        again = unworked
    return meaning.error_type(
        _reason(status, meaning, code),
        status=status,
        code=code,
        param=unsupported_parameter(found),
        retry_after_s=advice.after_s,
        should_retry=again,
        outcome_unknown=not unworked,
        about_request=meaning.about_request,
    )


def _meaning(found: ErrorBody, status: int | None, codes: CodeTable, *, by_text: bool) -> _Meaning:
    senses = [(word, _sense(word, codes)) for word in found.words]
    spelled = [sense for _, sense in senses if isinstance(sense, int)]
    if found.status is not None:
        spelled.insert(0, found.status)
    stated = status if status is not None else next(iter(spelled), None)
    for word, sense in senses:
        if isinstance(sense, type):
            return _Meaning(sense, stated, word=word)
    if found.moderated and stated in {400, 403}:
        return _Meaning(ContentRefusedError, stated)
    if stated == 413 and 429 in spelled:
        # One request is over the limit of a minute by itself: waiting does not help.
        return _Meaning(ContextTooLongError, stated)
    if stated in _OPEN:
        precise = (one for one in spelled if 400 < one < 500 and one not in _OPEN)
        stated = next(precise, stated)
    if by_text:
        for phrase in PHRASES:
            if (stated is None or stated in phrase.statuses) and phrase.pattern.search(found.text):
                return _Meaning(phrase.error_type, stated, phrase.about_request)
    if stated is None:
        return _Meaning(ProviderUnavailableError, None)
    return _Meaning(_type_of_status(stated), stated, None if stated in _UNCLEAR else False)


def _reason(status: int | None, meaning: _Meaning, code: str | None) -> str:
    if status is not None:
        where = f"HTTP {status}"
    elif meaning.status is not None:
        where = f"error {meaning.status} in the answer"
    else:
        where = "an error in the answer"
    return f"{where} ({code})" if code else where


def _type_of_status(status: int) -> type[ProviderError]:
    refused = BadRequestError if 400 <= status < 500 else ProviderUnavailableError
    return BY_STATUS.get(status, refused)


def _sense(word: str, codes: CodeTable) -> type[ProviderError] | int | None:
    whole = word.strip().casefold()
    # The last part of "InternalError.Algo.InvalidParameter" says the most.
    parts = (whole, *reversed(re.split(r"[.#:]", whole[:200])))
    return next((codes[part] for part in parts if part in codes), None)


def _shown_code(found: ErrorBody, meaning: _Meaning, codes: CodeTable) -> str | None:
    words = (meaning.word, *found.words) if meaning.word else found.words
    fit = (one for one in words if one.casefold() in codes or _CODE_PATTERN.fullmatch(one))
    return next(fit, None)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error that was answered with one that is no success."""
    response = getattr(error, "response", None)
    for owner in (error, response):
        for name in ("status_code", "status", "code", "http_status"):
            value = getattr(owner, name, None)
            # A code that is a text stands in the body as well.
            status = None if isinstance(value, str) else as_status(value)
            if status is not None:
                return status
    # botocore answers with a dictionary.
    return as_status(_part(_part(response, "ResponseMetadata"), "HTTPStatusCode"))


def _body_of(error: BaseException) -> object:
    """What a client kept of the body: parsed, or as text."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        return response
    if isinstance(error, ValueError) and error.args and isinstance(error.args[0], Mapping):
        # langchain-openai raises the error object of a whole answer like this.
        return error.args[0]
    for name in ("body", "details", "error"):
        value = getattr(error, name, None)
        if isinstance(value, Mapping | list | str) and value:
            return value
    if not isinstance(getattr(response, "is_closed", None), bool):
        # Of another client than httpx it may have to be read from the connection.
        return None
    try:
        return getattr(response, "text", None)
    except (RuntimeError, UnicodeError):
        # httpx does not show what was not read.
        return None


def _parts_of(error: BaseException) -> object:
    """The code and the type alone, where a client keeps no body."""
    # Of the object itself: aiohttp warns of a property of that name.
    own = vars(error)
    parts = {"code": own.get("code"), "type": own.get("error_type")}
    return {name: value for name, value in parts.items() if isinstance(value, str)}


def _is_error_object(error: BaseException) -> bool:
    """Whether an error without a status brings the error object of an answer of status 200."""
    body, response = _body_of(error) or _parts_of(error), getattr(error, "response", None)
    if response is not None and not isinstance(response, Mapping):
        # Anthropic's, in a stream. A client that could not read an answer brings the answer.
        return bool(_part(body, "error"))
    if isinstance(body, str):
        # Of a client that knows bodies or statuses: OpenAI's and Ollama's may be a text alone.
        return hasattr(error, "body") or hasattr(error, "status_code")
    return bool(body)


def _headers_of(error: BaseException) -> Mapping[str, str]:
    """The headers of the answer, where the client passes them on."""
    response = getattr(error, "response", None)
    for owner in (error, response):
        headers = getattr(owner, "headers", None)
        if isinstance(headers, Mapping) and headers:
            return headers
    headers = _part(_part(response, "ResponseMetadata"), "HTTPHeaders")
    if isinstance(headers, Mapping):
        return headers
    given = getattr(error, "retry_after", None)
    return {"retry-after": given} if isinstance(given, str) else {}


def _part(whole: object, name: str) -> Any:
    return whole.get(name) if isinstance(whole, Mapping) else None
