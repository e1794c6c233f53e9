"""A chat model without network and weights: it answers by quoting the passages of its prompt."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from typing_extensions import override

from aegis_graph.providers.extractive.notices import (
    GERMAN,
    MARKER,
    MODEL_NAME,
    NO_ANSWER,
    NO_PASSAGES,
    NOTHING_FOUND,
    OTHER_LANGUAGE,
)
from aegis_graph.text.passages import parse_passages, parse_question
from aegis_graph.text.quotes import quoted_lines
from aegis_graph.text.quoting.question import is_in_another_language
from aegis_graph.text.words import language_of


class ChatExtractive(BaseChatModel):
    """Answers the last human message by quoting what of the prompt's passages answers it.

    It is a rule for English and German: a question's kind (who, when, how much) must be met, and
    its words must be there; otherwise it says that nothing answers. Sentences are quoted word for
    word, with line breaks and the spaces around them as one space, and ``[...]`` where the document
    itself has a number in square brackets, which would read as one of ours. A table row comes with
    its table's head, code whole with the sentence that leads to it. Usage counts words as tokens.

    Example:
        >>> from aegis_graph.text.passages import Passage, format_question
        >>> passages = [Passage(source="a.md", text="The limit is 10 USD a month.")]
        >>> answer = ChatExtractive().invoke(format_question("What is the limit?", passages))
        >>> answer.text.splitlines()[0]
        'The limit is 10 USD a month. [1]'
    """

    @property
    @override
    def _llm_type(self) -> str:
        return "extractive"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": MODEL_NAME}

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text, finish = _truncated(_answer(messages), stop or (), max_tokens)
        message = AIMessage(
            content=text,
            usage_metadata=_usage(messages, text),
            response_metadata=_metadata(finish),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        # A few milliseconds of work: handing it to a thread would cost more than it frees.
        return self._generate(messages, stop, **kwargs)

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        # The whole answer is there at once; it is given out in pieces as a model would.
        text, finish = _truncated(_answer(messages), stop or (), max_tokens)
        for piece in re.findall(r"\S+\s*", text):
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))
        last = AIMessageChunk(
            content="",
            usage_metadata=_usage(messages, text),
            response_metadata=_metadata(finish),
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=last, generation_info={"finish_reason": finish})

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages, stop, **kwargs):
            yield chunk


def _answer(messages: Sequence[BaseMessage]) -> str:
    # A passage must not ask the question, but may stand in any message, such as the system's.
    last_human = next((one.text for one in reversed(messages) if isinstance(one, HumanMessage)), "")
    blocks = (parse_passages(one.text) for one in reversed(messages))
    passages = next((block for block in blocks if block is not None), None)
    question = parse_question(last_human)
    notices = GERMAN if language_of(question) == "de" else {}
    lines = quoted_lines(question, passages) if passages else []
    if not lines:
        notice = NO_PASSAGES if passages is None else NO_ANSWER if passages else NOTHING_FOUND
        if passages and is_in_another_language(question):
            notice = OTHER_LANGUAGE
        lines = [notices.get(notice, notice)]
    return "\n".join([*lines, "", notices.get(MARKER, MARKER)])


def _truncated(text: str, stop: Sequence[str], max_tokens: int | None) -> tuple[str, str]:
    """The text up to a stop word or the cap, and the reason why it ends."""
    # ``partition`` raises for an empty word.
    for word in filter(None, stop):
        text = text.partition(word)[0]
    # A piece is a word with the space behind it: joined, pieces are the text again.
    pieces = re.findall(r"\S+\s*", text)
    if max_tokens is None or len(pieces) <= max_tokens:
        return text, "stop"
    return "".join(pieces[:max_tokens]).rstrip(), "length"


def _usage(messages: Sequence[BaseMessage], text: str) -> UsageMetadata:
    prompt_words = sum(len(message.text.split()) for message in messages)
    answer_words = len(text.split())
    return UsageMetadata(
        input_tokens=prompt_words,
        output_tokens=answer_words,
        total_tokens=prompt_words + answer_words,
    )


def _metadata(finish: str) -> dict[str, Any]:
    return {"model_name": MODEL_NAME, "finish_reason": finish, "extractive": True}
