"""No body and no chunk of OpenAI's protocol breaks its reader, and nothing paid for gets lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import SecretStr

from aegis_graph.errors import MalformedAnswerError, ProviderError, RateLimitError
from aegis_graph.providers.answer_check import ANSWER_ERROR, check_filled
from aegis_graph.providers.openai.answers import facts_of, shown, sound_body, sound_chunk
from aegis_graph.providers.openai.chat_model import ChatCompatible, reads_answers

MODEL = ChatCompatible(model="m", api_key=SecretStr("none"), base_url="http://127.0.0.1:9/v1")
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}

_KEYS = st.sampled_from(
    ["index", "id", "function", "name", "arguments", "content", "delta", "message", "code", "error"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | _KEYS, inner, max_size=5)
    ),
    max_leaves=12,
)


def odd(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object of these fields, each of which may be missing or anything."""
    return anything | st.fixed_dictionaries(
        {}, optional={name: value | anything for name, value in fields.items()}
    )


calls = st.lists(
    odd(function=odd(name=st.just("f"), arguments=st.sampled_from(["{}", "{", "[1]", "null", ""]))),
    max_size=3,
)
messages = odd(content=st.text(), tool_calls=calls, refusal=st.text(), role=st.text())
choices = st.lists(
    odd(message=messages, delta=messages, finish_reason=st.text(), error=anything), max_size=2
)
parts = st.fixed_dictionaries(
    {}, optional={"choices": choices | anything, "usage": anything, "model": anything}
)


@given(parts, anything)
def test_any_body_is_an_answer_or_the_providers_error(part: dict[str, Any], error: Any) -> None:
    body = {**part, **({"error": error} if error else {})}
    try:
        result = MODEL._create_chat_result(body)
    except ProviderError:
        return
    (generation,) = result.generations
    assert isinstance(generation.message, AIMessage)


@given(parts)
def test_any_chunk_is_a_piece_of_an_answer(part: dict[str, Any]) -> None:
    converted = MODEL._convert_chunk_to_generation_chunk(part, AIMessageChunk, {})
    assert converted is not None
    assert isinstance(converted.message, AIMessageChunk)


@given(parts, anything)
def test_whatever_stands_beside_them_words_and_usage_are_kept(
    part: dict[str, Any], strange: Any
) -> None:
    choice = {"message": {"content": "Ulm", "tool_calls": strange}, "finish_reason": "stop"}
    result = MODEL._create_chat_result({**part, "choices": [choice], "usage": USAGE})
    message = result.generations[0].message
    assert isinstance(message, AIMessage)
    assert message.text == "Ulm"
    assert message.usage_metadata is not None
    assert message.usage_metadata["total_tokens"] == 14
    check_filled(message)


def test_an_error_beside_a_choice_is_kept_for_the_end() -> None:
    choice = {"message": {"content": "4"}, "finish_reason": "error", "error": {"code": 429}}
    assert sound_body({"choices": [choice]})["error"] is None
    error = facts_of({"choices": [choice]})[ANSWER_ERROR]
    assert isinstance(error, RateLimitError)
    assert error.outcome_unknown


@pytest.mark.parametrize("choices_there", [None, [], "x"])
def test_an_error_in_place_of_an_answer_is_raised(choices_there: Any) -> None:
    with pytest.raises(RateLimitError) as caught:
        sound_body({"error": {"code": 429, "message": "Rate limit"}, "choices": choices_there})
    assert not caught.value.outcome_unknown


def test_a_body_with_nothing_in_it_may_have_been_work() -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        sound_body({"id": "1"})
    assert caught.value.outcome_unknown


def test_every_call_of_a_chunk_without_places_is_kept() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    sound = sound_chunk({"choices": [{"delta": {"tool_calls": [call, call]}}]})
    assert [one["index"] for one in sound["choices"][0]["delta"]["tool_calls"]] == [0, 1]


def test_names_are_shown_in_one_short_line() -> None:
    names = shown(facts_of({"model": "m\x1b[2J\n" + "a" * 5_000, "service_tier": ["flex"]}))
    assert all(name.isprintable() and len(name) <= 200 for name in names.values())
    json.dumps(names)


@pytest.mark.parametrize("body", [[1, 2], "a page", None, 7])
def test_a_body_that_is_no_object_is_named(body: Any) -> None:
    with pytest.raises(MalformedAnswerError, match="the answer is no JSON object"):
        MODEL._create_chat_result(body)


def test_an_integrations_own_class_reads_answers_once() -> None:
    assert reads_answers(ChatCompatible) is ChatCompatible
