"""Histories that one provider made and another continues. Pure.

What a provider said itself goes back to it as it is: some of them sign their thoughts, and want
them back. What others said is told in the words that all of them take.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage

from aegis_graph.request.images import is_image, plain_image
from aegis_graph.text.json_text import repaired_json

M = TypeVar("M", bound=BaseMessage)

_NAME = re.compile(r"[\s<|\\/>]+")
"""What OpenAI takes in no speaker's name."""

ID_LENGTH = 9
"""Of a tool call's identifier: Mistral takes nine letters or digits, OpenAI up to 40 characters."""


def for_provider(messages: Sequence[BaseMessage], provider: str) -> list[BaseMessage]:
    """The conversation as a provider takes it, whoever spoke in it before.

    Args:
        messages: The conversation. It stays as it is.
        provider: Name of the provider that is to continue.

    Example:
        >>> call = {"name": "add", "args": {"a": 1}, "id": "call|of|another|make"}
        >>> thought = {"reasoning_content": "Hm"}
        >>> told = AIMessage(content="", tool_calls=[call], additional_kwargs=thought)
        >>> told = for_provider([told], "openai")[0]
        >>> len(told.tool_calls[0]["id"]), told.additional_kwargs
        (9, {})
    """
    told: list[BaseMessage] = []
    pending: list[tuple[str, str]] = []
    for place, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            told.append(_result(message, pending))
        elif not isinstance(message, AIMessage):
            told.append(_with_plain_name(_with_plain_images(message)))
        elif message.response_metadata.get("provider") == provider:
            pending = []
            told.append(_with_plain_name(message))
        else:
            calls = _calls(message, messages[place + 1 :])
            pending = [
                (call["id"] or "", _identifier(place, number, call["id"]))
                for number, call in enumerate(calls)
            ]
            told.append(_retold(message, calls, [new for _, new in pending]))
    return told


def _retold(message: AIMessage, calls: Sequence[ToolCall], ids: Sequence[str]) -> AIMessage:
    """The words and the calls: no thoughts, no fields that only the one who spoke knows."""
    named = [
        ToolCall(name=call["name"], args=call["args"], id=new, type="tool_call")
        for call, new in zip(calls, ids, strict=True)
    ]
    name = None if message.name is None else _NAME.sub("_", message.name)
    return AIMessage(content=message.text, tool_calls=named, name=name, id=message.id)


def _calls(message: AIMessage, following: Sequence[BaseMessage]) -> list[ToolCall]:
    """The calls, and those broken ones that were answered all the same."""
    answered = set()
    for other in following:
        if not isinstance(other, ToolMessage):
            break
        answered.add(other.tool_call_id)
    broken = [call for call in message.invalid_tool_calls if call["id"] in answered]
    return [
        *message.tool_calls,
        *(
            ToolCall(name=call["name"] or "unknown", args=_mended(call["args"]), id=call["id"])
            for call in broken
        ),
    ]


def _mended(arguments: str | None) -> dict[str, Any]:
    value = repaired_json(arguments or "{}")
    return value if isinstance(value, dict) else {}


def _result(message: ToolMessage, pending: list[tuple[str, str]]) -> ToolMessage:
    """A tool's result under its call's new identifier, as text where it is nothing else."""
    identifier = message.tool_call_id
    # A call without an identifier is answered in turn.
    match = next((pair for pair in pending if pair[0] in (identifier, "")), None)
    if match is not None:
        pending.remove(match)
        identifier = match[1]
    content = message.content if _has_image(message.content) else _text(message.content)
    if identifier == message.tool_call_id and content == message.content:
        return message
    return message.model_copy(update={"tool_call_id": identifier, "content": content})


def _text(content: str | Sequence[str | dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    parts = [part if isinstance(part, str) else _told(part) for part in content]
    return "\n".join(parts)


def _told(part: dict[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else json.dumps(part, ensure_ascii=False, default=str)


def _has_image(content: str | Sequence[str | dict[str, Any]]) -> bool:
    return not isinstance(content, str) and any(is_image(part) for part in content)


def _with_plain_images(message: M) -> M:
    if not _has_image(message.content):
        return message
    parts = [plain_image(part) if is_image(part) else part for part in message.content]  # type: ignore[arg-type]
    return message.model_copy(update={"content": parts})


def _with_plain_name(message: M) -> M:
    if message.name is None or not _NAME.search(message.name):
        return message
    return message.model_copy(update={"name": _NAME.sub("_", message.name)})


def _identifier(place: int, number: int, known: str | None) -> str:
    return hashlib.sha256(f"{place}:{number}:{known}".encode()).hexdigest()[:ID_LENGTH]
