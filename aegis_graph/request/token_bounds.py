"""How many tokens a prompt can be at most, without any vocabulary.

The tokenizers of the paid providers (GPT, Qwen) are byte-level: a token stands for at least one
byte, so a text has at most as many tokens as bytes. What the provider's chat template adds around
the messages is bounded by generous constants.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from aegis_graph.request.images import is_image

PER_REQUEST = 64
"""Bound of what a chat template adds once: start, end and generation marks."""

PER_MESSAGE = 16
"""Bound of what it adds around each message: role, name, separators."""


def prompt_bound(messages: Sequence[BaseMessage]) -> int:
    """An upper bound of the tokens that the messages are for any byte-level tokenizer.

    Images count nothing here: what they are depends on the model (see ``images``).
    """
    return PER_REQUEST + sum(PER_MESSAGE + _message_bound(message) for message in messages)


def text_bound(text: str) -> int:
    """An upper bound of the tokens of a text."""
    return len(text.encode("utf-8", errors="replace"))


def _message_bound(message: BaseMessage) -> int:
    bound = _content_bound(message.content)
    if message.name:
        bound += text_bound(message.name)
    if message.additional_kwargs:
        # Clients send some of it back: a function call, the raw form of tool calls, reasoning.
        bound += _json_bound(message.additional_kwargs)
    if isinstance(message, AIMessage):
        for call in [*message.tool_calls, *message.invalid_tool_calls]:
            bound += PER_MESSAGE + _json_bound(call)
    if isinstance(message, ToolMessage):
        bound += text_bound(message.tool_call_id)
    return bound


def _content_bound(content: str | list[Any]) -> int:
    if isinstance(content, str):
        return text_bound(content)
    return sum(_part_bound(part) for part in content)


def _part_bound(part: Any) -> int:
    if isinstance(part, str):
        return text_bound(part)
    if is_image(part):
        # The image counts elsewhere, but some clients send a text beside it.
        return _json_bound(part["text"]) if "text" in part else 0
    if part.keys() == {"type", "text"} and isinstance(part["text"], str):
        return text_bound(part["text"])
    return _json_bound(part)


def _json_bound(value: object) -> int:
    """A bound of all text in a value, whichever of its fields a client sends."""
    return text_bound(json.dumps(value, default=str, skipkeys=True))
