"""The endpoint, by OpenAI's own client for Python."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image
from pydantic import BaseModel

from aegis_graph.testing import Fault, Reply
from tests.server.served import Served

ASK: Any = [{"role": "user", "content": "Where is the Louvre?"}]
PARIS = Reply("It is in Paris.", input_tokens=12, output_tokens=4)
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
CALLS = Reply(
    tool_calls=(
        {"name": "weather", "args": {"city": "Paris"}, "id": "call_1"},
        {"name": "weather", "args": {"city": "Rome"}, "id": "call_2"},
    )
)


class City(BaseModel):
    name: str
    country: str


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    # The key is passed over: there is none on this server.
    with openai.OpenAI(base_url=served.openai_url, api_key="none", max_retries=0) as made:
        yield made


def test_the_models_are_what_a_request_may_name(client: openai.OpenAI) -> None:
    names = [one.id for one in client.models.list()]
    assert names[:5] == ["auto", "fast", "first", "gpt-4o", "second"]
    assert client.models.retrieve("llama3.2:3b").owned_by == "here"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing/of:that")


def test_an_answer_says_who_gave_it_and_what_it_cost(client: openai.OpenAI, served: Served) -> None:
    served.provider.script("openai", Fault.status(400), PARIS)
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=ASK)
    answer = raw.parse()
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("It is in Paris.", "stop")
    assert (answer.model, answer.object) == ("gpt-4o-mini", "chat.completion")
    usage: Any = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (12, 4, 16)
    assert (usage.cost_usd, usage.cost_basis) == ("0.00002", "reported")
    assert raw.headers["x-aegis-cost-usd"] == "0.00002"
    assert raw.headers["x-aegis-provider"] == "second"
    assert raw.headers["x-aegis-attempts"] == "2"
    rows = served.rows()
    assert [row["status"] for row in rows] == ["failed", "answered"]
    assert {row["route_id"] for row in rows} == {raw.headers["x-aegis-route-id"]}
    assert sum(row["cost_nano_usd"] for row in rows) == 20_000


@pytest.mark.parametrize("name", ["auto", "first", "gpt-4o"])
def test_a_name_chooses_the_provider(client: openai.OpenAI, served: Served, name: str) -> None:
    served.provider.script("openai", PARIS, model="gpt-4o")
    assert client.chat.completions.create(model=name, messages=ASK).model == "gpt-4o"


def test_an_alias_and_every_parameter_reach_the_provider(
    client: openai.OpenAI, served: Served
) -> None:
    served.provider.script("openai", PARIS, model="gpt-4o-mini")
    client.chat.completions.create(
        model="fast",
        messages=[{"role": "developer", "content": "Be brief."}, *ASK],
        max_completion_tokens=7,
        temperature=0.5,
        top_p=0.9,
        seed=3,
        stop="END",
        store=True,
        user="someone",
    )
    (sent,) = [call.body for call in served.provider.calls("openai")]
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    expected = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["END"]}
    assert {name: sent.get(name) for name in expected} == expected
    assert "store" not in sent
    assert [row["user_id"] for row in served.rows()] == ["someone"]


@pytest.mark.parametrize("includes_usage", [False, True])
def test_a_stream_has_its_pieces_and_at_the_end_the_route(
    client: openai.OpenAI, served: Served, includes_usage: bool
) -> None:
    served.provider.script("openai", PARIS)
    more: Any = {"stream_options": {"include_usage": True}} if includes_usage else {}
    with client.chat.completions.create(model="auto", messages=ASK, stream=True, **more) as stream:
        assert stream.response.headers["x-aegis-provider"] == "first"
        events: list[Any] = list(stream)
    said = [event.choices[0].delta.content for event in events if event.choices]
    assert "".join(text or "" for text in said) == "It is in Paris."
    assert len([text for text in said if text]) == 4
    assert len({event.id for event in events}) == 1
    (ended,) = [one for one in events if one.choices and one.choices[0].finish_reason]
    assert (ended.choices[0].finish_reason, ended.aegis["cost_usd"]) == ("stop", "0.00002")
    assert [event.usage.total_tokens for event in events if event.usage] == [16] * includes_usage


def test_tools_are_called_and_answered(client: openai.OpenAI, served: Served) -> None:
    served.provider.script("openai", CALLS, PARIS)
    first = client.chat.completions.create(
        model="auto", messages=ASK, tools=[TOOL], tool_choice="required"
    )
    (choice,) = first.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    calls: Any = choice.message.tool_calls
    assert [(call.id, call.function.arguments) for call in calls] == [
        ("call_1", '{"city": "Paris"}'),
        ("call_2", '{"city": "Rome"}'),
    ]
    results: Any = [{"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in calls]
    said: Any = choice.message.model_dump(exclude_none=True)
    client.chat.completions.create(model="auto", messages=[*ASK, said, *results], tools=[TOOL])
    sent = [call.body for call in served.provider.calls("openai")]
    assert sent[0]["tools"] == [TOOL]
    assert sent[0]["tool_choice"] == "required"
    roles = [message["role"] for message in sent[1]["messages"]]
    assert roles == ["user", "assistant", "tool", "tool"]
    asked = [call["id"] for call in sent[1]["messages"][1]["tool_calls"]]
    assert asked == [message["tool_call_id"] for message in sent[1]["messages"][2:]]


def test_tool_calls_come_in_a_stream(client: openai.OpenAI, served: Served) -> None:
    served.provider.script("openai", CALLS)
    with client.chat.completions.stream(model="auto", messages=ASK, tools=[TOOL]) as stream:
        found: Any = stream.get_final_completion().choices[0]
    assert found.finish_reason == "tool_calls"
    assert [call.function.parsed_arguments for call in found.message.tool_calls] == [
        {"city": "Paris"},
        {"city": "Rome"},
    ]


def test_an_answer_fits_its_schema_or_the_next_provider_is_asked(
    client: openai.OpenAI, served: Served
) -> None:
    served.provider.script(
        "openai",
        Reply('{"name": "Paris"}'),
        Reply('{"name": "Paris", "country": "France"}'),
        Reply('{"name": "Rome", "country": "Italy"}'),
        Reply('{"any": 1}'),
    )
    completions = client.chat.completions
    parsed = completions.parse(model="auto", messages=ASK, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Paris", country="France")
    assert [row["status"] for row in served.rows()] == ["failed", "answered"]
    with completions.stream(model="here", messages=ASK, response_format=City) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.parsed == City(name="Rome", country="Italy")
    plain = completions.create(model="here", messages=ASK, response_format={"type": "json_object"})
    assert plain.choices[0].message.content == '{"any": 1}'


def test_an_image_goes_to_the_provider(client: openai.OpenAI, served: Served) -> None:
    served.provider.script("openai", PARIS)
    drawn = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(drawn, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()}"
    parts: Any = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": url}}]
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": parts}])
    (sent,) = [call.body for call in served.provider.calls("openai")]
    assert sent["messages"][0]["content"][1]["image_url"]["url"] == url


async def test_the_async_client_asks_many_at_once(served: Served) -> None:
    served.provider.always("openai", PARIS)
    async with openai.AsyncOpenAI(base_url=served.openai_url, api_key="x") as client:

        async def one() -> str:
            stream = await client.chat.completions.create(model="auto", messages=ASK, stream=True)
            return "".join([event.choices[0].delta.content or "" async for event in stream])

        assert await asyncio.gather(*(one() for _ in range(20))) == ["It is in Paris."] * 20
    assert len(served.rows()) == 20


def test_vectors_come_as_numbers_and_as_base64(client: openai.OpenAI, served: Served) -> None:
    both = [
        client.embeddings.create(model="auto", input=["a hold", "a row"], encoding_format=form)
        for form in ("float", "base64")
    ]
    plain = client.embeddings.create(model="text-embedding-3-small", input="a hold")
    assert [len(one.embedding) for one in both[0].data] == [1024, 1024]
    assert plain.data[0].embedding == pytest.approx(both[0].data[0].embedding, abs=1e-6)
    assert isinstance(both[1].data[0].embedding, str)
    usage: Any = plain.usage
    assert (usage.prompt_tokens > 0, usage.cost_usd != "0") == (True, True)
    assert {row["task"] for row in served.rows()} == {"embed"}


def test_a_response_has_text_and_usage(client: openai.OpenAI, served: Served) -> None:
    served.provider.script("openai", PARIS, Reply("cut", finish_reason="length"))
    found: Any = client.responses.create(model="auto", input="?", instructions="Be brief.")
    assert (found.output_text, found.status) == ("It is in Paris.", "completed")
    assert (found.usage.total_tokens, found.usage.cost_usd) == (16, "0.00002")
    cut = client.responses.create(model="auto", input=ASK, max_output_tokens=3)
    assert (cut.status, cut.output_text) == ("incomplete", "cut")
    sent = [call.body["messages"][0] for call in served.provider.calls("openai")]
    assert [one["content"] for one in sent] == ["Be brief.", "Where is the Louvre?"]


def test_a_response_streams_and_calls_functions(client: openai.OpenAI, served: Served) -> None:
    served.provider.script("openai", PARIS, CALLS, PARIS)
    with client.responses.stream(model="auto", input="?") as stream:
        deltas = [one.delta for one in stream if one.type == "response.output_text.delta"]
        assert "".join(deltas) == stream.get_final_response().output_text == "It is in Paris."
    assert len(deltas) == 4
    tool: Any = {"type": "function", **TOOL["function"]}
    with client.responses.stream(model="auto", input="?", tools=[tool]) as stream:
        output: Any = stream.get_final_response().output
    assert [call.parsed_arguments for call in output] == [{"city": "Paris"}, {"city": "Rome"}]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "sun"}
        for call in output
    ]
    said: Any = [*ASK, *(call.model_dump() for call in output), *results]
    assert client.responses.create(model="auto", input=said, tools=[tool]).output_text
    sent = served.provider.calls("openai")[-1].body["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool"]


def test_a_response_fits_its_schema(client: openai.OpenAI, served: Served) -> None:
    served.provider.script("openai", Reply('{"name": "Paris", "country": "France"}'))
    found = client.responses.parse(model="auto", input="?", text_format=City)
    assert found.output_parsed == City(name="Paris", country="France")
