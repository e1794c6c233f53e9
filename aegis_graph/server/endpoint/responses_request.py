"""A body of ``/v1/responses`` as one of ``/v1/chat/completions``: text, images and functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aegis_graph.server.endpoint.chat_request import ChatRequest, chat_request
from aegis_graph.server.endpoint.parameters import (
    given_parameters,
    list_of,
    object_of,
    refuse,
    text_of,
)

_SAME = ("model", "temperature", "top_p", "parallel_tool_calls", "metadata", "stream")
"""Parameters that both forms have."""

_KNOWN = frozenset(
    {
        *_SAME,
        "input",
        "instructions",
        "max_output_tokens",
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "stream_options",
    }
)

_TEXT_PARTS = ("input_text", "output_text", "text")
_NOT_SAID = frozenset({"reasoning", "item_reference"})
"""Items of an input that are no part of the conversation, as this server has it."""


def responses_request(body: Mapping[str, Any]) -> ChatRequest:
    """Read a body.

    Raises:
        InvalidRequestError: One line that names the parameter.

    Example:
        >>> body = {"model": "auto", "input": "?", "instructions": "Be brief."}
        >>> [message.text for message in responses_request(body).asked["messages"]]
        ['Be brief.', '?']
    """
    given = given_parameters(body, _KNOWN)
    messages: list[dict[str, Any]] = []
    if "instructions" in given:
        text = text_of("instructions", given["instructions"])
        messages.append({"role": "system", "content": text})
    messages += _messages(given.get("input"))
    chat: dict[str, Any] = {name: given[name] for name in _SAME if name in given}
    chat["messages"] = messages
    if "max_output_tokens" in given:
        chat["max_completion_tokens"] = given["max_output_tokens"]
    if "tools" in given:
        chat["tools"] = [
            _tool(one, f"tools[{place}]")
            for place, one in enumerate(list_of("tools", given["tools"]))
        ]
    if "tool_choice" in given:
        choice = given["tool_choice"]
        chat["tool_choice"] = {"type": "function", **choice} if _is_object(choice) else choice
    if "reasoning" in given:
        chat["reasoning_effort"] = object_of("reasoning", given["reasoning"]).get("effort")
    form = object_of("text", given.get("text") or {}).get("format")
    if form is not None:
        chat["response_format"] = _format(object_of("text.format", form))
    return chat_request(chat)


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)


def _messages(value: object) -> list[dict[str, Any]]:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    messages: list[dict[str, Any]] = []
    for place, item in enumerate(list_of("input", value)):
        where = f"input[{place}]"
        row = object_of(where, item)
        kind = row.get("type", "message")
        if kind == "function_call":
            _add_call(messages, row)
        elif kind == "function_call_output":
            output = _content(row.get("output"), f"{where}.output")
            call_id = row.get("call_id")
            messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
        elif kind == "message":
            content = _content(row.get("content"), f"{where}.content")
            messages.append({"role": row.get("role"), "content": content})
        elif kind not in _NOT_SAID:
            refuse(f"{where}.type", "must be message, function_call or function_call_output")
    return messages


def _add_call(messages: list[dict[str, Any]], row: Mapping[str, Any]) -> None:
    """Calls that follow each other are of one message."""
    function = {"name": row.get("name"), "arguments": row.get("arguments")}
    call = {"id": row.get("call_id"), "type": "function", "function": function}
    if messages and messages[-1]["role"] == "assistant":
        messages[-1].setdefault("tool_calls", []).append(call)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _content(value: object, where: str) -> object:
    if not isinstance(value, list):
        return value
    return [_part(one, f"{where}[{place}]") for place, one in enumerate(value)]


def _part(value: object, where: str) -> dict[str, Any]:
    part = object_of(where, value)
    kind = part.get("type")
    if kind in _TEXT_PARTS:
        return {"type": "text", "text": part.get("text")}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part.get("refusal")}
    if kind == "input_image" and part.get("image_url") is not None:
        image = {"url": part["image_url"], "detail": part.get("detail")}
        return {"type": "image_url", "image_url": image}
    return refuse(f"{where}.type", "must be input_text, output_text or input_image with image_url")


def _tool(value: object, where: str) -> dict[str, Any]:
    row = object_of(where, value)
    if row.get("type") != "function":
        refuse(f"{where}.type", "must be function: this server has no tools of its own")
    kept = ("name", "description", "parameters", "strict")
    return {"type": "function", "function": {name: row.get(name) for name in kept}}


def _format(form: Mapping[str, Any]) -> dict[str, Any]:
    kind = form.get("type")
    if kind != "json_schema":
        return {"type": kind}
    names = ("name", "schema", "strict", "description")
    inner = {name: form[name] for name in names if form.get(name) is not None}
    return {"type": kind, "json_schema": inner}
