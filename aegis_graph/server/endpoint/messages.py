"""OpenAI's messages as LangChain's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages

from aegis_graph.errors import InvalidRequestError
from aegis_graph.server.endpoint.parameters import list_of, object_of, refuse, text_of

# LangChain knows more, among them one that takes messages out of a conversation.
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
"""What a message may be, and as what every provider takes it: most know no ``developer``."""

_PARTS = {"text": "text", "refusal": "refusal", "image_url": "image_url"}
"""What a message may have parts of, and the key under which each has its content."""


def chat_messages(value: object) -> list[BaseMessage]:
    """The conversation.

    Args:
        value: What the request's ``messages`` says.

    Raises:
        InvalidRequestError: A message is none, or has what no provider behind here takes.

    Example:
        >>> chat_messages([{"role": "user", "content": "What is a hold?"}])[0].content
        'What is a hold?'
    """
    rows = list_of("messages", value)
    if not rows:
        refuse("messages", "empty; give at least one message")
    plain = [_plain(row, f"messages[{place}]") for place, row in enumerate(rows)]
    try:
        return convert_to_messages(plain)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise InvalidRequestError(f"messages: {str(error).splitlines()[0][:200]}") from error


def _plain(value: object, where: str) -> dict[str, Any]:
    """A message with what is known of it alone: any other key would reach LangChain's own."""
    row = object_of(where, value)
    role = _ROLES.get(text_of(f"{where}.role", row.get("role")))
    if role is None:
        refuse(f"{where}.role", f"must be one of {', '.join(_ROLES)}")
    if row.get("function_call") or row.get("audio"):
        refuse(where, "function_call and audio are not taken; use tool_calls")
    calls = row.get("tool_calls")
    content = row.get("content")
    if content is None:
        if role != "assistant":
            refuse(f"{where}.content", "is missing")
        content = ""
    made: dict[str, Any] = {"role": role, "content": _content(content, f"{where}.content")}
    if row.get("name") is not None:
        made["name"] = text_of(f"{where}.name", row["name"])
    if role == "tool":
        made["tool_call_id"] = text_of(f"{where}.tool_call_id", row.get("tool_call_id"))
    if calls:
        if role != "assistant":
            refuse(f"{where}.tool_calls", "only an assistant calls tools")
        made["tool_calls"] = [
            _call(one, f"{where}.tool_calls[{place}]")
            for place, one in enumerate(list_of(f"{where}.tool_calls", calls))
        ]
    return made


def _content(value: object, where: str) -> str | list[dict[str, Any]]:
    if isinstance(value, str):
        return value
    parts = [_part(one, f"{where}[{place}]") for place, one in enumerate(list_of(where, value))]
    # One that every provider takes, also where it knows no parts.
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(value: object, where: str) -> dict[str, Any]:
    part = object_of(where, value)
    kind = part.get("type")
    key = _PARTS.get(kind) if isinstance(kind, str) else None
    if key is None:
        refuse(f"{where}.type", f"must be one of {', '.join(_PARTS)}")
    if kind == "image_url":
        image = object_of(f"{where}.image_url", part.get(key))
        text_of(f"{where}.image_url.url", image.get("url"))
        kept = {name: image[name] for name in ("url", "detail") if image.get(name) is not None}
        return {"type": "image_url", "image_url": kept}
    return {"type": "text", "text": text_of(f"{where}.{key}", part.get(key))}


def _call(value: object, where: str) -> Mapping[str, Any]:
    row = object_of(where, value)
    function = object_of(f"{where}.function", row.get("function"))
    named = {
        "name": text_of(f"{where}.function.name", function.get("name")),
        "arguments": text_of(f"{where}.function.arguments", function.get("arguments")) or "{}",
    }
    return {"id": text_of(f"{where}.id", row.get("id")), "type": "function", "function": named}
