"""LangChain's chat model for Batch Chat, whose answers come whole.

Importing it imports OpenAI's client: ``batch`` imports it where it opens a model.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from typing_extensions import override

from aegis_graph.providers.dashscope.prices import BATCH
from aegis_graph.providers.openai.chat_model import ChatCompatible


class ChatBatch(ChatCompatible):
    """The chat model of the tier: a stream is its answer in one piece, which names the tier."""

    @override
    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        kwargs.pop("stream", None)
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        return payload

    @override
    def _create_chat_result(self, response: Any, generation_info: Any = None) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        for generation in result.generations:
            # The host serves no other, whatever a server calls it.
            known = generation.generation_info or {}
            generation.generation_info = {**known, "service_tier": BATCH}
        return result

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[ChatGenerationChunk]:
        result = await self._agenerate(messages, stop, **kwargs)
        generation = result.generations[0]
        assert isinstance(generation.message, AIMessage), "what a chat model answers"
        info = {**(result.llm_output or {}), **(generation.generation_info or {})}
        yield ChatGenerationChunk(message=_in_one_piece(generation.message), generation_info=info)


def _in_one_piece(answer: AIMessage) -> AIMessageChunk:
    valid = [(call, json.dumps(call["args"])) for call in answer.tool_calls]
    broken = [(call, call["args"] or "") for call in answer.invalid_tool_calls]
    calls = [
        tool_call_chunk(name=call["name"], args=arguments, id=call["id"], index=index)
        for index, (call, arguments) in enumerate([*valid, *broken])
    ]
    return AIMessageChunk(
        content=answer.content,
        additional_kwargs=answer.additional_kwargs,
        usage_metadata=answer.usage_metadata,
        tool_call_chunks=calls,
    )
