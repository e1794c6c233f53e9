"""An answer has something in it, and is no refusal in other clothes."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.messages.tool import invalid_tool_call

from aegis_graph.errors import ContentRefusedError, ProviderUnavailableError, UnfitAnswerError
from aegis_graph.providers.answer_check import ANSWER_ERROR, check_end, check_filled
from aegis_graph.providers.finish_reasons import read_finish_reason

STOP = {"finish_reason": "stop"}


def end_of(answer: AIMessage) -> None:
    check_end(answer, read_finish_reason(answer))


@pytest.mark.parametrize(
    "answer",
    [
        AIMessage(""),
        AIMessage(" \n\t "),
        AIMessage("\u200b\ufeff"),
        AIMessage("<think>Hm. So.</think>\n\n"),
        AIMessage("\n<think>Hm. So."),
        AIMessage("[THINK]Hm.[/THINK]"),
        AIMessage([]),
        AIMessage([{"type": "text", "text": "  "}]),
        AIMessage([{"type": "thinking", "thinking": "Hm."}]),
        AIMessage([{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": ""}]),
        AIMessage("", additional_kwargs={"reasoning_content": "Hm."}),
        AIMessage("", additional_kwargs={"audio": None}),
    ],
)
def test_an_answer_with_nothing_in_it_is_none(answer: AIMessage) -> None:
    with pytest.raises(UnfitAnswerError, match="the answer is empty"):
        check_filled(answer)


def test_an_answer_whose_only_tool_calls_cannot_be_read_is_none() -> None:
    broken = invalid_tool_call(name="weather", args="{..}{..}", id="1", error=None)
    with pytest.raises(UnfitAnswerError, match="tool calls"):
        check_filled(AIMessage("", invalid_tool_calls=[broken]))
    check_filled(AIMessage("It rains.", invalid_tool_calls=[broken]))


@pytest.mark.parametrize(
    "answer",
    [
        AIMessage("0"),
        AIMessage("<think>Hm.</think>Ulm."),
        AIMessage("The mark <think> begins a thought."),
        AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "1"}]),
        AIMessage([{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}]),
        AIMessage("", additional_kwargs={"audio": {"data": "AAAA"}}),
    ],
)
def test_an_answer_in_words_calls_or_pictures_is_one(answer: AIMessage) -> None:
    check_filled(answer)


@pytest.mark.parametrize(
    "fields",
    [
        {"content": "", "additional_kwargs": {"refusal": "I can't"}},
        {"content": "Half an ans", "additional_kwargs": {"refusal": "I can't"}},
        {"content": [{"type": "refusal", "refusal": "I can't"}]},
    ],
)
def test_a_refusal_is_no_answer_whatever_the_finish_reason(fields: dict[str, Any]) -> None:
    with pytest.raises(ContentRefusedError) as caught:
        end_of(AIMessage(**fields, response_metadata=STOP))
    assert "can't" not in str(caught.value)


@pytest.mark.parametrize("refusal", [None, "", []])
def test_an_absent_refusal_is_none(refusal: object) -> None:
    answer = AIMessage("Yes.", additional_kwargs={"refusal": refusal}, response_metadata=STOP)
    end_of(answer)
    assert answer.response_metadata["finish_reason"] == "stop"


def test_an_error_inside_an_answer_is_the_attempts() -> None:
    error = ProviderUnavailableError("error 502 in the answer")
    answer = AIMessage("The answer is 4", response_metadata={**STOP, ANSWER_ERROR: error})
    with pytest.raises(ProviderUnavailableError) as caught:
        end_of(answer)
    assert caught.value is error


def test_an_answer_that_runs_on_up_to_the_cap_is_none() -> None:
    for text in ('{"usd": 10}' + "\n" * 800, "Paris." + " ha" * 300):
        with pytest.raises(UnfitAnswerError, match="up to the cap"):
            end_of(AIMessage(text, response_metadata={"finish_reason": "length"}))
        end_of(AIMessage(text, response_metadata=STOP))
