"""Which headers a call carries: what HTTP needs, and what the row names.

Client libraries add keys, organizations and whole headers that they find in the environment. A
header passes here by its name or because it carries the row's own key, so that whatever a library
adds next does not.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

_STANDARD = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-language",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "te",
        "transfer-encoding",
        "user-agent",
        "x-request-id",
    }
)
_OF_CLIENTS = ("anthropic-", "x-dashscope-", "x-stainless-")
"""How the headers begin by which clients speak of themselves and of the protocol."""

WORKSPACE = "x-dashscope-workspace"
_NAMED_BY_ARGUMENTS: Mapping[str, str] = {
    "openai_organization": "openai-organization",
    "organization": "openai-organization",
    "project": "openai-project",
    "workspace": WORKSPACE,
}
"""Arguments of clients that become headers."""

ACCEPT_ENCODING = "gzip, deflate"
"""The encodings that ``bodies`` unpacks within a bound."""


class RowHeaders:
    """The headers that the calls of one row may carry.

    Args:
        api_key: The row's key, if it has one.
        base_url: The row's address; a user and password in it are its own.
        options: The row's options. Tables whose names end in ``headers`` name more headers.
    """

    def __init__(
        self, api_key: str | None, base_url: str | None, options: Mapping[str, Any]
    ) -> None:
        self._bearer = f"Bearer {api_key}" if api_key else None
        self._secrets = frozenset(secret for secret in (api_key, _basic(base_url)) if secret)
        self._named = frozenset(name.lower() for name in _named(options))

    def settle(self, headers: MutableMapping[str, str]) -> None:
        """Take out what the row does not name, and put its key in where none is left."""
        signed = False
        for name, value in list(headers.items()):
            carries_key = self._carries_key(value)
            signed = signed or carries_key
            if not (carries_key or self._is_named(name.lower())):
                del headers[name]
        headers["accept-encoding"] = ACCEPT_ENCODING
        if self._bearer and not signed:
            headers["authorization"] = self._bearer

    def _is_named(self, name: str) -> bool:
        if name in _STANDARD or name in self._named:
            return True
        return name.startswith(_OF_CLIENTS) and name != WORKSPACE

    def _carries_key(self, value: str) -> bool:
        # Alone, or behind the word for the scheme.
        return not self._secrets.isdisjoint(value.split())


def _basic(base_url: str | None) -> str | None:
    """What HTTP's basic authentication sends for the user and the password in an address."""
    parts = urlsplit(base_url or "")
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return base64.b64encode(pair.encode()).decode()


def _named(options: Mapping[str, Any]) -> Iterator[str]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _keys(value) if key.endswith("headers") else _named(value)
        elif key in _NAMED_BY_ARGUMENTS:
            yield _NAMED_BY_ARGUMENTS[key]


def _keys(table: Mapping[Any, Any]) -> Iterable[str]:
    return (str(key) for key in table)
