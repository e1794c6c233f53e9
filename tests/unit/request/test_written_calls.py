"""A tool call that a model wrote as text is unwrapped, and is never itself the value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from aegis_graph.errors import UnfitAnswerError
from aegis_graph.request.structured import PARSED, validate_answer

PERSON: dict[str, Any] = {
    "title": "Person",
    "type": "object",
    "properties": {"name": {"type": "string"}, "city": {"type": ["string", "null"]}},
    "required": ["name"],
}
ADA = {"name": "Ada Berg", "city": "Ulm"}


def value_of(text: str, schema: dict[str, Any] = PERSON, reason: str = "stop", **more: Any) -> Any:
    answer = AIMessage(text, response_metadata={"finish_reason": reason}, **more)
    parsed = validate_answer(answer, {"response_schema": schema})
    assert json.loads(parsed.text) == parsed.additional_kwargs[PARSED]
    return parsed.additional_kwargs[PARSED]


WRAPPERS: tuple[Any, ...] = (
    {"name": "Person", "arguments": ADA},
    {"name": "Person", "parameters": ADA},
    {"name": "Person", "arguments": json.dumps(ADA)},
    {"type": "function", "id": "call_1", "name": "Person", "arguments": ADA},
    {"type": "function", "function": {"name": "Person", "arguments": json.dumps(ADA)}},
    {"tool_calls": [{"name": "Person", "arguments": ADA}]},
    {"Person": ADA},
)


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "<tool_call>\n{}\n</tool_call>"])
@pytest.mark.parametrize("wrapper", WRAPPERS, ids=json.dumps)
def test_the_call_of_the_schemas_own_tool_is_unwrapped(wrapper: Any, around: str) -> None:
    assert value_of(around.replace("{}", json.dumps(wrapper))) == ADA


@pytest.mark.parametrize("around", ["{}", "[TOOL_CALLS] {}"])
def test_a_list_of_one_call_is_that_call(around: str) -> None:
    calls = [{"name": "Person", "arguments": ADA}]
    assert value_of(around.replace("{}", json.dumps(calls))) == ADA


@pytest.mark.parametrize("name", ["person", "get_weather", ""])
def test_the_call_of_another_tool_is_no_value(name: str) -> None:
    with pytest.raises(UnfitAnswerError, match="calls another tool"):
        value_of(json.dumps({"name": name, "arguments": ADA}))


@pytest.mark.parametrize("arguments", ["{..", "", "[1]"])
def test_a_wrapper_without_arguments_is_no_value(arguments: str) -> None:
    with pytest.raises(UnfitAnswerError):
        value_of(json.dumps({"name": "Person", "arguments": arguments}))


@pytest.mark.parametrize("value", [ADA, {"name": "Person"}, {"name": "Person", "city": None}])
def test_a_value_that_only_resembles_a_wrapper_is_one(value: dict[str, Any]) -> None:
    assert value_of(json.dumps(value)) == value


def test_a_schema_with_the_wrappers_own_keys_decides_itself() -> None:
    call = {
        "title": "Call",
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "arguments": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
        "required": ["name", "arguments"],
    }
    value = {"name": "Call", "arguments": {"city": "Ulm"}}
    assert value_of(json.dumps(value), call) == value
    assert value_of(json.dumps({"name": "Call", "arguments": value}), call) == value
    with pytest.raises(UnfitAnswerError, match="Call: "):
        value_of(json.dumps({"name": "Call", "arguments": {"town": "Ulm"}}), call)


def test_reasoning_is_cut_before_the_value_is_searched() -> None:
    assert value_of(f'<think>maybe {{"name": "Bob"}}</think>{json.dumps(ADA)}') == ADA
    with pytest.raises(UnfitAnswerError):
        value_of('<think>maybe {"name": "Bob"}')


def test_a_cut_value_is_not_mended() -> None:
    half = '{"name": "Ada Berg", "city": "Ul'
    assert value_of(half) == {"name": "Ada Berg", "city": "Ul"}
    with pytest.raises(UnfitAnswerError, match="the output cap cut the answer off"):
        value_of(half, reason="length")


def test_arguments_nested_beyond_all_bounds_do_not_fit() -> None:
    deep: Any = "x"
    for _ in range(2_000):
        deep = [deep]
    call = {"name": "Person", "args": {**ADA, "more": deep}, "id": "1"}
    with pytest.raises(UnfitAnswerError, match="nested too deep"):
        value_of("", tool_calls=[call])
