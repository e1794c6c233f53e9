"""The text of a prompt as bytes: how many they are, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from aegis_graph.request.options import options_json
from aegis_graph.types import CallOptions


def utf8_size(text: str) -> int | None:
    """The text's bytes; ``None`` when it has half a character, which no client can send."""
    try:
        return len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return None


def prompt_hash(messages: Sequence[BaseMessage], options: CallOptions) -> str:
    """SHA-256 of messages and options, in hexadecimal: the same for equal requests."""
    digest = hashlib.sha256(options_json(options).encode())
    for message in messages:
        # Lengths first, so that no two different conversations join to the same text.
        text = repr((message.type, message.content))
        digest.update(f"{len(text)}:".encode())
        digest.update(text.encode("utf-8", errors="replace"))
    return digest.hexdigest()
