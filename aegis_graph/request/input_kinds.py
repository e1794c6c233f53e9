"""Which kinds of input with prices of their own a request may have. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from aegis_graph.pricing.rates import InputKind
from aegis_graph.request.images import is_image

_HOUR = "1h"
"""What ``ttl`` says in a ``cache_control`` of Anthropic's form that is to last for an hour."""


def input_kinds(messages: Sequence[BaseMessage], options: Mapping[str, Any]) -> set[InputKind]:
    """The special kinds of input among some messages, and what is offered with them."""
    kinds: set[InputKind] = set()
    for message in messages:
        for part in () if isinstance(message.content, str) else message.content:
            if not isinstance(part, str):
                kinds |= _kinds_of_part(part)
    if caches_for_an_hour(options):
        kinds.add("cache_write_1h")
    return kinds


def _kinds_of_part(part: Mapping[str, Any]) -> set[InputKind]:
    kinds: set[InputKind] = set()
    if is_image(part):
        kinds.add("image")
    elif part.get("type", "text") not in {"text", "tool_use", "thinking", "reasoning"}:
        # Audio has many forms, and a file may be anything.
        kinds |= {"audio", "image"}
    if caches_for_an_hour(part):
        kinds.add("cache_write_1h")
    return kinds


def caches_for_an_hour(value: object) -> bool:
    """Whether something asks a provider to keep its input in a cache for an hour."""
    return _HOUR in nested_values(value, "ttl")


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
