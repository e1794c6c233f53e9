"""What a caller may ask of an answer beside the messages: checked, bounded and hashed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn, TypeGuard

from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.json_schema import normalized_schema, schema_error
from aegis_graph.request.token_bounds import text_bound
from aegis_graph.types import CallOptions

MAX_TOOLS = 128
"""What OpenAI takes; the others take fewer."""

MAX_OPTION_BYTES = 1_000_000
"""Of tools and schema together: surely a mistake above."""

MAX_SEED = 2**31 - 1
"""What every provider takes; DashScope takes no larger one."""

PER_OPTION = 512
"""Bound of the tokens that a provider's template, or our own instruction, adds around each tool and
around the schema."""


SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
)
"""The options that say how a model chooses its words. Not every provider takes each of them."""


def read_options(value: object) -> CallOptions:
    """Check what a caller gives, and leave out what is absent.

    A schema comes back with a title, and with a type at its root.

    Raises:
        InvalidRequestError: One line that says what is wrong.

    Example:
        >>> read_options({"temperature": 0.5, "stop": None})
        {'temperature': 0.5}
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        _refuse("options", "must be a table")
    given = {name: option for name, option in value.items() if option is not None}
    unknown = sorted(str(name) for name in given if name not in _CHECKS)
    if unknown:
        _refuse(f"options.{unknown[0]}", f"is unknown; known are {', '.join(_CHECKS)}")
    for name, option in given.items():
        _CHECKS[name](option)
    if "response_schema" in given:
        given["response_schema"] = normalized_schema(given["response_schema"])
    choice = given.get("tool_choice")
    names = [tool["function"]["name"] for tool in given.get("tools", ())]
    if (
        choice is not None
        and choice not in {"auto", "none", *names}
        and not (choice == "required" and names)
    ):
        _refuse("options.tool_choice", f"no tool is called {choice!r}; there are {names}")
    # The JSON is ASCII: a character is a byte.
    if len(options_json(given)) > MAX_OPTION_BYTES:
        _refuse("options", f"more than {MAX_OPTION_BYTES:,} bytes of tools and schema")
    return CallOptions(**given)  # type: ignore[typeddict-item]


def options_json(options: Mapping[str, Any]) -> str:
    """One text for equal options, whatever the order of their keys."""
    return json.dumps(options, sort_keys=True) if options else ""


def options_bound(options: CallOptions) -> int:
    """An upper bound of the prompt tokens that the options add."""
    parts: list[object] = [*options.get("tools", ())]
    if "response_schema" in options:
        parts.append(options["response_schema"])
    # Some providers are given the schema twice: as an option, and in words.
    return sum(PER_OPTION + 2 * text_bound(json.dumps(part)) for part in parts)


def _check_tools(value: object) -> None:
    if not isinstance(value, list) or len(value) > MAX_TOOLS:
        _refuse("options.tools", f"must be a list of at most {MAX_TOOLS} tools")
    for place, tool in enumerate(value):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not (isinstance(name, str) and name) or not _is_json(tool):
            _refuse(f"options.tools[{place}]", "must be a function in OpenAI's form, in JSON")


def _check_tool_choice(value: object) -> None:
    if not isinstance(value, str):
        _refuse("options.tool_choice", "must be auto, none, required or a tool's name")


def _check_flag(value: object) -> None:
    if not isinstance(value, bool):
        _refuse("options", "parallel_tool_calls and strict must be true or false")


def _check_schema_method(value: object) -> None:
    if value not in ("json_schema", "json_mode", "tool"):
        _refuse("options.schema_method", "must be json_schema, json_mode or tool")


def _check_stop(value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        _refuse("options.stop", "must be a list of texts")


def _check_temperature(value: object, name: str = "temperature") -> None:
    if not _is_number(value) or not 0 <= value < 2:
        _refuse(f"options.{name}", "must be a number from 0 to below 2")


def _check_top_p(value: object) -> None:
    if not _is_number(value) or not 0 < value <= 1:
        _refuse("options.top_p", "must be a number above 0, and at most 1")


def _check_top_k(value: object) -> None:
    if not _is_whole(value) or value < 1:
        _refuse("options.top_k", "must be a whole number from 1")


def _check_seed(value: object) -> None:
    if not _is_whole(value) or not 0 <= value <= MAX_SEED:
        _refuse("options.seed", f"must be a whole number from 0 to {MAX_SEED:,}")


def _check_penalty(value: object) -> None:
    if not _is_number(value) or not -2 <= value <= 2:
        _refuse("options", "presence_penalty and frequency_penalty must be numbers from -2 to 2")


def _check_effort(value: object) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]{1,20}", value):
        _refuse("options.reasoning_effort", "must be one word such as low, medium or high")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_response_schema(value: object) -> None:
    check_schema("options.response_schema", value)


def check_schema(where: str, schema: object) -> None:
    """Make sure that an answer can be asked for in a schema.

    Args:
        where: What a message calls it.
        schema: A JSON Schema of an object.

    Raises:
        InvalidRequestError: One line that says what is wrong with it.

    Example:
        >>> check_schema("schema", {"type": "object", "properties": {"usd": {"type": "number"}}})
    """
    if not isinstance(schema, Mapping):
        _refuse(where, "must be a JSON Schema of an object")
    if not _is_json(schema):
        _refuse(where, "has a value that JSON has not")
    fault = schema_error(json.dumps(schema))
    if fault is not None:
        _refuse(where, fault)
    kind = normalized_schema(schema).get("type")
    if kind is None:
        _refuse(where, 'its root has no type; give it "type": "object"')
    if kind != "object":
        _refuse(where, f"its root is {json.dumps(kind)}; put it under a property of an object")


_CHECKS: Mapping[str, Callable[[object], None]] = {
    "tools": _check_tools,
    "tool_choice": _check_tool_choice,
    "parallel_tool_calls": _check_flag,
    "stop": _check_stop,
    "temperature": _check_temperature,
    "default_temperature": partial(_check_temperature, name="default_temperature"),
    "top_p": _check_top_p,
    "top_k": _check_top_k,
    "seed": _check_seed,
    "presence_penalty": _check_penalty,
    "frequency_penalty": _check_penalty,
    "reasoning_effort": _check_effort,
    "response_schema": _check_response_schema,
    "schema_method": _check_schema_method,
    "strict": _check_flag,
}


def _is_json(value: object) -> bool:
    try:
        # Python would write NaN and Infinity, which JSON has not.
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _refuse(where: str, what: str) -> NoReturn:
    raise InvalidRequestError(f"{where}: {what}")
