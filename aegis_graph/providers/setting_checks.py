"""What a row's free settings may not say: secrets, and what the router itself sends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator

_SECRET = re.compile(r"(key|secret|password|token|authorization|auth|credentials?|cookie)$", re.I)
_NO_SECRETS = frozenset({"prompt_cache_key"})
"""Names that look like a secret's, and mean something else."""

_SECRET_VALUE = re.compile(r"\s*(bearer|basic)\s", re.I)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

_OF_THE_CLIENT = frozenset({"accept", "connection", "content-length", "content-type", "host"})
"""Headers on which the protocol itself depends."""

_OF_THE_ROUTER = frozenset(
    {"input", "max_completion_tokens", "max_tokens", "messages", "model", "stream"}
)
_SEVERAL_ANSWERS = frozenset({"best_of", "n", "num_return_sequences"})


def refuse_secrets(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Refuse names and values that look like a secret's, at any depth.

    Raises:
        ValueError: There is one. A configuration is written into files, dumps and traces.
    """
    for name, value in _all_settings(settings):
        secret = _SECRET.search(name) and name not in _NO_SECRETS
        if secret or (isinstance(value, str) and _SECRET_VALUE.match(value)):
            raise ValueError(f"{name}: no secrets here; name a variable in api_key_env")
    return settings


def _all_settings(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name), inner
            yield from _all_settings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _all_settings(inner)


def _check_body(body: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in body:
        if name in _OF_THE_ROUTER:
            raise ValueError(f"{name}: the router sends it")
        if name in _SEVERAL_ANSWERS:
            raise ValueError(f"{name}: a reservation is for one answer")
    return refuse_secrets(body)


def _check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r}: no name of a header")
        if name.lower() in _OF_THE_CLIENT:
            raise ValueError(f"{name}: the client sends it")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"{name}: a header's value is printable ASCII")
    refuse_secrets(headers)
    return headers


ExtraBody = Annotated[Mapping[str, Any], AfterValidator(_check_body)]
"""Further fields of a request's body."""

ExtraHeaders = Annotated[Mapping[str, str], AfterValidator(_check_headers)]
"""Further headers of a request."""
