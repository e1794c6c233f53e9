"""What a row's options may say, per kind, and what they may not."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph.config.specs import EmbeddingSpec, ProviderSpec
from aegis_graph.errors import BadRequestError, ConfigError, ModelAccessError
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.request.request import Request
from aegis_graph.types import CallOptions

FREE = {"name": "p", "model": "m", "location": "cloud", "price": "free"}
PAST_DEFAULT = "word " * 2500


def provider(kind: str, options: dict[str, Any] | None = None, **changes: Any) -> Provider:
    row = {**FREE, "kind": kind, "options": options or {}, **changes}
    return create_provider(ProviderSpec.model_validate(row), source="test", environ={})


def compatible(options: dict[str, Any] | None = None, **changes: Any) -> Provider:
    return provider("openai", options, base_url="http://127.0.0.1:1/v1", **changes)


def request(text: str = "Hi") -> Request:
    return Request.from_state({"messages": [HumanMessage(text)]}, {})


@pytest.mark.parametrize("kind", ["openai", "dashscope"])
@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"extra_headers": {"Authorization": "x"}}, "Authorization: no secrets here"),
        ({"extra_headers": {"x-api-key": "x"}}, "x-api-key: no secrets here"),
        ({"extra_headers": {"X-Auth-Token": "x"}}, "X-Auth-Token: no secrets here"),
        ({"extra_headers": {"Cookie": "x"}}, "Cookie: no secrets here"),
        ({"extra_headers": {"X-Team": "Bearer abc"}}, "X-Team: no secrets here"),
        ({"extra_headers": {"a b": "x"}}, "no name of a header"),
        ({"extra_headers": {"X-Team": "a\r\nb"}}, "printable ASCII"),
        ({"extra_headers": {"Host": "evil"}}, "the client sends it"),
        ({"extra_body": {"api_key": "x"}}, "api_key: no secrets here"),
        ({"extra_body": {"deep": [{"client_secret": "x"}]}}, "client_secret: no secrets here"),
        ({"extra_body": {"max_tokens": 9}}, "max_tokens: the router sends it"),
        ({"extra_body": {"stream": True}}, "stream: the router sends it"),
        ({"extra_body": {"n": 2}}, "n: a reservation is for one answer"),
        ({"top_p": 0}, "top_p"),
        ({"tpo_p": 1}, "tpo_p: unknown key"),
    ],
)
def test_options_that_are_wrong_are_refused_by_name(
    kind: str, options: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ConfigError, match="options") as error:
        provider(kind, options)
    assert fault in str(error.value)


@pytest.mark.parametrize("name", ["enable_thinking", "thinking_budget"])
def test_thinking_of_dashscope_has_one_place_because_the_hold_depends_on_it(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: has a place of its own"):
        provider("dashscope", {"extra_body": {name: 9}})


def test_a_thinking_budget_is_a_part_of_the_bound() -> None:
    thinks = provider("dashscope", {"thinking_budget": 500}, model="qwen-plus", thinking=True)
    assert thinks.output_bound(100) == 600
    assert provider("dashscope", model="qwen-plus", thinking=True).output_bound(100) == 200


@pytest.mark.parametrize("options", [{"keep_alive": "soon"}, {"top_p": 2}, {"num_ctx": 0}])
def test_options_of_ollama_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        provider("ollama", options)


def test_embeddings_take_only_what_means_something_for_them() -> None:
    row = {**FREE, "kind": "openai", "dimensions": 8, "options": {"top_p": 0.5}}
    with pytest.raises(ConfigError, match="top_p: unknown key"):
        create_provider(EmbeddingSpec.model_validate(row), source="test")


def test_a_row_says_what_its_server_calls_the_cap() -> None:
    assert compatible().call_options(7) == {"extra_body": {"max_tokens": 7}}
    newer = compatible({"output_cap": "max_completion_tokens"})
    assert newer.call_options(7) == {"max_completion_tokens": 7}
    older = provider("openai", {"output_cap": "max_tokens", "extra_body": {"top_k": 5}})
    assert older.call_options(7) == {"extra_body": {"top_k": 5, "max_tokens": 7}}


def refuse(provider: Provider, param: str | None) -> bool:
    return provider.adapt(BadRequestError("HTTP 400", status=400, param=param))


def test_a_refused_name_of_the_cap_is_replaced_by_the_other_and_that_by_none() -> None:
    asked = compatible()
    assert refuse(asked, "max_tokens")
    assert asked.arguments(7, {}) == {"max_completion_tokens": 7}
    assert refuse(asked, "max_tokens"), "another request was under way, and met the same"
    assert refuse(asked, "max_completion_tokens")
    assert asked.arguments(7, {}) == {"max_completion_tokens": 7}, "what was sent last"


def test_a_refused_temperature_and_stream_options_are_left_out() -> None:
    asked = compatible(temperature=0.2)
    assert asked.arguments(7, {})["temperature"] == 0.2
    assert refuse(asked, "temperature")
    assert "temperature" not in asked.arguments(7, {"temperature": 0.5})
    assert asked.stream_arguments() == {}
    assert refuse(asked, "stream_options")
    assert asked.stream_arguments() == {"stream_usage": False}


def test_a_default_temperature_yields_to_the_request_the_row_and_the_server() -> None:
    wish: CallOptions = {"default_temperature": 0.0}
    asked = compatible()
    assert asked.arguments(7, wish)["temperature"] == 0
    assert asked.arguments(7, {**wish, "temperature": 0.5})["temperature"] == 0.5
    assert compatible(temperature=0.2).arguments(7, wish)["temperature"] == 0.2
    assert "temperature" not in compatible(thinking=True).arguments(7, wish)
    reasons = compatible(options={"reasoning_effort": "high"})
    assert "temperature" not in reasons.arguments(7, wish)
    assert reasons.arguments(7, {"temperature": 0.5})["temperature"] == 0.5
    for arguments in ({}, {"reasoning_effort": "high"}):
        row = {"model": "openai:m", "base_url": "http://127.0.0.1:1/v1"}
        library = provider("langchain", {"arguments": arguments}, **row)
        assert ("temperature" in library.arguments(7, wish)) == (not arguments)
    assert "temperature" not in asked.arguments(7, {**wish, "reasoning_effort": "high"})
    assert asked.arguments(7, {**wish, "reasoning_effort": "none"})["temperature"] == 0
    assert refuse(asked, "temperature")
    assert "temperature" not in asked.arguments(7, wish)


@pytest.mark.parametrize("param", [None, "messages", "tools"])
def test_what_has_no_other_form_changes_nothing(param: str | None) -> None:
    asked = compatible()
    before = asked.arguments(7, {})
    assert not refuse(asked, param)
    assert not asked.adapt(ModelAccessError("HTTP 404", param="max_tokens"))
    assert asked.arguments(7, {}) == before


def sent_context(provider: Provider, text: str, cap: int = 100) -> int | None:
    arguments = provider.arguments(cap, {})
    provider.make_room(arguments, request(text))
    found = arguments["options"].get("num_ctx")
    assert found is None or isinstance(found, int)
    return found


def test_a_context_is_asked_for_where_the_default_is_too_short_and_never_shrinks() -> None:
    ollama = provider("ollama")
    assert sent_context(ollama, "Hi") is None
    assert sent_context(ollama, PAST_DEFAULT) == 8192
    assert sent_context(ollama, "Hi") == 8192, "a change would load the model anew"
    assert sent_context(ollama, PAST_DEFAULT * 10) == 65_536
    assert sent_context(ollama, "Hi", cap=900_000) == 131_072


def test_a_rows_own_context_is_left_alone() -> None:
    assert sent_context(provider("ollama", {"num_ctx": 2048}), PAST_DEFAULT) == 2048
