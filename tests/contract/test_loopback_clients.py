"""The loopback server is read by the providers' own clients, streamed and not."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import dashscope
import ollama
import openai
import pytest
from dashscope.v2.errors import RateLimitError
from langchain_ollama import ChatOllama

from aegis_graph.testing import Fault, LoopbackServer, Reply, Usage
from aegis_graph.testing.loopback.journal import ProtocolName

MESSAGES = [{"role": "user", "content": "Which city?"}]
FULL = Reply(
    "It is Paris.",
    reasoning="Think of France.",
    tool_calls=({"name": "look_up", "args": {"city": "Paris"}, "id": "call_7"},),
    input_tokens=20,
    output_tokens=12,
    cached_input_tokens=16,
    reasoning_tokens=6,
)
each_mode = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


async def ask_openai(server: LoopbackServer, *, stream: bool) -> dict[str, Any]:
    async with openai.AsyncOpenAI(api_key="k", base_url=server.openai_url, max_retries=0) as client:
        create: Any = client.chat.completions.create
        if not stream:
            answer = await create(model="gpt-4o", messages=MESSAGES)
            message, usage = answer.choices[0].message, answer.usage
            call = message.tool_calls[0]
            return {
                "text": message.content,
                "reasoning": message.reasoning_content,
                "tool": (call.id, call.function.name, json.loads(call.function.arguments)),
                "finish": answer.choices[0].finish_reason,
                "usage": _openai_usage(usage),
            }
        options = {"include_usage": True}
        events = await create(
            model="gpt-4o", messages=MESSAGES, stream=True, stream_options=options
        )
        chunks = [chunk async for chunk in events]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    arguments = "".join(call.function.arguments for call in calls)
    return {
        "text": "".join(delta.content or "" for delta in deltas),
        "reasoning": "".join(getattr(delta, "reasoning_content", "") for delta in deltas),
        "tool": (calls[0].id, calls[0].function.name, json.loads(arguments)),
        "finish": chunks[-2].choices[0].finish_reason,
        "usage": _openai_usage(chunks[-1].usage),
    }


def _openai_usage(usage: Any) -> Usage:
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens_details.cached_tokens,
        usage.completion_tokens_details.reasoning_tokens,
    )


async def ask_dashscope(server: LoopbackServer, *, stream: bool) -> dict[str, Any]:
    client: Any = dashscope.AsyncClient(
        api_key="k",
        base_url=server.dashscope_url,
        protocol="native",
        timeout=60,
        max_retries=0,
        config_path=os.devnull,
    )
    create = client.chat.completions.create
    try:
        if stream:
            events = await create(
                model="qwen-plus", messages=MESSAGES, stream=True, incremental_output=True
            )
            answers = [answer async for answer in events]
        else:
            answers = [await create(model="qwen-plus", messages=MESSAGES)]
    finally:
        await client.aclose()
    choices = [answer.choices[0] for answer in answers]
    parts = [choice.delta if stream else choice.message for choice in choices]
    calls = [call for part in parts for call in part.tool_calls or ()]
    arguments = "".join(call.function.arguments for call in calls)
    usage = answers[-1].usage
    return {
        "text": "".join(part.content or "" for part in parts),
        "reasoning": "".join(part.reasoning_content or "" for part in parts),
        "tool": (calls[0].id, calls[0].function.name, json.loads(arguments)),
        "finish": choices[-1].finish_reason,
        "usage": Usage(
            usage.input_tokens,
            usage.output_tokens,
            usage.prompt_tokens_details["cached_tokens"],
            usage.output_tokens_details["reasoning_tokens"],
        ),
    }


async def ask_ollama(server: LoopbackServer, *, stream: bool) -> dict[str, Any]:
    async with ollama.AsyncClient(server.ollama_url) as client:
        chat: Any = client.chat
        answer = await chat(model="llama3.2:3b", messages=MESSAGES, stream=stream)
        lines = [line async for line in answer] if stream else [answer]
    calls = [call for line in lines for call in line.message.tool_calls or ()]
    return {
        "text": "".join(line.message.content or "" for line in lines),
        "reasoning": "".join(line.message.thinking or "" for line in lines),
        "tool": ("call_7", calls[0].function.name, calls[0].function.arguments),
        "finish": "tool_calls" if lines[-1].done_reason == "stop" else lines[-1].done_reason,
        "usage": Usage(lines[-1].prompt_eval_count, lines[-1].eval_count),
    }


CLIENTS: Mapping[ProtocolName, Callable[..., Awaitable[dict[str, Any]]]] = {
    "dashscope": ask_dashscope,
    "ollama": ask_ollama,
    "openai": ask_openai,
}


@each_mode
@pytest.mark.parametrize("protocol", CLIENTS)
async def test_the_provider_s_own_client_reads_the_whole_answer(
    server: LoopbackServer, protocol: ProtocolName, stream: bool
) -> None:
    server.script(protocol, FULL)
    usage = Usage(20, 12) if protocol == "ollama" else Usage(20, 12, 16, 6)

    answer = await CLIENTS[protocol](server, stream=stream)

    assert answer == {
        "text": "It is Paris.",
        "reasoning": "Think of France.",
        "tool": ("call_7", "look_up", {"city": "Paris"}),
        "finish": "tool_calls",
        "usage": usage,
    }
    (call,) = server.calls(protocol)
    assert call.produced.usage == usage
    assert call.produced.completed
    assert call.produced.characters_sent == len(
        'It is Paris.Think of France.look_up{"city": "Paris"}'
    )
    server.assert_all_used()


@each_mode
async def test_chat_ollama_reads_the_whole_answer(server: LoopbackServer, stream: bool) -> None:
    server.script("ollama", FULL)
    model = ChatOllama(model="llama3.2:3b", base_url=server.ollama_url, reasoning=True)

    if stream:
        answer: Any = None
        async for chunk in model.astream("Which city?"):
            answer = chunk if answer is None else answer + chunk
    else:
        answer = await model.ainvoke("Which city?")
    await model._async_client._client.aclose()

    assert answer.content == "It is Paris."
    assert answer.additional_kwargs["reasoning_content"] == "Think of France."
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [
        ("look_up", {"city": "Paris"})
    ]
    assert answer.response_metadata["done_reason"] == "stop"
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (
        20,
        12,
    )


async def test_the_clients_translate_an_http_error(server: LoopbackServer) -> None:
    for protocol in CLIENTS:
        server.always(protocol, Fault.status(429, retry_after_s=2))

    with pytest.raises(openai.RateLimitError) as from_openai:
        await ask_openai(server, stream=True)
    with pytest.raises(ollama.ResponseError) as from_ollama:
        await ask_ollama(server, stream=True)
    with pytest.raises(RateLimitError) as from_dashscope:
        await ask_dashscope(server, stream=True)

    assert from_openai.value.code == "rate_limit_exceeded"
    assert from_openai.value.response.headers["retry-after"] == "2"
    assert from_ollama.value.status_code == 429
    assert from_dashscope.value.code == "Throttling.RateQuota"
    assert from_dashscope.value.headers["retry-after"] == "2"


async def test_the_key_and_the_request_are_in_the_journal(server: LoopbackServer) -> None:
    server.always("openai", FULL)
    server.always("dashscope", FULL)
    await ask_openai(server, stream=False)
    await ask_dashscope(server, stream=True)

    first, second = server.calls()

    assert [call.protocol for call in (first, second)] == ["openai", "dashscope"]
    assert first.headers["authorization"] == second.headers["authorization"] == "Bearer k"
    assert (first.model, first.streamed) == ("gpt-4o", False)
    assert (second.model, second.streamed) == ("qwen-plus", True)
    assert first.body["messages"] == second.body["input"]["messages"] == MESSAGES
    assert first.arrived_at < second.arrived_at


async def test_the_clients_list_the_models(server: LoopbackServer) -> None:
    server.models = ("a", "b")
    async with openai.AsyncOpenAI(api_key="k", base_url=server.openai_url) as client:
        from_openai = [model.id async for model in await client.models.list()]
    async with ollama.AsyncClient(server.ollama_url) as reader:
        from_ollama = [model.model for model in (await reader.list()).models]

    assert from_openai == from_ollama == ["a", "b"]
    assert server.calls() == ()
    assert [entry.path for entry in server.journal] == ["/v1/models", "/api/tags"]
