"""From the arguments of a chat model's call to a request of the router. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol
from uuid import uuid4

from langchain_core.messages import BaseMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from aegis_graph.chat.call_config import HIDDEN, THREAD_ID
from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.options import SAMPLING
from aegis_graph.request.tags import joined_tags

_OF_THE_REQUEST = (
    "task",
    "sensitivity",
    "user_id",
    "max_output_tokens",
    "run_id",
    "max_cost_usd",
    "model",
    "providers",
    "timeout_s",
    "max_price_usd",
    "order",
    "max_wait_s",
    "hedge_after_s",
)
_TAGS = "request_tags"
"""A request's ``tags``: LangChain's own ``tags`` are words for its traces."""
_OPTIONS = (
    "tools",
    "parallel_tool_calls",
    *SAMPLING,
    "response_schema",
    "schema_method",
    "strict",
)
_NOT_IN_THE_REQUEST = frozenset({"stream", HIDDEN, THREAD_ID})
"""Arguments that say how to call the router, and are no part of the request."""


class ModelDefaults(Protocol):
    """What a chat model gives to every request."""

    stop: list[str] | None
    request_tags: dict[str, str] | None
    # And each of ``SAMPLING``.


def request_from(
    defaults: ModelDefaults,
    messages: Sequence[BaseMessage],
    stop: list[str] | None,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """Read the arguments of one call as a request of the router.

    Args:
        defaults: The chat model.
        messages: The conversation.
        stop: Words at which the answer ends.
        given: The call's other arguments.

    Raises:
        InvalidRequestError: An argument is unknown.
    """
    # ``with_structured_output`` binds as ``None`` what its caller left out.
    given = {name: value for name, value in given.items() if value is not None}
    # OpenAI's names for the three, which agents and chains bind.
    if "max_tokens" in given:
        given["max_output_tokens"] = given.pop("max_tokens")
    if "timeout" in given:
        given["timeout_s"] = given.pop("timeout")
    if "response_format" in given:
        given["response_schema"] = _schema_of(given.pop("response_format"))
    if "tools" in given:
        given["tools"] = tools_from(given["tools"], strict=None)
    known = {*_OF_THE_REQUEST, *_OPTIONS, _TAGS, "tool_choice"}
    for name in given:
        if name not in known | _NOT_IN_THE_REQUEST:
            raise InvalidRequestError(
                f"{name}: the router knows no such argument; it takes {', '.join(sorted(known))}"
            )
    whole = {name: given.get(name, getattr(defaults, name, None)) for name in _OF_THE_REQUEST}
    # Joined as everywhere: the call's over the model's.
    whole["tags"] = joined_tags(given.get(_TAGS), defaults.request_tags) or None
    options = {name: getattr(defaults, name) for name in SAMPLING}
    options |= {name: given[name] for name in _OPTIONS if name in given}
    options["stop"] = stop or defaults.stop or None
    options["tool_choice"] = tool_choice_from(given.get("tool_choice"), given.get("tools", ()))
    request = {"messages": [_with_id(message) for message in messages], **whole}
    return {
        **{name: value for name, value in request.items() if value is not None},
        "options": {name: value for name, value in options.items() if value is not None},
    }


def tools_from(tools: object, *, strict: bool | None) -> list[dict[str, Any]]:
    """Tools in OpenAI's form.

    Args:
        tools: What ``convert_to_openai_tool`` takes.
        strict: Whether the arguments must fit a tool's schema, where a provider can say so.

    Raises:
        InvalidRequestError: One of them is no tool.
    """
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        _refuse("tools", f"must be a list of tools, and is a {type(tools).__name__}")
    rows = []
    for place, tool in enumerate(tools):
        try:
            rows.append(convert_to_openai_tool(tool, strict=strict))
        except (TypeError, ValueError) as error:
            where = f"tools[{place}]"
            raise InvalidRequestError(f"{where}: {type(tool).__name__} is no tool") from error
    return rows


def tool_choice_from(choice: object, tools: Sequence[Mapping[str, Any]]) -> str | None:
    """The choice as the router takes it: ``auto``, ``none``, ``required`` or a tool's name.

    Raises:
        InvalidRequestError: It is none of these.
    """
    if isinstance(choice, Mapping):
        choice = (choice.get("function") or choice).get("name")
    if choice is None or choice is False:
        return None
    if choice is True or choice == "any":
        return "required"
    functions = [tool.get("function") for tool in tools]
    # What is no function with a name is refused with the request, whatever is chosen.
    names = [row["name"] for row in functions if isinstance(row, Mapping) and "name" in row]
    if not isinstance(choice, str) or choice not in {"auto", "none", "required", *names}:
        _refuse("tool_choice", f"no tool is called {choice!r}; there are {names}")
    return choice


def _schema_of(response_format: object) -> Any:
    """The schema of OpenAI's ``response_format``, which agents give."""
    inner = response_format.get("json_schema") if isinstance(response_format, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(inner.get("schema"), Mapping):
        _refuse("response_format", "must have the type json_schema; see with_structured_output")
    return {"title": inner.get("name", "answer"), **inner["schema"]}


def _with_id(message: BaseMessage) -> BaseMessage:
    """The message with an identifier: the graph would write one into the caller's own object."""
    return message if message.id else message.model_copy(update={"id": uuid4().hex})


def _refuse(where: str, what: str) -> NoReturn:
    raise InvalidRequestError(f"{where}: {what}")
