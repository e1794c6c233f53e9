"""From what the router gives to what a chat model gives. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from aegis_graph.routing.observer import Discarded, Spoken

Heard = Spoken | Discarded
Result = Mapping[str, Any]
"""The router's output."""


class Pieces:
    """Turns what is heard of an answer into chunks that may be added up."""

    def __init__(self) -> None:
        self._spoken: list[ChatGenerationChunk] = []
        self._said: set[str] = set()

    def of(self, item: Heard | Result) -> ChatGenerationChunk:
        """The chunk of a piece, or of the result at the end."""
        if isinstance(item, Spoken | Discarded):
            return self.chunk(item)
        return self.last(item)

    def chunk(self, item: Heard) -> ChatGenerationChunk:
        """The chunk for the caller."""
        if isinstance(item, Discarded):
            return self._discard(item)
        message = item.chunk
        self._said.update(message.response_metadata)
        if message.chunk_position is not None:
            message = message.model_copy(update={"chunk_position": None})
        chunk = ChatGenerationChunk(message=message)
        self._spoken.append(chunk)
        return chunk

    def last(self, result: Result) -> ChatGenerationChunk:
        """What was not said yet: who answered, and what it cost."""
        answer = _answer(result)
        facts = {
            key: value
            for key, value in answer.response_metadata.items()
            # Text of the same key in two chunks would be joined.
            if key not in self._said
        }
        message = AIMessageChunk(
            content="", id=answer.id, response_metadata=facts, chunk_position="last"
        )
        return ChatGenerationChunk(message=message)

    def _discard(self, item: Discarded) -> ChatGenerationChunk:
        # LangChain joins all chunks for its callbacks: the void ones have to be empty there.
        for void in self._spoken:
            void.message, void.text = AIMessageChunk(content=""), ""
        self._spoken, self._said = [], set()
        message = AIMessageChunk(
            content="",
            id=item.event["message_id"],
            response_metadata={"attempt_discarded": [dict(item.event)]},
        )
        return ChatGenerationChunk(message=message)


def _answer(result: Result) -> AIMessage:
    answer = cast("AIMessage", result["messages"][-1])
    facts = {"attempts": result["attempts"], "skipped": result["skipped"]}
    return answer.model_copy(update={"response_metadata": {**answer.response_metadata, **facts}})


def whole_chunk(result: Result) -> ChatGenerationChunk:
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


def chat_result(result: Result) -> ChatResult:
    """A whole answer."""
    return ChatResult(generations=[ChatGeneration(message=_answer(result))])
