"""Tool calls that a model writes as text, in place of the arguments that were asked for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aegis_graph.text.json_text import repaired_json

_ARGUMENTS = ("arguments", "parameters", "args", "input")
_AROUND = frozenset({"name", "id", "type", "index", "description", *_ARGUMENTS})
"""Keys of a call as the templates of open models have them."""


def unwrapped(value: Any, tool: str, properties: Collection[str]) -> Sequence[Any]:
    """What may be meant by a value that may be a written call of a tool, the likeliest first.

    Args:
        value: The value as the model wrote it.
        tool: The tool whose arguments are wanted.
        properties: What they consist of. A wrapper's own key among them leaves it open what the
            value is.

    Returns:
        Nothing where the value is the call of another tool.

    Example:
        >>> unwrapped({"name": "Person", "arguments": {"name": "Ada"}}, "Person", {"name"})
        [{'name': 'Ada'}]
    """
    if isinstance(value, list) and len(value) == 1 and _is_call(value[0]):
        value = value[0]
    if not isinstance(value, dict):
        return [value]
    if properties and tool not in properties and value.keys() == {tool}:
        return [value[tool]]
    calls = value.get("tool_calls")
    if isinstance(calls, list) and calls and "tool_calls" not in properties:
        return unwrapped(calls[0], tool, properties)
    if _is_call(value.get("function")) and "function" not in properties:
        return unwrapped(value["function"], tool, properties)
    if not _is_call(value):
        return [value]
    key = _arguments_key(value)
    # OpenAI's own form has the arguments as a text.
    inner = repaired_json(value[key]) if isinstance(value[key], str) else value[key]
    meant = [inner] if value["name"] == tool and isinstance(inner, dict) else []
    return [value, *meant] if key in properties else meant


def _is_call(value: object) -> bool:
    """Whether a value has the form of a tool call, and nothing else in it."""
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        return False
    return value.keys() <= _AROUND and isinstance(value.get(_arguments_key(value)), dict | str)


def _arguments_key(value: Mapping[str, Any]) -> str:
    return next((key for key in _ARGUMENTS if key in value), "")
