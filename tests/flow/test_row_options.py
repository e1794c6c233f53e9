"""Settings of a row reach the provider: each is seen on the wire, whole and streamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RoutedChatModel
from aegis_graph.providers.dashscope.options import DashScopeOptions
from aegis_graph.providers.ollama.options import SAMPLING, OllamaOptions
from aegis_graph.providers.openai.options import OpenAIOptions
from aegis_graph.testing import LoopbackServer, Received, Reply
from tests.flow.support import ask, make_config, open_router, provider

PARIS = Reply("No doubt: Paris.")

OPENAI: dict[str, Any] = {
    "top_p": 0.5,
    "seed": 7,
    "frequency_penalty": 0.25,
    "presence_penalty": -0.25,
    "reasoning_effort": "low",
    "verbosity": "high",
    "service_tier": "flex",
}
OLLAMA: dict[str, Any] = {
    "num_ctx": 16_384,
    "seed": 7,
    "top_k": 20,
    "top_p": 0.5,
    "min_p": 0.05,
    "typical_p": 0.75,
    "repeat_last_n": 64,
    "repeat_penalty": 1.25,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "mirostat": 2,
    "mirostat_eta": 0.25,
    "mirostat_tau": 4.5,
    "num_keep": 4,
    "num_batch": 256,
    "num_gpu": 0,
    "main_gpu": 0,
    "num_thread": 2,
    "use_mmap": False,
}
DASHSCOPE: dict[str, Any] = {
    "top_p": 0.5,
    "top_k": 20,
    "seed": 7,
    "presence_penalty": 0.5,
    "repetition_penalty": 1.25,
    "vl_high_resolution_images": True,
}
MORE = {"extra_body": {"metadata": {"team": "blue"}}, "extra_headers": {"X-Team": "blue"}}


async def sent(
    server: LoopbackServer, db: Path, row: dict[str, Any], *, stream: bool = False, **more: Any
) -> Received:
    """The call that a row makes."""
    for protocol in ("openai", "ollama", "dashscope"):
        server.always(protocol, PARIS)
    router = open_router(make_config(server, db, providers=[row]))
    if stream:
        async for _ in RoutedChatModel(router=router).astream("Which city?"):
            pass
    else:
        await router.ainvoke(ask(**more))
    (call,) = server.calls()
    return call


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_options_of_openai_are_sent(server: LoopbackServer, db: Path, stream: bool) -> None:
    row = provider(server, "openai", options={**OPENAI, **MORE})
    call = await sent(server, db, row, stream=stream)
    assert {name: call.body[name] for name in OPENAI} == OPENAI
    assert call.body["metadata"] == {"team": "blue"}
    assert call.body["max_tokens"] == 1024, "what the row adds leaves the cap in its place"
    assert call.headers["x-team"] == "blue"
    not_arguments = {"extra_body", "extra_headers", "output_cap", "stream", "stream_options"}
    assert OPENAI.keys() == OpenAIOptions.model_fields.keys() - not_arguments


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_options_of_ollama_are_sent(server: LoopbackServer, db: Path, stream: bool) -> None:
    options = {**OLLAMA, "keep_alive": "1h", "think": "low"}
    row = provider(server, "ollama", options=options, temperature=0.25)
    call = await sent(server, db, row, stream=stream)
    assert call.body["options"] == {**OLLAMA, "num_predict": 1024, "temperature": 0.25}
    assert (call.body["keep_alive"], call.body["think"]) == ("1h", "low")
    assert OLLAMA.keys() == SAMPLING
    assert options.keys() == OllamaOptions.model_fields.keys()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_options_of_dashscope_are_sent(
    server: LoopbackServer, db: Path, stream: bool
) -> None:
    options = {**DASHSCOPE, **MORE, "thinking_budget": 300}
    row = provider(server, "dashscope", options=options, thinking=True)
    call = await sent(server, db, row, stream=stream)
    sent_settings = call.body["parameters"]
    assert {name: sent_settings[name] for name in DASHSCOPE} == DASHSCOPE
    assert sent_settings["thinking_budget"] == 300
    assert sent_settings["metadata"] == {"team": "blue"}
    assert call.headers["x-team"] == "blue"
    # The last one is an address, and nothing that is sent.
    assert {*options, "batch_url"} == DashScopeOptions.model_fields.keys()


async def test_what_a_request_asks_for_wins_over_its_row(server: LoopbackServer, db: Path) -> None:
    row = provider(server, "ollama", options={"top_k": 20}, temperature=0.25)
    call = await sent(server, db, row, options={"temperature": 0.75, "stop": ["END"]})
    wanted = {"top_k": 20, "num_predict": 1024, "temperature": 0.75, "stop": ["END"]}
    assert call.body["options"] == wanted


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("schema", [False, True], ids=["", "schema"])
async def test_no_argument_of_langchains_openai_is_dropped(
    server: LoopbackServer, db: Path, stream: bool, schema: bool
) -> None:
    arguments = {
        "top_p": 0.5,
        "seed": 7,
        "frequency_penalty": 0.25,
        "extra_body": {"top_k": 20},
        "model_kwargs": {"user": "team-blue"},
        "default_headers": {"X-Team": "blue"},
    }
    row = provider(server, "openai", model="openai:gpt-4o", structured="json_schema") | {
        "kind": "langchain",
        "options": {"arguments": arguments},
    }
    more = {"options": {"response_schema": {"title": "Any", "type": "object"}}} if schema else {}
    if schema:
        server.script("openai", Reply("{}"))
    call = await sent(server, db, row, stream=stream and not schema, **more)
    found = {name: call.body.get(name) for name in ("top_p", "seed", "frequency_penalty")}
    assert found == {"top_p": 0.5, "seed": 7, "frequency_penalty": 0.25}
    assert (call.body["top_k"], call.body["user"]) == (20, "team-blue")
    assert call.headers["x-team"] == "blue"
    assert call.body["max_tokens"] == 1024


async def test_no_argument_of_langchains_ollama_is_dropped(
    server: LoopbackServer, db: Path
) -> None:
    table = {"num_ctx": 16_384, "top_k": 20, "mirostat": 2, "seed": 7, "min_p": 0.05}
    options = {"arguments": {**table, "keep_alive": "1h"}}
    row = provider(server, "ollama", model="ollama:llama3.2:3b", temperature=0.25)
    row |= {"kind": "langchain", "options": options}
    call = await sent(server, db, row, options={"stop": ["END"]})
    assert call.body["options"] == {
        **table,
        "num_predict": 1024,
        "temperature": 0.25,
        "stop": ["END"],
    }
    assert call.body["keep_alive"] == "1h"


async def test_ollama_is_asked_for_a_context_that_the_prompt_fits_into(
    server: LoopbackServer, db: Path
) -> None:
    call = await sent(
        server, db, provider(server, "ollama"), messages=ask("word " * 9000)["messages"]
    )
    assert call.body["options"]["num_ctx"] == 16_384


async def test_an_answer_to_half_a_prompt_is_a_failed_attempt(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Reply("Half.", input_tokens=4096, output_tokens=2))
    server.script("openai", PARIS)
    chain = [provider(server, "ollama"), provider(server, "openai")]
    router = open_router(make_config(server, db, providers=chain))
    result = await router.ainvoke(ask("word " * 27_000))
    assert result["messages"][-1].text == PARIS.text
    failed, _ = result["attempts"]
    assert failed["error_type"] == "ContextTooLongError"
    assert failed["reason"] == "the server read 4,096 tokens of a longer prompt"
