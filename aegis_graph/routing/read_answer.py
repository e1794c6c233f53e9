"""An answer's value, read without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage

from aegis_graph.errors import ProviderTimeoutError
from aegis_graph.request.structured import validate_answer
from aegis_graph.routing.stream_recorder import message_text
from aegis_graph.text.foreign import with_whole_characters
from aegis_graph.types import CallOptions

SOON_READ = 2_000
"""Characters of an answer that is read faster than a thread for it would begin."""


async def read_answer(
    answer: AIMessage,
    options: CallOptions,
    find_problem: Callable[[Any], str | None] | None,
    *,
    until: float | None,
) -> AIMessage:
    """The answer with its value, where it must have one.

    Args:
        answer: A complete answer.
        options: What was asked for.
        find_problem: Judges the value instead of the JSON Schema.
        until: When the attempt ends, in the event loop's time.

    Raises:
        UnfitAnswerError: It is not what was asked for.
        ProviderTimeoutError: To find that out takes longer than the attempt may.
    """
    answer = _with_whole_characters(answer)
    if "response_schema" not in options or len(message_text(answer)) <= SOON_READ:
        return validate_answer(answer, options, find_problem)
    try:
        async with asyncio.timeout_at(until) as limit:
            # Mending what a model wrote can take long, and all other requests would wait.
            return await asyncio.to_thread(validate_answer, answer, options, find_problem)
    except TimeoutError as error:
        if limit.expired():
            raise ProviderTimeoutError("the answer takes too long to read") from error
        raise


def _with_whole_characters(answer: AIMessage) -> AIMessage:
    """The answer, in what it says and in the arguments of its calls.

    A model may write half of a character, which no database takes. What it belongs to is paid for.
    """
    said = {
        "content": answer.content,
        "additional_kwargs": answer.additional_kwargs,
        "tool_calls": answer.tool_calls,
        "invalid_tool_calls": answer.invalid_tool_calls,
    }
    whole = with_whole_characters(said)
    return answer if whole is said else answer.model_copy(update=whole)
