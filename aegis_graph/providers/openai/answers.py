"""What servers of OpenAI's protocol really send, made sound for LangChain. Pure.

A sound body keeps all that was paid for. What has the wrong type is left out, so that reading it
cannot fail; whether the rest is an answer is judged at the end, when its usage is known.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from langchain_core.messages import InvalidToolCall
from langchain_core.messages.tool import invalid_tool_call

from aegis_graph.errors import MalformedAnswerError
from aegis_graph.providers.answer_check import ANSWER_ERROR, REFUSAL
from aegis_graph.providers.client_errors import error_from_body
from aegis_graph.providers.finish_reasons import NATIVE_FINISH_REASON
from aegis_graph.providers.usage import openai_usage
from aegis_graph.text.foreign import clean_text
from aegis_graph.types import FINISH_REASON

FACTS = (
    FINISH_REASON,
    NATIVE_FINISH_REASON,
    "model_name",
    "system_fingerprint",
    "service_tier",
    ANSWER_ERROR,
)
"""What an answer says of itself, in one chunk of its stream or in each of them."""

_OF_BODY = (
    ("model", "model_name"),
    ("system_fingerprint", "system_fingerprint"),
    ("service_tier", "service_tier"),
)
_NO_ARGUMENTS = frozenset({"", "null", "[]"})
"""Arguments of a tool that takes none."""


def sound_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """A whole answer's body with one choice, whose message is the assistant's.

    Raises:
        ProviderError: The body is an error, or has neither a choice nor a usage.
    """
    choice = first_choice(body)
    if choice is None and body.get("error"):
        raise error_from_body(body)
    usage = openai_usage(usage_in(body, choice))
    if choice is None and usage is None:
        raise MalformedAnswerError("the answer has no choice", outcome_unknown=True)
    sound = {"message": _sound_message(words_in(choice, "message"))}
    if choice and isinstance(choice.get("logprobs"), dict):
        sound["logprobs"] = choice["logprobs"]
    # What else the body says is read by ``facts_of``.
    return {**body, "error": None, "usage": usage, "choices": [sound], "service_tier": None}


def sound_chunk(chunk: Mapping[str, Any]) -> dict[str, Any]:
    """A piece of a stream with at most one choice, and nothing but what it adds to the answer.

    Raises:
        ProviderError: It is an error.
    """
    choice = first_choice(chunk)
    if choice is None:
        if chunk.get("object") == "error":
            # vLLM's older form, which OpenAI's client takes for a chunk.
            raise error_from_body(chunk)
        return {"choices": []}
    sound: dict[str, Any] = {"delta": _sound_delta(words_in(choice, "delta"))}
    if isinstance(choice.get("logprobs"), dict):
        sound["logprobs"] = choice["logprobs"]
    return {"choices": [sound]}


def facts_of(part: Mapping[str, Any]) -> dict[str, Any]:
    """What a body or a chunk says of the answer, under the names of ``FACTS``, as it says it."""
    facts: dict[str, Any] = {name: part[key] for key, name in _OF_BODY if part.get(key)}
    error = part.get("error")
    if (choice := first_choice(part)) is not None:
        for key in (FINISH_REASON, NATIVE_FINISH_REASON):
            if choice.get(key):
                facts[key] = choice[key]
        error = error or choice.get("error")
    if error:
        facts[ANSWER_ERROR] = error_from_body({"error": error}, begun=True)
    return facts


def shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a whole answer, its names as they may be shown and stored."""
    names = {name: clean_text(str(facts[name])) for _, name in _OF_BODY if name in facts}
    return {**facts, **names}


def usage_in(part: Mapping[str, Any], choice: Mapping[str, Any] | None) -> object:
    """The usage of a body or a chunk, also where a server puts it beside its usual place.

    Args:
        part: The body or the chunk.
        choice: Its choice.
    """
    found = part.get("usage")
    if found is None and choice is not None:
        # Moonshot: https://platform.moonshot.ai/docs/guide/utilize-the-streaming-output-feature-of-kimi-api
        found = choice.get("usage")
    if found is None and isinstance(beside := part.get("x_groq"), Mapping):
        # Groq: https://console.groq.com/docs/api-reference
        found = beside.get("usage")
    return found


def thought_in(part: Mapping[str, Any]) -> str:
    """The reasoning in a message or a delta, under either of the names that servers give it."""
    found = part.get("reasoning_content") or part.get("reasoning")
    return found if isinstance(found, str) else ""


def refusal_in(part: Mapping[str, Any]) -> str:
    """The words of a refusal in a message or a delta."""
    found = part.get(REFUSAL)
    return found if isinstance(found, str) else ""


def unreadable_calls(raw: object) -> list[InvalidToolCall]:
    """The entries of a whole answer's tool calls that are none."""
    calls = raw if isinstance(raw, list) else []
    return [
        invalid_tool_call(
            name=str(_function_of(call).get("name") or ""),
            args=str(_function_of(call).get("arguments") or ""),
            id=None,
            error="no tool call",
        )
        for call in calls
        if not _is_readable(call)
    ]


def first_choice(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """The choice of a body or a chunk that counts."""
    choices = part.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    # The usual one, before a search: this is done for every piece of a stream.
    first = choices[0]
    return first if isinstance(first, dict) else next(filter(_is_object, choices), None)


def words_in(choice: Mapping[str, Any] | None, key: str) -> Mapping[str, Any]:
    """The raw ``message`` or ``delta`` of a choice; empty where there is none."""
    found = choice.get(key) if choice else None
    return found if isinstance(found, dict) else {}


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _sound_message(raw: Mapping[str, Any]) -> dict[str, Any]:
    sound: dict[str, Any] = {"role": "assistant", "content": _sound_content(raw.get("content"))}
    if isinstance(raw.get("audio"), dict):
        sound["audio"] = raw["audio"]
    calls = raw.get("tool_calls")
    if isinstance(calls, list):
        sound["tool_calls"] = [_sound_call(call) for call in calls if _is_readable(call)]
    return sound


def _sound_delta(delta: Mapping[str, Any]) -> dict[str, Any]:
    sound: dict[str, Any] = {"role": "assistant", "content": _sound_content(delta.get("content"))}
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        sound["tool_calls"] = list(_sound_call_pieces(calls))
    return sound


def _sound_content(content: object) -> str | list[Any]:
    if isinstance(content, list):
        return [part for part in content if isinstance(part, str | dict)]
    return content if isinstance(content, str) else ""


def _sound_call_pieces(calls: Iterable[object]) -> Iterator[dict[str, Any]]:
    for position, call in enumerate(calls):
        if isinstance(call, Mapping):
            index = call.get("index")
            # Where it is missing, LangChain would drop all calls of the chunk.
            yield {**_sound_call(call), "index": index if type(index) is int else position}


def _sound_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function, identifier = _function_of(call), call.get("id")
    name, arguments = function.get("name"), function.get("arguments")
    if isinstance(arguments, dict | list):
        arguments = json.dumps(arguments)
    return {
        "id": None if identifier is None else str(identifier),
        "type": "function",
        "function": {
            "name": name if isinstance(name, str) else None,
            "arguments": arguments if isinstance(arguments, str) else None,
        },
    }


def _is_readable(call: object) -> bool:
    """Whether LangChain reads it as a tool call, or as one with broken arguments."""
    function = _function_of(call)
    if not isinstance(function.get("name"), str):
        return False
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        text = arguments.strip()
        return text.startswith("{") or text in _NO_ARGUMENTS
    return arguments is None or isinstance(arguments, dict)


def _function_of(call: object) -> Mapping[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    return function if isinstance(function, Mapping) else {}
