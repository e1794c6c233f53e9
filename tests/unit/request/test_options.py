"""What a caller may ask of an answer, and what it adds to the prompt's bound and hash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.options import options_bound, read_options
from aegis_graph.request.request import Request

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
SCHEMA = {"title": "City", "type": "object", "properties": {"name": {"type": "string"}}}


DEEP: Any = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tools": [TOOL], "tool_choice": "add"},
        {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        {"tool_choice": "none"},
        {"stop": ["END"], "temperature": 0},
        {"top_p": 1, "top_k": 1, "seed": 0, "presence_penalty": -2, "frequency_penalty": 2},
        {"reasoning_effort": "low"},
        {"response_schema": SCHEMA, "schema_method": "tool", "strict": True},
    ],
)
def test_sound_options_come_back(options: Any) -> None:
    assert read_options(options) == options
    assert json.loads(json.dumps(options)) == options


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "title": "Node"}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"type": "object"}, {"type": "object", "title": "answer"}),
        ({**SCHEMA, "type": ["object"]}, SCHEMA),
        ({"title": "City", "properties": SCHEMA["properties"]}, SCHEMA),
        ({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, {**NODE, "$defs": {"Node": NODE}}),
    ],
    ids=["no title", "a list of one type", "no type", "a model that contains itself"],
)
def test_a_schema_that_can_only_be_an_object_is_read_as_one(given: Any, read: Any) -> None:
    before = json.dumps(given)
    assert read_options({"response_schema": given}) == {"response_schema": read}
    assert json.dumps(given) == before


@pytest.mark.parametrize("beside", [{"required": ["a"]}, {"$defs": {"Node": True}}])
def test_a_reference_at_the_root_is_not_guessed_at(beside: Any) -> None:
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}, **beside}
    with pytest.raises(InvalidRequestError, match="its root has no type"):
        read_options({"response_schema": schema})


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ([], r"^options: must be a table"),
        ({"logit_bias": 1}, r"^options\.logit_bias: is unknown; known are tools, "),
        ({"top_p": 0}, r"^options\.top_p: must be a number above 0"),
        ({"top_k": 0.5}, r"^options\.top_k: must be a whole number"),
        ({"top_k": True}, r"^options\.top_k: must be a whole number"),
        ({"seed": 2**31}, r"^options\.seed: must be .* from 0 to 2,147,483,647"),
        ({"presence_penalty": 3}, r"presence_penalty and frequency_penalty must be"),
        ({"frequency_penalty": "1"}, r"presence_penalty and frequency_penalty must be"),
        ({"reasoning_effort": "Very low"}, r"^options\.reasoning_effort: must be one word"),
        ({"tools": "add"}, r"^options\.tools: must be a list"),
        ({"tools": [TOOL] * 129}, r"at most 128 tools"),
        ({"tools": [{"name": "add"}]}, r"^options\.tools\[0\]: must be a function"),
        ({"tools": [{"function": {"name": "a", "x": object()}}]}, r"in JSON"),
        ({"tools": [TOOL], "tool_choice": "sub"}, r"no tool is called 'sub'"),
        ({"tool_choice": "required"}, r"no tool is called 'required'"),
        ({"tool_choice": 1}, r"^options\.tool_choice"),
        ({"parallel_tool_calls": 1}, r"must be true or false"),
        ({"stop": "END"}, r"^options\.stop: must be a list of texts"),
        ({"stop": [""]}, r"^options\.stop"),
        ({"temperature": 2}, r"^options\.temperature"),
        ({"temperature": float("nan")}, r"^options\.temperature"),
        ({"temperature": True}, r"^options\.temperature"),
        (
            {"response_schema": "City"},
            r"^options\.response_schema: must be a JSON Schema of an obj",
        ),
        ({"response_schema": {"title": "L"}}, r'its root has no type; give it "type": "object"$'),
        ({"response_schema": {"type": "array"}}, r'root is "array"; put it under a property of an'),
        ({"response_schema": {"type": ["object", "null"]}}, r'its root is \["object", "null"\];'),
        ({"response_schema": {**SCHEMA, "title": 5}}, r"response_schema: title breaks 'type'"),
        ({"response_schema": {**SCHEMA, "x": float("nan")}}, r"a value that JSON has not"),
        (
            {"response_schema": {**SCHEMA, "properties": {"a": {"type": "strange"}}}},
            r"response_schema: properties\.a\.type breaks",
        ),
        (
            {"response_schema": {**SCHEMA, "properties": {"a": {"pattern": "("}}}},
            r"response_schema: properties\.a\.pattern breaks 'format'",
        ),
        (
            {"response_schema": {**SCHEMA, "properties": {"a": {"$ref": "#/$defs/gone"}}}},
            r"'#/\$defs/gone' is not in the schema itself",
        ),
        (
            {"response_schema": {**SCHEMA, "properties": {"a": {"$ref": "http://127.0.0.1/s"}}}},
            r"'http://127.0.0.1/s' is not in the schema itself",
        ),
        (
            {"response_schema": {**SCHEMA, "properties": {"a": {"$dynamicRef": "http://a.b/s"}}}},
            r"'http://a\.b/s' is not in the schema itself",
        ),
        (
            {"response_schema": {**SCHEMA, "properties": {"a": {"$ref": "#/title"}}}},
            r"'#/title' is not in the schema itself",
        ),
        (
            {
                "response_schema": {
                    **SCHEMA,
                    "anyOf": [{}],
                    "properties": {"a": {"$ref": "#/anyOf/x"}},
                }
            },
            r"'#/anyOf/x' is not in the schema itself",
        ),
        ({"response_schema": {**SCHEMA, "$ref": "#"}}, r"'#' leads back to itself"),
        (
            {"response_schema": {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#"}}}},
            r"'#' leads back to itself",
        ),
        (
            {"response_schema": {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}},
            r"'#/\$defs/A' leads back to itself",
        ),
        ({"response_schema": {**SCHEMA, "x": DEEP}}, r"a value that JSON has not"),
        ({"schema_method": "magic"}, r"^options\.schema_method"),
        ({"response_schema": {**SCHEMA, "x": "y" * 1_000_000}}, r"more than 1,000,000 bytes"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: Any, fault: str) -> None:
    with pytest.raises(InvalidRequestError, match=fault) as caught:
        read_options(options)
    assert "\n" not in str(caught.value)


def of(**options: Any) -> Request:
    return Request.from_state({"messages": [HumanMessage("Hi")], "options": options}, {})


def test_tools_and_schema_count_as_prompt() -> None:
    plain = of().prompt_tokens
    assert of(stop=["END"], temperature=1).prompt_tokens == plain
    for options in ({"tools": [TOOL]}, {"response_schema": SCHEMA}):
        added = of(**options).prompt_tokens - plain
        assert added == options_bound(options) >= 2 * len(json.dumps(TOOL))  # type: ignore[arg-type]


def test_each_option_makes_another_hash_and_their_order_none() -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"temperature": 0.5},
        {"temperature": 1},
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": "add"},
        {"response_schema": SCHEMA},
        {"stop": ["END"]},
    ]
    assert len({of(**options).query_hash for options in variants}) == len(variants)
    one, other = {"temperature": 1, "stop": ["a"]}, {"stop": ["a"], "temperature": 1}
    assert of(**one).query_hash == of(**other).query_hash
