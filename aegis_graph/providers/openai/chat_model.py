"""LangChain's chat model for OpenAI's protocol, for servers that only resemble OpenAI's.

Importing it imports OpenAI's client: modules import it where they open a model.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import cache
from typing import Any

import openai
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI
from typing_extensions import override

from aegis_graph.errors import MalformedAnswerError
from aegis_graph.providers.answer_check import REFUSAL
from aegis_graph.providers.openai.answers import (
    FACTS,
    facts_of,
    first_choice,
    refusal_in,
    shown,
    sound_body,
    sound_chunk,
    thought_in,
    unreadable_calls,
    usage_in,
    words_in,
)
from aegis_graph.providers.usage import combined_usage, openai_usage_metadata
from aegis_graph.types import FINISH_REASON


class CompatibleAnswers(BaseChatOpenAI):
    """Reads what servers of OpenAI's protocol really send; for a class before LangChain's own.

    What an answer says of itself (why it ended, the model, the tier, the tokens) comes once, at the
    end of its stream, however often the server said it.
    """

    @override
    def _create_chat_result(
        self, response: dict[str, Any] | openai.BaseModel, generation_info: Any = None
    ) -> ChatResult:
        if not isinstance(response, dict | openai.BaseModel):
            raise MalformedAnswerError("the answer is no JSON object", outcome_unknown=True)
        body = response if isinstance(response, dict) else response.model_dump(warnings=False)
        result = super()._create_chat_result(sound_body(body), generation_info)
        generation, raw = result.generations[0], words_in(first_choice(body), "message")
        generation.generation_info = {**(generation.generation_info or {}), **shown(facts_of(body))}
        message = generation.message
        if isinstance(message, AIMessage):
            message.usage_metadata = openai_usage_metadata(usage_in(body, first_choice(body)))
            message.invalid_tool_calls += unreadable_calls(raw.get("tool_calls"))
            _add_words(message, raw)
        return result

    @override
    def _convert_chunk_to_generation_chunk(
        self,
        chunk: dict[str, Any],
        default_chunk_class: type,
        base_generation_info: dict[str, Any] | None,
    ) -> ChatGenerationChunk | None:
        if chunk.get("type") == "content.delta":
            # OpenAI's client says it twice, where it is asked for a parsed answer.
            return None
        inner = chunk.get("chunk")
        raw = inner if isinstance(inner, dict) and "choices" not in chunk else chunk
        converted = super()._convert_chunk_to_generation_chunk(
            sound_chunk(raw), AIMessageChunk, base_generation_info
        )
        choice = first_choice(raw)
        # All other pieces have words alone, and there are thousands of those.
        is_last = choice is None or choice.get(FINISH_REASON) or choice.get("error")
        if converted is not None and (is_last or raw.get("error")):
            converted.generation_info = {**(converted.generation_info or {}), **facts_of(raw)}
        if converted is not None and isinstance(converted.message, AIMessageChunk):
            if usage := openai_usage_metadata(usage_in(raw, choice)):
                converted.message.usage_metadata = usage
            _add_words(converted.message, words_in(choice, "delta"))
        return converted

    @override
    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[ChatGenerationChunk]:
        ending = _Ending()
        stream: Any = super()._astream(*args, **kwargs)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                ending.take(chunk)
                yield chunk
        if ending.has_begun:
            yield ending.chunk()


class ChatCompatible(CompatibleAnswers, ChatOpenAI):
    """The chat model of the kind ``openai``."""

    def written(
        self, messages: Sequence[BaseMessage], arguments: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The body of a call, as the client sends it.

        Args:
            messages: What is asked.
            arguments: Of the call.

        Returns:
            ``None`` where the client would ask another endpoint than that of chat completions.
        """
        payload = self._get_request_payload(list(messages), **arguments)
        if "messages" not in payload:
            return None
        more = payload.get("extra_body") or {}
        return {**{key: payload[key] for key in payload if key not in _NOT_IN_BODY}, **more}


_NOT_IN_BODY = frozenset(
    {"extra_body", "extra_headers", "extra_query", "stream", "stream_options", "timeout"}
)
"""Arguments of the client that are no fields, and those of streams, which a line is not."""


@cache
def reads_answers(theirs: type[BaseChatOpenAI]) -> type[BaseChatOpenAI]:
    """An integration's class for OpenAI's protocol that reads what servers really send."""
    if issubclass(theirs, CompatibleAnswers):
        return theirs
    return type(theirs.__name__, (CompatibleAnswers, theirs), {"__module__": __name__})


class _Ending:
    """What the chunks of one stream say of the answer, to be said once."""

    def __init__(self) -> None:
        self.has_begun = False
        self._said: dict[str, list[Any]] = {}
        self._usages: list[UsageMetadata] = []

    def take(self, chunk: ChatGenerationChunk) -> None:
        """Take it out of a chunk."""
        self.has_begun = True
        if info := chunk.generation_info:
            for name in FACTS:
                if name in info:
                    self._said.setdefault(name, []).append(info.pop(name))
        if isinstance(chunk.message, AIMessageChunk) and chunk.message.usage_metadata:
            self._usages.append(chunk.message.usage_metadata)
            chunk.message.usage_metadata = None

    def chunk(self) -> ChatGenerationChunk:
        """The last chunk of the stream."""
        info = {name: values[-1] for name, values in self._said.items() if values}
        if reasons := self._said.get(FINISH_REASON):
            # Joined as LangChain joins them: of several the strictest will count.
            info[FINISH_REASON] = "".join(dict.fromkeys(map(str, reasons)))
        message = AIMessageChunk(content="", usage_metadata=combined_usage(self._usages))
        return ChatGenerationChunk(message=message, generation_info=shown(info))


def _add_words(message: AIMessage, raw: Any) -> None:
    """Add what langchain-openai leaves out of a message: refusals, and most servers' reasoning."""
    if refusal := refusal_in(raw):
        message.additional_kwargs[REFUSAL] = refusal
    if thought := thought_in(raw):
        message.additional_kwargs.setdefault("reasoning_content", thought)
