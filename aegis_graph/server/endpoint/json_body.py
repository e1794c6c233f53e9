"""A request's body as JSON, and nothing that only looks like it."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from starlette.requests import Request

from aegis_graph.errors import InvalidRequestError

MAX_DEPTH = 100
"""Tables and lists inside each other; the schemas of tools have about ten."""


async def json_body(request: Request) -> dict[str, Any]:
    """The object in a request's body.

    Raises:
        InvalidRequestError: It is none, or has what JSON should not: a key twice, NaN, half a
            character.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A form of another site's page can have no such type without asking this server first.
    if kind != "application/json":
        raise InvalidRequestError("the body: must have the Content-Type application/json")
    return json_object(await request.body())


def json_object(body: bytes) -> dict[str, Any]:
    """The object in a text.

    Raises:
        InvalidRequestError: There is none.

    Example:
        >>> json_object(b'{"model": "auto"}')
        {'model': 'auto'}
    """
    try:
        value = json.loads(body, parse_constant=_no_number, object_pairs_hook=_unique)
    except InvalidRequestError:
        raise
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise InvalidRequestError(f"the body: no JSON: {what}") from error
    if not isinstance(value, dict):
        raise InvalidRequestError("the body: must be a JSON object")
    _check(value)
    return value


def _no_number(word: str) -> NoReturn:
    raise InvalidRequestError(f"the body: {word} is no number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two, a reader in front of this server may have believed the other one.
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidRequestError(f"the body: the key {twice[:60]!r} stands twice in one object")
    return found


def _check(value: object) -> None:
    """Refuse half characters and what is nested deeply: neither can be written down again."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for one in level:
            if isinstance(one, dict):
                inner += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, str) and not one.isascii():
                _check_text(one)
        if not inner:
            return
        level = inner
    raise InvalidRequestError(f"the body: nested more than {MAX_DEPTH} deep")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequestError("the body: has half a character (a lone surrogate)") from error
