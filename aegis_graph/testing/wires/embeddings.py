"""The embedding endpoints of the three protocols, answered with vectors that need no model."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from aegis_graph.testing.loopback.journal import Received, Usage
from aegis_graph.testing.loopback.replies import Reply
from aegis_graph.testing.wires.dashscope import DashScopeWire
from aegis_graph.testing.wires.ollama import OllamaWire
from aegis_graph.testing.wires.openai import OpenAIWire

DEFAULT_DIMENSIONS = 1024
"""Length of the vectors of a call that asks for none."""

_WORD = re.compile(r"\w+|[^\w\s]")


def texts_of(body: Mapping[str, Any]) -> list[str]:
    """What a call wants to have embedded, in any of the three protocols."""
    given = body.get("input")
    if isinstance(given, Mapping):
        given = given.get("texts")
    return [given] if isinstance(given, str) else [str(text) for text in given or []]


def embedding_reply(call: Received) -> Reply:
    """A reply that counts one token for each word and mark of the texts."""
    tokens = sum(max(1, len(_WORD.findall(text))) for text in texts_of(call.body))
    return Reply(input_tokens=tokens, output_tokens=0)


def hashed_words(text: str, dimensions: int) -> list[float]:
    """A bag of words as a unit vector: texts that share words are near each other.

    >>> hashed_words("Paris", 4) == hashed_words("paris", 4)
    True
    """
    vector = [0.0] * dimensions
    # A text without a word has a vector too: one of zeros has no direction.
    for word in _WORD.findall(text.casefold()) or [""]:
        # Not `hash()`, which differs from process to process.
        digest = hashlib.sha256(word.encode("utf-8", errors="replace")).digest()
        vector[int.from_bytes(digest[:8], "big") % dimensions] += 1.0
    norm = math.sqrt(sum(value * value for value in vector))
    return [value / norm for value in vector]


def _vectors(call: Received) -> Sequence[list[float]]:
    body = call.body
    parameters = body.get("parameters") or {}
    asked = body.get("dimensions") or parameters.get("dimension") or DEFAULT_DIMENSIONS
    return [hashed_words(text, int(asked)) for text in texts_of(body)]


class _EmbeddingWire:
    """What the three have in common."""

    def wants_stream(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
        """Vectors are never streamed."""
        return False

    def usage(self, reply: Reply) -> Usage | None:
        """The tokens of the texts; there is no output."""
        return Usage(reply.input_tokens, 0) if reply.usage else None


# The common part is the first base: its methods go before those of the chat's wire.
class OllamaEmbeddingWire(_EmbeddingWire, OllamaWire):
    """``POST /api/embed``."""

    @override
    def whole(self, reply: Reply, call: Received, *, finished: bool = True) -> dict[str, Any]:
        """The vectors in the order of the texts; half an answer has none."""
        body: dict[str, Any] = {"model": call.model, "total_duration": 0, "load_duration": 0}
        body["embeddings"] = _vectors(call) if finished else []
        if (usage := self.usage(reply)) is not None:
            body["prompt_eval_count"] = usage.input_tokens
        return body


class OpenAIEmbeddingWire(_EmbeddingWire, OpenAIWire):
    """``POST /v1/embeddings``."""

    @override
    def whole(self, reply: Reply, call: Received, *, finished: bool = True) -> dict[str, Any]:
        """A list of ``embedding`` objects; half an answer has none."""
        rows = [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(_vectors(call) if finished else [])
        ]
        body: dict[str, Any] = {"object": "list", "data": rows, "model": call.model}
        if (usage := self.usage(reply)) is not None:
            body["usage"] = {
                "prompt_tokens": usage.input_tokens,
                "total_tokens": usage.input_tokens,
            }
        return body


class DashScopeEmbeddingWire(_EmbeddingWire, DashScopeWire):
    """``POST /api/v1/services/embeddings/text-embedding/text-embedding``."""

    @override
    def whole(self, reply: Reply, call: Received, *, finished: bool = True) -> dict[str, Any]:
        """The vectors with the position of their texts; half an answer has none."""
        rows = [
            {"text_index": index, "embedding": vector}
            for index, vector in enumerate(_vectors(call) if finished else [])
        ]
        body: dict[str, Any] = {
            "output": {"embeddings": rows},
            "request_id": f"loopback-{call.number}",
        }
        if (usage := self.usage(reply)) is not None:
            body["usage"] = {"total_tokens": usage.input_tokens}
        return body
