"""Plain completions ask for the same as those of OpenAI's client, and read the same answers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from functools import wraps
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from openai.resources.chat.completions import AsyncCompletions

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.providers.base import OpenModel
from aegis_graph.providers.openai import OpenAIProvider
from aegis_graph.providers.openai.plain_completions import PlainCompletions
from aegis_graph.testing import LoopbackServer, Reply

Ask = Callable[[Any, dict[str, Any]], Any]
KEY = "sk-plain-completions"
PROMPT: list[BaseMessage] = [HumanMessage("Is it Ulm?")]
TOOL = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {}}},
}
UNSAID = (None, "")
CALLS: tuple[dict[str, Any], ...] = (
    {},
    {"max_completion_tokens": 7, "temperature": 0.5, "seed": 1, "stop": ["."]},
    {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
    {"extra_body": {"top_k": 3, "max_tokens": 9, "response_format": {"type": "json_object"}}},
    {"extra_headers": {"x-team": "blue"}, "extra_query": {"version": "2"}, "timeout": 9.0},
    {"extra_headers": None, "extra_query": None, "extra_body": None, "timeout": None},
)


async def whole(model: Any, arguments: dict[str, Any]) -> AIMessage:
    answer: AIMessage = await model.ainvoke(PROMPT, **arguments)
    return answer


async def streamed(model: Any, arguments: dict[str, Any]) -> AIMessage:
    pieces = [piece async for piece in model.astream(PROMPT, **arguments)]
    answer: AIMessage = sum(pieces[1:], start=pieces[0])
    return answer


def said(value: Any) -> Any:
    """What a server said: the client fills in what it did not say, and each answer has an id."""
    if isinstance(value, dict):
        return {key: said(one) for key, one in value.items() if key != "id" and one not in UNSAID}
    return [said(one) for one in value] if isinstance(value, list) else value


WAYS = pytest.mark.parametrize("ask", [whole, streamed])


def opened(server: LoopbackServer, key: str = KEY) -> OpenModel:
    """A row's own model, over the server."""
    server.always("openai", Reply("It is Ulm.", reasoning="The city on the Danube."))
    spec = ProviderSpec(
        name="cloud",
        kind="openai",
        model="gpt-4o-mini",
        location="cloud",
        base_url=server.openai_url,
        price="free",
    )
    return OpenAIProvider(spec, source="test").open_model(key)


@pytest.fixture
async def model(server: LoopbackServer) -> Any:
    """That model alone."""
    async with aclosing(opened(server)) as one:
        yield one.model


@WAYS
@pytest.mark.parametrize("arguments", CALLS, ids=str)
async def test_the_request_and_the_answer_are_those_of_the_clients_own_completions(
    server: LoopbackServer, model: Any, ask: Ask, arguments: dict[str, Any]
) -> None:
    assert isinstance(model.async_client, PlainCompletions)
    plain = await ask(model, arguments)
    model.async_client = model.root_async_client.chat.completions
    theirs = await ask(model, arguments)

    sent, sent_by_theirs = server.calls()
    assert (sent.path, sent.body) == (sent_by_theirs.path, sent_by_theirs.body)
    marks = {"x-stainless-raw-response", "content-length"}
    assert {name: sent.headers[name] for name in sent.headers if name not in marks} == {
        name: value for name, value in sent_by_theirs.headers.items() if name not in marks
    }
    assert said(plain.model_dump()) == said(theirs.model_dump())
    assert plain.text == "It is Ulm."


@WAYS
async def test_an_administrators_key_is_not_sent(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-secret")
    async with aclosing(opened(server)) as one:
        await ask(one.model, {})
    assert server.calls()[0].headers["authorization"] == f"Bearer {KEY}"
    assert "sk-admin-secret" not in str(server.calls()[0].headers)


@WAYS
async def test_a_key_of_langsmiths_gateway_has_streams_too(
    server: LoopbackServer, ask: Ask
) -> None:
    async with aclosing(opened(server, "lsv2_sk_gateway")) as one:
        assert (await ask(one.model, {})).text == "It is Ulm."


@WAYS
async def test_a_package_that_watches_the_client_sees_each_call(
    model: Any, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    seen: list[str] = []
    theirs = AsyncCompletions.create

    @wraps(theirs)
    async def watched(self: AsyncCompletions, **asked: Any) -> Any:
        seen.append(asked["model"])
        return await theirs(self, **asked)

    # As such packages do: Sentry's, OpenTelemetry's.
    monkeypatch.setattr(AsyncCompletions, "create", watched)
    assert (await ask(model, {})).text == "It is Ulm."
    assert seen == ["gpt-4o-mini"]
