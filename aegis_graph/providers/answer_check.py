"""What makes an answer one: it came to an end, was not refused, and has something in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from aegis_graph.errors import ContentRefusedError, ProviderError, UnfitAnswerError
from aegis_graph.providers.finish_reasons import FinishReason
from aegis_graph.text.passages import parse_passages
from aegis_graph.text.reasoning import spoken_part
from aegis_graph.text.runaway import runs_away

REFUSAL = "refusal"
"""Key of ``additional_kwargs``, and type of a content block, with the words of a refusal."""

ANSWER_ERROR = "answer_error"
"""Key of ``response_metadata`` with the ``ProviderError`` that came inside of an answer."""

_LONGEST_WITHOUT_WORDS = 200
_REASONING = frozenset({"thinking", "reasoning", "redacted_thinking", "reasoning_content", REFUSAL})
"""Types of content blocks that answer nothing."""


def check_end(answer: AIMessage, reason: FinishReason | None) -> None:
    """Make sure that an answer did not end in a refusal or an error.

    Args:
        answer: Whatever came of the call.
        reason: Why it ended, where it says so.

    Raises:
        ProviderError: It did; its class is what the provider's own word or code means.
    """
    error = answer.response_metadata.get(ANSWER_ERROR)
    if isinstance(error, ProviderError):
        raise error
    if _refusal(answer):
        raise ContentRefusedError("the model refused")
    if reason is None:
        return
    if reason.outcome == "length" and runs_away(answer.text):
        raise UnfitAnswerError("the answer repeats itself up to the cap")
    if reason.error is None:
        return
    if reason.outcome == "filtered":
        raise ContentRefusedError(f"the provider withheld the answer ({reason.word})")
    raise reason.error(f"the answer ended with {reason.word}")


def check_filled(answer: AIMessage) -> None:
    """Make sure that an answer has words, a tool call, or content of another kind.

    Raises:
        UnfitAnswerError: There is nothing, or only reasoning, or tool calls that cannot be read.
    """
    called = any(call["name"] for call in answer.tool_calls)
    if _has_words(answer.text) or called or any(_other_content(answer)):
        return
    if answer.tool_calls or answer.invalid_tool_calls:
        raise UnfitAnswerError("the tool calls have no name, or arguments that are no JSON object")
    raise UnfitAnswerError("the answer is empty")


def check_says_something(answer: AIMessage, prompt: Sequence[BaseMessage]) -> None:
    """Make sure that an answer from numbered passages is more than their numbers.

    Raises:
        UnfitAnswerError: It has citations and no words.
    """
    text = spoken_part(answer.text)
    # Other prompts may ask for a list of numbers; a look at a long answer would find words.
    if len(text) > _LONGEST_WITHOUT_WORDS or answer.tool_calls or not prompt:
        return
    if "[" not in text and not any(map(str.isdigit, text)):
        return
    # Its patterns take 20 ms, which the first short answer waits for, and not each start.
    from aegis_graph.text.citation_marks import replace_citations  # noqa: PLC0415

    rest = replace_citations(text, lambda mark, numbers: "")
    if rest != text and not any(map(str.isalnum, rest)) and parse_passages(prompt[-1].text):
        raise UnfitAnswerError("the answer is a citation and no words")


def _has_words(text: str) -> bool:
    """Whether there is anything to see in a text, beside what the model thought before it."""
    return any(one.isprintable() and not one.isspace() for one in spoken_part(text))


def _refusal(answer: AIMessage) -> bool:
    if answer.additional_kwargs.get(REFUSAL):
        return True
    return any(block.get("type") == REFUSAL for block in _blocks(answer))


def _other_content(answer: AIMessage) -> Iterator[object]:
    """Images, sound and whatever else a model may answer with."""
    yield answer.additional_kwargs.get("audio")
    yield from (
        block for block in _blocks(answer) if block.get("type") not in {"text", *_REASONING}
    )


def _blocks(answer: AIMessage) -> Iterator[Mapping[str, Any]]:
    if isinstance(answer.content, list):
        yield from (block for block in answer.content if isinstance(block, Mapping))
