"""A body of ``/v1/chat/completions`` as a request of the router."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aegis_graph.chat.call_arguments import tool_choice_from
from aegis_graph.server.endpoint.messages import chat_messages
from aegis_graph.server.endpoint.parameters import (
    flag_of,
    given_parameters,
    list_of,
    object_of,
    refuse,
    text_of,
)

_OPTIONS = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "parallel_tool_calls",
)
"""Parameters that the router's options have under the same name."""

_KNOWN = frozenset(
    {
        *_OPTIONS,
        "model",
        "messages",
        "metadata",
        "tools",
        "tool_choice",
        "response_format",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "stream",
        "stream_options",
    }
)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked, and how the answer is wanted."""

    asked: dict[str, Any]
    """A request of the router, without the choices that headers and ``metadata`` make."""
    streams: bool
    includes_usage: bool
    """Whether a last event of a stream has the usage."""


def chat_request(body: Mapping[str, Any]) -> ChatRequest:
    """Read a body.

    Raises:
        InvalidRequestError: One line that names the parameter.

    Example:
        >>> body = {"model": "auto", "messages": [{"role": "user", "content": "?"}], "stop": "."}
        >>> chat_request(body).asked["options"]
        {'stop': ['.']}
    """
    given = given_parameters(body, _KNOWN)
    asked: dict[str, Any] = {"messages": chat_messages(given.get("messages"))}
    if "model" not in given:
        refuse("model", "is missing; a model, a provider, an alias, or auto")
    asked["model"] = text_of("model", given["model"])
    caps = [given[name] for name in ("max_completion_tokens", "max_tokens") if name in given]
    if caps:
        asked["max_output_tokens"] = caps[0]
    options = {name: given[name] for name in _OPTIONS if name in given}
    if "stop" in given:
        stop = given["stop"]
        options["stop"] = [stop] if isinstance(stop, str) else list_of("stop", stop)
    options |= tool_options(given.get("tools"), given.get("tool_choice"))
    if not options.get("tools"):
        # Without tools it says nothing, and a provider may refuse it.
        options.pop("parallel_tool_calls", None)
    if "response_format" in given:
        options |= format_options(object_of("response_format", given["response_format"]))
    asked["options"] = options
    streams = flag_of("stream", given.get("stream"))
    more = object_of("stream_options", given.get("stream_options") or {})
    includes_usage = flag_of("stream_options.include_usage", more.get("include_usage"))
    return ChatRequest(asked, streams, includes_usage)


def tool_options(tools: object, choice: object) -> dict[str, Any]:
    """The options for tools in OpenAI's form, and for the choice among them.

    Raises:
        InvalidRequestError: One is no function, or the choice is none of them.
    """
    if not tools:
        if choice not in (None, "auto", "none"):
            refuse("tool_choice", "there are no tools to choose from")
        return {}
    rows = [_tool(one, f"tools[{place}]") for place, one in enumerate(list_of("tools", tools))]
    if isinstance(choice, Mapping) and choice.get("type", "function") != "function":
        refuse("tool_choice.type", "must be function")
    if isinstance(choice, Mapping):
        inner = choice.get("function", choice)
        text_of("tool_choice.function.name", object_of("tool_choice.function", inner).get("name"))
    elif choice is not None:
        text_of("tool_choice", choice)
    chosen = tool_choice_from(choice, rows)
    return {"tools": rows, **({} if chosen is None else {"tool_choice": chosen})}


def _tool(value: object, where: str) -> dict[str, Any]:
    row = object_of(where, value)
    if row.get("type", "function") != "function":
        refuse(f"{where}.type", "must be function")
    function = object_of(f"{where}.function", row.get("function"))
    text_of(f"{where}.function.name", function.get("name"))
    kept = {name: value for name, value in function.items() if value is not None}
    # Of a function without parameters some providers want an empty table of them.
    parameters = object_of(f"{where}.function.parameters", kept.get("parameters", {}))
    kept["parameters"] = {"type": "object", "properties": {}, **parameters}
    return {"type": "function", "function": kept}


def format_options(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The options for an answer in JSON.

    Args:
        wanted: OpenAI's ``response_format``.

    Raises:
        InvalidRequestError: It is none.
    """
    kind = wanted.get("type")
    if kind == "text":
        return {}
    if kind == "json_object":
        schema = {"title": "answer", "type": "object"}
        return {"response_schema": schema, "schema_method": "json_mode"}
    if kind != "json_schema":
        refuse("response_format.type", "must be text, json_object or json_schema")
    inner = object_of("response_format.json_schema", wanted.get("json_schema"))
    schema = object_of("response_format.json_schema.schema", inner.get("schema"))
    name = text_of("response_format.json_schema.name", inner.get("name", "answer"))
    titled = {"title": name or "answer", **schema}
    if isinstance(inner.get("description"), str):
        titled.setdefault("description", inner["description"])
    strict = inner.get("strict")
    flag_of("response_format.json_schema.strict", strict)
    return {"response_schema": titled, **({} if strict is None else {"strict": strict})}
