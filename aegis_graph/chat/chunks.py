"""From what the router gives to what a chat model gives. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from aegis_graph.routing.observer import AttemptDiscarded, StreamEvent
from aegis_graph.types import FINISH_REASON

_OF_THE_RUN = ("provider", "model", "cost_usd", "cost_basis", "route_id")
"""What a trace of the model's run says of a whole answer."""

RouterResult = Mapping[str, Any]
"""The router's output."""


class ChunkConverter:
    """Turns the events of one answer into chunks that may be added up."""

    def __init__(self) -> None:
        self._emitted: list[ChatGenerationChunk] = []
        self._emitted_keys: set[str] = set()

    def of(self, item: StreamEvent | RouterResult) -> ChatGenerationChunk:
        """The chunk of an event, or of the result at the end."""
        if isinstance(item, StreamEvent):
            return self.of_event(item)
        return self.of_result(item)

    def of_event(self, event: StreamEvent) -> ChatGenerationChunk:
        """The chunk that the caller gets for an event."""
        if isinstance(event, AttemptDiscarded):
            return self._discard(event)
        message = event.chunk
        if FINISH_REASON in message.response_metadata:
            # In the provider's word; the last chunk has it in the router's.
            metadata = {**message.response_metadata}
            del metadata[FINISH_REASON]
            message = message.model_copy(update={"response_metadata": metadata})
        self._emitted_keys.update(message.response_metadata)
        if message.chunk_position is not None or message.usage_metadata is not None:
            # The provider's last chunk is not the stream's: the one with the costs follows. It has
            # the usage, because LangChain would add up those of a server that repeats itself.
            update = {"chunk_position": None, "usage_metadata": None}
            message = message.model_copy(update=update)
        chunk = ChatGenerationChunk(message=message)
        self._emitted.append(chunk)
        return chunk

    def of_result(self, result: RouterResult) -> ChatGenerationChunk:
        """The last chunk: which provider answered, and what it cost."""
        answer = _answer(result)
        facts = {
            key: value
            for key, value in answer.response_metadata.items()
            # Text of the same key in two chunks would be joined.
            if key not in self._emitted_keys
        }
        message = AIMessageChunk(
            content="",
            id=answer.id,
            response_metadata=facts,
            usage_metadata=answer.usage_metadata,
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    def _discard(self, event: AttemptDiscarded) -> ChatGenerationChunk:
        # LangChain joins all chunks for its callbacks: the void ones have to be empty there.
        for void in self._emitted:
            void.message, void.text = AIMessageChunk(content=""), ""
        self._emitted, self._emitted_keys = [], set()
        message = AIMessageChunk(
            content="",
            id=event.payload["message_id"],
            response_metadata={"attempt_discarded": [dict(event.payload)]},
        )
        return ChatGenerationChunk(message=message)


def _answer(result: RouterResult) -> AIMessage:
    answer = cast("AIMessage", result["messages"][-1])
    facts = {"attempts": result["attempts"], "skipped": result["skipped"]}
    return answer.model_copy(update={"response_metadata": {**answer.response_metadata, **facts}})


def whole_chunk(result: RouterResult) -> ChatGenerationChunk:
    """A whole answer as a stream's only chunk."""
    answer = _answer(result)
    calls = [
        tool_call_chunk(
            name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=index
        )
        for index, call in enumerate(answer.tool_calls)
    ]
    message = AIMessageChunk(
        content=answer.content,
        id=answer.id,
        additional_kwargs=answer.additional_kwargs,
        response_metadata=answer.response_metadata,
        usage_metadata=answer.usage_metadata,
        tool_call_chunks=calls,
        chunk_position="last",
    )
    return ChatGenerationChunk(message=message)


def chat_result(result: RouterResult) -> ChatResult:
    """A whole answer."""
    answer = _answer(result)
    facts = {key: answer.response_metadata[key] for key in _OF_THE_RUN}
    return ChatResult(generations=[ChatGeneration(message=answer)], llm_output=facts)
