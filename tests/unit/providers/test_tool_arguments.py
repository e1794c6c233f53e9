"""A tool call that came in part stays one, whatever LangChain makes of its brackets."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from aegis_graph.errors import UnfitAnswerError
from aegis_graph.providers.answer_check import check_filled
from aegis_graph.providers.tool_arguments import joined_answer


def chunks(*texts: str) -> list[ChatGenerationChunk]:
    """A stream of one call to ``weather``, its arguments in these pieces."""
    pieces = [
        tool_call_chunk(name=None if number else "weather", args=text, id="1", index=0)
        for number, text in enumerate(texts)
    ]
    last = AIMessageChunk(content="", chunk_position="last")
    messages = [AIMessageChunk(content="", tool_call_chunks=[piece]) for piece in pieces]
    return [ChatGenerationChunk(message=message) for message in (*messages, last)]


def answer_of(*texts: str) -> AIMessage:
    message = joined_answer(chunks(*texts)).generations[0].message
    assert isinstance(message, AIMessage)
    return message


@pytest.mark.parametrize(
    "texts", [('{"city": ', '"Par'), ("Paris",), ('{"a": 1}{"a": 1}',), ("[1]",)]
)
def test_a_call_that_is_no_json_object_is_no_valid_one(texts: tuple[str, ...]) -> None:
    answer = answer_of(*texts)
    assert answer.tool_calls == []
    assert answer.invalid_tool_calls
    with pytest.raises(UnfitAnswerError):
        check_filled(answer)


@pytest.mark.parametrize(
    ("texts", "args"), [(('{"city": ', '"Paris"}'), {"city": "Paris"}), (("",), {})]
)
def test_a_whole_call_is_kept(texts: tuple[str, ...], args: dict[str, str]) -> None:
    answer = answer_of(*texts)
    assert [call["args"] for call in answer.tool_calls] == [args]
    check_filled(answer)


def test_a_call_without_a_name_is_no_answer() -> None:
    call = {"name": "", "args": {}, "id": "1", "type": "tool_call"}
    with pytest.raises(UnfitAnswerError):
        check_filled(AIMessage("", tool_calls=[call]))
