"""Finds the codes, the numbers and the text in an error's body, whatever dialect wrote it.

Dialects put them under ``error``, beside it, or below it: in Azure's ``innererror``, in Google's
``details``, in OpenRouter's ``metadata.raw``, which is another provider's body as text.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from aegis_graph.providers.error_codes import MODERATION_KEYS

_WORD_KEYS = (
    "code",
    "type",
    "status",
    "reason",
    "error_type",
    "error_code",
    "status_code",
    "statuscode",
    "__type",
)
_TEXT_KEYS = ("message", "msg", "detail", "error", "raw")
_NESTED_KEYS = ("error", "innererror", "metadata", "details", "detail", "errors", "raw", "message")

_PAGE = re.compile(r"\s*<[!?a-z]")
"""How a page begins; DashScope's messages begin with ``<400>``."""

MAX_TEXT = 2000
"""Characters of an error's text in which a phrase is looked for."""
_MAX_JSON = 20_000
_MAX_OBJECTS = 30
_MAX_KEYS = 100


class ErrorBody(NamedTuple):
    """What an error's body says."""

    words: tuple[str, ...] = ()
    """Codes and types as they were sent, the most authoritative first."""
    status: int | None = None
    """The first code that is an HTTP status of a failure."""
    text: str = ""
    """The messages in lower case, cut; empty for a page of HTML."""
    objects: tuple[Mapping[str, Any], ...] = ()
    """The error object and those inside it, with keys in lower case."""

    @property
    def moderated(self) -> bool:
        """Whether it has a field that only a moderation's refusal has."""
        return any(MODERATION_KEYS & one.keys() for one in self.objects)


def read_error_body(body: object) -> ErrorBody:
    """Read an error's body.

    Args:
        body: What the client kept of it: the parsed JSON, the error object in it, or the text.

    Example:
        >>> read_error_body({"error": {"message": "Too long", "code": "400"}}).status
        400
    """
    objects = tuple(islice(_objects(body), _MAX_OBJECTS))
    found = [one[key] for one in objects for key in _WORD_KEYS if key in one]
    words = tuple(one for one in found if isinstance(one, str) and not one.strip().isdigit())
    statuses = (as_status(one) for one in found)
    return ErrorBody(
        words,
        next((one for one in statuses if one is not None), None),
        _text(body, objects),
        objects,
    )


def _objects(body: object) -> Iterator[Mapping[str, Any]]:
    waiting: deque[object] = deque([_parsed(body)])
    while waiting:
        part = waiting.popleft()
        if isinstance(part, list):
            # Google's endpoint for OpenAI's protocol sends a list of one body.
            waiting.extend(part[:_MAX_OBJECTS])
        elif isinstance(part, Mapping):
            own = {str(key).casefold(): value for key, value in islice(part.items(), _MAX_KEYS)}
            inner = own.get("error")
            if isinstance(inner, Mapping):
                # It says more than what it is wrapped in.
                waiting.appendleft(inner)
                waiting.append({key: value for key, value in own.items() if key != "error"})
                continue
            yield own
            waiting.extend(_parsed(own[key]) for key in _NESTED_KEYS if key in own)


def _parsed(part: object) -> object:
    """The JSON in a text; anything else as it is."""
    if not isinstance(part, str) or part[:1] not in ("{", "[") or len(part) > _MAX_JSON:
        return part
    try:
        return json.loads(part)
    except (ValueError, RecursionError):
        return part


def _text(body: object, objects: tuple[Mapping[str, Any], ...]) -> str:
    texts = [body] if isinstance(body, str) else []
    texts += [one[key] for one in objects for key in _TEXT_KEYS if isinstance(one.get(key), str)]
    joined = " | ".join(text[:MAX_TEXT] for text in texts)[:MAX_TEXT].casefold()
    # A page says nothing that a provider wrote: a proxy did.
    return "" if _PAGE.match(joined) else " ".join(joined.split())


def as_status(value: object) -> int | None:
    """A number, or a text of digits, that is an HTTP status other than a success."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 6:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return int(value) if 300 <= value <= 599 else None
