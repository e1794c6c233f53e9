"""Conversations that one provider began and another continues. Pure.

A provider gets its own messages back as they are: some of them sign their thoughts, and want them
back. The messages of others are rewritten in what all providers take.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage

from aegis_graph.request.images import is_image, portable_image
from aegis_graph.text.json_text import repaired_json

M = TypeVar("M", bound=BaseMessage)

_NAME = re.compile(r"[\s<|\\/>]+")
"""What OpenAI refuses in a speaker's name."""

CACHE_CONTROL = "cache_control"
"""The key of a part up to which its provider is to cache a conversation: Anthropic's, which
OpenRouter and DashScope have taken over."""

ID_LENGTH = 9
"""Of a tool call's identifier: Mistral takes nine letters or digits, OpenAI up to 40 characters."""


def for_provider(messages: Sequence[BaseMessage], provider: str) -> list[BaseMessage]:
    """Rewrite a conversation as a provider takes it, whichever others answered in it before.

    Args:
        messages: The conversation. It stays as it is.
        provider: Name of the provider that is to continue.

    Example:
        >>> call = {"name": "add", "args": {"a": 1}, "id": "call|of|another|make"}
        >>> thought = {"reasoning_content": "Hm"}
        >>> message = AIMessage(content="", tool_calls=[call], additional_kwargs=thought)
        >>> rewritten = for_provider([message], "openai")[0]
        >>> len(rewritten.tool_calls[0]["id"]), rewritten.additional_kwargs
        (9, {})
    """
    rewritten: list[BaseMessage] = []
    pending: list[tuple[str, str]] = []
    for place, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            rewritten.append(_tool_result(message, pending))
        elif not isinstance(message, AIMessage):
            rewritten.append(_with_plain_name(_with_plain_images(message)))
        elif message.response_metadata.get("provider") == provider:
            # Its own calls keep their identifiers, and so do the results.
            pending = []
            rewritten.append(_with_plain_name(message))
        else:
            calls = _calls(message, messages[place + 1 :])
            pending = [
                (call["id"] or "", _identifier(place, number, call["id"]))
                for number, call in enumerate(calls)
            ]
            rewritten.append(_rewritten(message, calls, [new for _, new in pending]))
    return rewritten


def _rewritten(message: AIMessage, calls: Sequence[ToolCall], ids: Sequence[str]) -> AIMessage:
    """The text and the calls: no thoughts, and no fields that only the other provider knows."""
    named = [
        ToolCall(name=call["name"], args=call["args"], id=new, type="tool_call")
        for call, new in zip(calls, ids, strict=True)
    ]
    name = None if message.name is None else _NAME.sub("_", message.name)
    text: str | list[str | dict[str, Any]] = message.text
    if _is_marked(message.content):
        # The provider is to cache the conversation up to there.
        blocks = [part for part in message.content if isinstance(part, dict)]
        text = [_marked_text(part) for part in blocks if isinstance(part.get("text"), str)]
    return AIMessage(content=text, tool_calls=named, name=name, id=message.id)


def _calls(message: AIMessage, following: Sequence[BaseMessage]) -> list[ToolCall]:
    """The calls of a message, and those broken ones that have a result all the same."""
    answered = set()
    for other in following:
        if not isinstance(other, ToolMessage):
            break
        answered.add(other.tool_call_id)
    broken = [call for call in message.invalid_tool_calls if call["id"] in answered]
    return [
        *message.tool_calls,
        *(
            ToolCall(
                name=call["name"] or "unknown",
                args=_repaired_arguments(call["args"]),
                id=call["id"],
            )
            for call in broken
        ),
    ]


def _repaired_arguments(arguments: str | None) -> dict[str, Any]:
    value = repaired_json(arguments or "{}")
    return value if isinstance(value, dict) else {}


def _tool_result(message: ToolMessage, pending: list[tuple[str, str]]) -> ToolMessage:
    """A tool's result under its call's new identifier, as text where it is nothing else."""
    identifier = message.tool_call_id
    # Results belong to calls without an identifier in the order of both.
    match = next((pair for pair in pending if pair[0] in (identifier, "")), None)
    if match is not None:
        pending.remove(match)
        identifier = match[1]
    content = message.content
    if _is_marked(content) and not _has_image(content):
        content = [
            part if isinstance(part, str) else _marked_text({**part, "text": _as_text(part)})
            for part in content
        ]
    elif not _has_image(content):
        content = _content_text(content)
    if identifier == message.tool_call_id and content == message.content:
        return message
    return message.model_copy(update={"tool_call_id": identifier, "content": content})


def _content_text(content: str | Sequence[str | dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    parts = [part if isinstance(part, str) else _as_text(part) for part in content]
    return "\n".join(parts)


def _as_text(part: dict[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else json.dumps(part, ensure_ascii=False, default=str)


def _is_marked(content: str | Sequence[str | dict[str, Any]]) -> bool:
    """Whether a part of a message asks its provider to cache the conversation up to it."""
    return not isinstance(content, str) and any(
        isinstance(part, dict) and CACHE_CONTROL in part for part in content
    )


def _marked_text(part: Mapping[str, Any]) -> dict[str, Any]:
    mark = {CACHE_CONTROL: part[CACHE_CONTROL]} if CACHE_CONTROL in part else {}
    return {"type": "text", "text": part["text"], **mark}


def _has_image(content: str | Sequence[str | dict[str, Any]]) -> bool:
    return not isinstance(content, str) and any(is_image(part) for part in content)


def _with_plain_images(message: M) -> M:
    if not _has_image(message.content):
        return message
    parts = [portable_image(part) if is_image(part) else part for part in message.content]  # type: ignore[arg-type]
    return message.model_copy(update={"content": parts})


def _with_plain_name(message: M) -> M:
    if message.name is None or not _NAME.search(message.name):
        return message
    return message.model_copy(update={"name": _NAME.sub("_", message.name)})


def _identifier(place: int, number: int, known: str | None) -> str:
    # Not random: every attempt sends the same conversation in the same words.
    return hashlib.sha256(f"{place}:{number}:{known}".encode()).hexdigest()[:ID_LENGTH]
