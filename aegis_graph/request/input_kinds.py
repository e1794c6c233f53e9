"""Which kinds of input with prices of their own a request may have. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from aegis_graph.pricing.rates import InputKind
from aegis_graph.request.conversation import CACHE_CONTROL
from aegis_graph.request.images import is_image

_HOUR = "1h"
"""What ``ttl`` says in a ``cache_control`` of Anthropic's form that is to last for an hour.

Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching#1-hour-cache-duration
"""


def input_kinds(messages: Sequence[BaseMessage], options: Mapping[str, Any]) -> set[InputKind]:
    """The special kinds of input among some messages, and what is offered with them."""
    kinds: set[InputKind] = set()
    for message in messages:
        for part in () if isinstance(message.content, str) else message.content:
            if not isinstance(part, str):
                kinds |= _kinds_of_part(part)
    return kinds | cache_kinds(options)


def _kinds_of_part(part: Mapping[str, Any]) -> set[InputKind]:
    kinds: set[InputKind] = set()
    if is_image(part):
        kinds.add("image")
    elif part.get("type", "text") not in {"text", "tool_use", "thinking", "reasoning"}:
        # Audio has many forms, and a file may be anything.
        kinds |= {"audio", "image"}
    return kinds | cache_kinds(part)


def cache_kinds(value: object) -> set[InputKind]:
    """How something asks a provider to keep its input in a cache."""
    marks = list(nested_values(value, CACHE_CONTROL))
    kinds: set[InputKind] = {"explicit_cache_write"} if marks else set()
    return kinds | ({"cache_write_1h"} if _HOUR in nested_values(marks, "ttl") else set())


def nested_values(value: object, key: str) -> Iterator[Any]:
    """All that tables and lists say under a key, at any depth.

    Example:
        >>> list(nested_values({"extra_body": {"service_tier": "flex"}}, "service_tier"))
        ['flex']
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from nested_values(inner, key)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from nested_values(inner, key)
