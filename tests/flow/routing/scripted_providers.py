"""Providers that answer in this process, in pieces where a host streams, or fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from typing_extensions import override

from aegis_graph.providers.base import OpenModel, nothing_to_close
from aegis_graph.providers.extractive.provider import ExtractiveProvider

_USAGE = UsageMetadata(input_tokens=3, output_tokens=3, total_tokens=6)
_ENDED = {"finish_reason": "stop"}


class Scripted(BaseChatModel):
    """Answers in pieces, or fails."""

    fails: bool
    before: Callable[[], None]

    @property
    @override
    def _llm_type(self) -> str:
        return "scripted"

    @override
    def _generate(self, *args: Any, **more: Any) -> ChatResult:
        raise NotImplementedError

    def _act(self) -> None:
        self.before()
        if self.fails:
            raise ConnectionError("gone")

    @override
    async def _agenerate(self, *args: Any, **more: Any) -> ChatResult:
        self._act()
        answer = AIMessage("It is Paris.", usage_metadata=_USAGE, response_metadata=_ENDED)
        return ChatResult(generations=[ChatGeneration(message=answer)])

    @override
    async def _astream(self, *args: Any, **more: Any) -> AsyncIterator[ChatGenerationChunk]:
        self._act()
        for word in ("It ", "is ", "Paris."):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        end = AIMessageChunk(content="", usage_metadata=_USAGE, response_metadata=_ENDED)
        yield ChatGenerationChunk(message=end)


class ScriptedProvider(ExtractiveProvider):
    """Hands out a scripted model."""

    scripted: Scripted

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        return OpenModel(self.scripted, nothing_to_close)
