"""Bounds of tokens: never below what a byte-level tokenizer can make of the messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from aegis_graph.request.token_bounds import PER_MESSAGE, PER_REQUEST, prompt_bound, text_bound

texts = st.text(max_size=200)


@given(texts)
def test_a_text_has_at_most_as_many_tokens_as_bytes(text: str) -> None:
    assert text_bound(text) == len(text.encode("utf-8", errors="replace")) >= len(text)


@given(texts, texts)
def test_a_longer_text_has_no_smaller_bound(one: str, two: str) -> None:
    assert text_bound(one + two) == text_bound(one) + text_bound(two)


@given(st.lists(texts.map(HumanMessage), max_size=5), texts)
def test_another_message_always_adds_its_bytes_and_its_frame(
    messages: list[BaseMessage], text: str
) -> None:
    more = prompt_bound([*messages, SystemMessage(text)]) - prompt_bound(messages)
    assert more == text_bound(text) + PER_MESSAGE


def test_a_request_has_a_frame_of_its_own() -> None:
    assert prompt_bound([]) == PER_REQUEST > 0


BIG = "x" * 10_000


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage(BIG),
        HumanMessage([BIG]),
        HumanMessage([{"type": "text", "text": BIG}]),
        HumanMessage([{"type": "text", "text": "hi", "cache": BIG}]),
        HumanMessage([{"type": "file", "data": BIG}]),
        HumanMessage([{"type": "thinking", "thinking": BIG, "text": ""}]),
        HumanMessage("hi", name=BIG),
        HumanMessage("hi", additional_kwargs={"note": {"deep": [BIG]}}),
        ToolMessage(BIG, tool_call_id="1"),
        ToolMessage("hi", tool_call_id=BIG),
        AIMessage("", tool_calls=[{"name": BIG, "args": {}, "id": "1"}]),
        AIMessage("", tool_calls=[{"name": "f", "args": {"deep": [{"er": BIG}]}, "id": "1"}]),
        AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": BIG}]),
        AIMessage(
            "",
            invalid_tool_calls=[
                {"name": "f", "args": BIG, "id": "1", "error": None, "type": "invalid_tool_call"}
            ],
        ),
        AIMessage("", additional_kwargs={"function_call": {"name": "f", "arguments": BIG}}),
        AIMessage("", additional_kwargs={"reasoning_content": BIG}),
    ],
    ids=lambda message: message.type,
)
def test_everything_that_a_client_can_send_counts(message: BaseMessage) -> None:
    assert prompt_bound([message]) >= len(BIG) + PER_MESSAGE + PER_REQUEST


@given(st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_an_unknown_part_counts_with_all_its_text(value: Any) -> None:
    part = {"type": "tool_use", "input": value}
    written = len(json.dumps(part, ensure_ascii=False).encode("utf-8", errors="replace"))
    assert prompt_bound([HumanMessage([part])]) >= written


def test_a_text_beside_an_image_in_one_part_is_counted() -> None:
    image = {"image_url": {"url": "data:image/png;base64,aGk="}}
    alone, both = (
        prompt_bound([HumanMessage([{**image, **more}])]) for more in ({}, {"text": "x" * 5000})
    )
    assert both - alone >= 5000
