"""Answers that must fit a schema: what to ask for, and whether an answer does. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage

from aegis_graph.errors import UnfitAnswerError
from aegis_graph.request.json_schema import value_problem
from aegis_graph.request.written_calls import unwrapped
from aegis_graph.text.json_text import answer_part, is_too_deep, repaired_json, whole_json
from aegis_graph.types import CUT_OFF, FINISH_REASON, CallOptions

PARSED = "parsed"
"""Key of ``additional_kwargs`` under which an answer that fits carries its value."""

_TOOL_NAME = re.compile(r"[^A-Za-z0-9_-]")
MAX_TOOL_NAME = 64
"""Source: https://platform.openai.com/docs/api-reference/chat/create"""


def schema_name(schema: Mapping[str, Any]) -> str:
    """The schema's title as a name that every provider takes."""
    return _TOOL_NAME.sub("_", str(schema["title"]))[:MAX_TOOL_NAME] or "answer"


def schema_tool(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as a tool: the arguments of its call are the answer."""
    function = {
        "name": schema_name(schema),
        "description": schema.get("description") or "Give the answer.",
        "parameters": dict(schema),
    }
    return {"type": "function", "function": function}


def schema_instruction(schema: Mapping[str, Any]) -> str:
    """The instruction for a model that takes a schema in words only."""
    return (
        "Answer with one JSON object that fits this JSON Schema, and with nothing else:\n"
        + json.dumps(schema, ensure_ascii=False)
    )


def validate_answer(
    answer: AIMessage,
    options: CallOptions,
    find_problem: Callable[[Any], str | None] | None = None,
) -> AIMessage:
    """Make sure that an answer is what the options ask for, and give its value beside it.

    A value that fits the schema comes under ``additional_kwargs["parsed"]``, and as JSON in the
    content, whichever way the provider gave it.

    Args:
        answer: A complete answer.
        options: What was asked for.
        find_problem: Judges the value instead of the JSON Schema.

    Raises:
        UnfitAnswerError: It is not. The message says where, without the answer itself.
    """
    schema = options.get("response_schema")
    names = {tool["function"]["name"] for tool in options.get("tools", ())}
    calls = [call for call in answer.tool_calls if call["name"] in names]
    # A model may call tools first, and answer in the schema when it has their results.
    if calls or schema is None:
        _check_choice(answer, options)
        return answer
    value = _fitting(_values(answer, schema), schema, find_problem)
    text = json.dumps(value, ensure_ascii=False)
    update = {"additional_kwargs": {**answer.additional_kwargs, PARSED: value}}
    return answer.model_copy(
        update={**update, "content": text, "tool_calls": [], "invalid_tool_calls": []}
    )


def _check_choice(answer: AIMessage, options: CallOptions) -> None:
    choice = options.get("tool_choice", "auto")
    called = [call["name"] for call in answer.tool_calls]
    if choice == "required" and not called:
        raise UnfitAnswerError("no tool was called, though one was required")
    if choice not in {"auto", "none", "required"} and choice not in called:
        raise UnfitAnswerError(f"the tool {choice!r} was required and not called")


def _fitting(
    values: Sequence[Any],
    schema: Mapping[str, Any],
    find_problem: Callable[[Any], str | None] | None,
) -> Any:
    """The first of the values that fits."""
    problem: str | None = "the answer calls another tool"
    for value in values:
        problem = find_problem(value) if find_problem else value_problem(value, schema)
        if problem is None:
            return value
    raise UnfitAnswerError(f"{schema_name(schema)}: {problem}")


def _values(answer: AIMessage, schema: Mapping[str, Any]) -> Sequence[Any]:
    """What may be the value of an answer, the likeliest first."""
    name = schema_name(schema)
    for call in answer.tool_calls:
        if call["name"] == name:
            if is_too_deep(call["args"]):
                raise UnfitAnswerError(f"{name}: the answer is nested too deep")
            return [call["args"]]
    # The arguments of a call that LangChain could not parse are still text.
    broken = [call["args"] or "" for call in answer.invalid_tool_calls if call["name"] == name]
    text = answer_part(broken[0] if broken else answer.text)
    try:
        value = whole_json(text)
    except ValueError as error:
        if answer.response_metadata.get(FINISH_REASON) == CUT_OFF:
            # Repaired, half a value would pass for a whole one.
            raise UnfitAnswerError(f"{name}: the output cap cut the answer off") from error
        value = repaired_json(text)
    if text and "{" not in text:
        # The server may not know what it was asked for.
        raise UnfitAnswerError(f"{name}: the answer is not JSON", param="response_format")
    values = unwrapped(value, name, schema.get("properties", {}))
    if not all(isinstance(one, dict) for one in values):
        raise UnfitAnswerError(f"{name}: the answer is not JSON")
    return values
