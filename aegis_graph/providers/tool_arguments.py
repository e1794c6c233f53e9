"""Whether the tool calls of a stream came whole: LangChain closes the brackets of a cut one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from langchain_core.messages import AIMessage, AIMessageChunk, ToolCallChunk
from langchain_core.messages.tool import invalid_tool_call
from langchain_core.outputs import ChatGenerationChunk, ChatResult


def are_whole(pieces: Iterable[ToolCallChunk]) -> bool:
    """Whether the arguments of each call, its pieces joined, are one JSON object.

    Example:
        >>> are_whole([ToolCallChunk(name="f", args='{"a": 1', id="1", index=0)])
        False
    """
    return all(map(_is_object, _joined_arguments(pieces)))


def joined_answer(chunks: Sequence[ChatGenerationChunk]) -> ChatResult:
    """The answer of a whole stream; where a call came in part, none of its calls is valid."""
    # Imported here: it is there with every client, and takes longer than the router to import.
    from langchain_core.language_models.chat_models import generate_from_stream  # noqa: PLC0415

    result = generate_from_stream(iter(chunks))
    messages = [chunk.message for chunk in chunks if isinstance(chunk.message, AIMessageChunk)]
    answer = result.generations[0].message
    pieces = (piece for message in messages for piece in message.tool_call_chunks)
    if isinstance(answer, AIMessage) and not are_whole(pieces):
        answer.invalid_tool_calls += [
            invalid_tool_call(name=call["name"], args=None, id=call["id"], error="cut off")
            for call in answer.tool_calls
        ]
        answer.tool_calls = []
    return result


def _joined_arguments(pieces: Iterable[ToolCallChunk]) -> list[str]:
    """The arguments of each call, its pieces joined as LangChain joins them."""
    calls: list[tuple[int | None, str | None, list[str]]] = []
    for piece in pieces:
        index, identifier, text = piece["index"], piece["id"] or None, piece["args"] or ""
        for place, (of_index, known, texts) in enumerate(calls):
            if (
                index is not None
                and index == of_index
                and identifier in (None, known or identifier)
            ):
                calls[place] = (of_index, known or identifier, texts)
                texts.append(text)
                break
        else:
            calls.append((index, identifier, [text]))
    return ["".join(texts) for _, _, texts in calls]


def _is_object(arguments: str) -> bool:
    """Whether they are arguments; those of a tool that takes none are often left out."""
    try:
        value = json.loads(arguments or "{}", strict=False)
    except (ValueError, RecursionError):
        return False
    return not value or isinstance(value, dict)
