"""ChatDashScope and its provider against a real server and the real SDK."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)
from pydantic import SecretStr, ValidationError

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    InvalidRequestError,
    MalformedAnswerError,
    ModelAccessError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
    StreamCutError,
)
from aegis_graph.providers.dashscope.chat_model import DEFAULT_BASE_URL, ChatDashScope
from aegis_graph.providers.dashscope.provider import DashScopeProvider
from aegis_graph.testing import Fault, LoopbackServer, Reply

KEY = "sk-very-secret-0123456789"
PROMPT = "my-private-question"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TEXT_PATH = "/api/v1/services/aigc/text-generation/generation"
VISION_PATH = "/api/v1/services/aigc/multimodal-generation/generation"
FULL = Reply(
    "It is Paris.",
    reasoning="Think of France.",
    tool_calls=({"name": "look_up", "args": {"city": "Paris"}, "id": "call_7"},),
    input_tokens=20,
    output_tokens=12,
    cached_input_tokens=16,
    reasoning_tokens=6,
)


def _model(server: LoopbackServer, **fields: Any) -> ChatDashScope:
    settings = {"model": "qwen-plus", "api_key": SecretStr(KEY), "base_url": server.dashscope_url}
    return ChatDashScope(**{**settings, **fields})


@asynccontextmanager
async def _opened(server: LoopbackServer, **fields: Any) -> AsyncIterator[ChatDashScope]:
    model = _model(server, **fields)
    try:
        yield model
    finally:
        await model.aclose()


def _provider(url: str, **fields: Any) -> DashScopeProvider:
    row = {
        "name": "cloud",
        "kind": "dashscope",
        "model": "qwen-plus",
        "location": "cloud",
        "price": "free",
    }
    spec = ProviderSpec.model_validate({**row, "base_url": url, **fields})
    return DashScopeProvider(spec, environ={"DASHSCOPE_API_KEY": KEY})


def _parameters(server: LoopbackServer, index: int = 0) -> dict[str, Any]:
    parameters: dict[str, Any] = server.calls("dashscope")[index].body["parameters"]
    return parameters


FULL_METADATA = {
    "finish_reason": "tool_calls",
    "model_name": "qwen-plus",
    "model_provider": "dashscope",
    "request_id": "loopback-1",
}


def _assert_full(answer: AIMessage) -> None:
    assert answer.content == "It is Paris."
    assert answer.additional_kwargs == {"reasoning_content": "Think of France."}
    assert [(c["id"], c["name"], c["args"]) for c in answer.tool_calls] == [
        ("call_7", "look_up", {"city": "Paris"})
    ]
    assert answer.usage_metadata == {
        "input_tokens": 20,
        "output_tokens": 12,
        "total_tokens": 32,
        "input_token_details": {"cache_read": 16},
        "output_token_details": {"reasoning": 6},
    }
    assert answer.response_metadata == FULL_METADATA


async def test_an_answer_arrives_whole(server: LoopbackServer) -> None:
    server.script("dashscope", FULL)
    async with _opened(server) as model:
        answer = await model.ainvoke("Which city?")
    assert not isinstance(answer, AIMessageChunk)
    _assert_full(answer)


@pytest.mark.parametrize("model_name", ["qwen-plus", "qwen3-vl-plus"])
async def test_a_stream_carries_the_usage_once(server: LoopbackServer, model_name: str) -> None:
    server.script("dashscope", Reply("one two three", input_tokens=8, output_tokens=3))
    async with _opened(server, model=model_name) as model:
        chunks = [chunk async for chunk in model.astream("Count.")]
    assert [chunk.content for chunk in chunks if chunk.content] == ["one ", "two ", "three"]
    counts = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    assert counts == [{"input_tokens": 8, "output_tokens": 3, "total_tokens": 11}]


async def test_a_joined_stream_is_the_whole_answer(server: LoopbackServer) -> None:
    server.script("dashscope", FULL)
    async with _opened(server) as model:
        chunks = [chunk async for chunk in model.astream("Which city?")]
    _assert_full(chunks[0] + chunks[1:])


def test_sync_calls_give_the_same(server: LoopbackServer) -> None:
    server.script("dashscope", FULL, Reply("one two"), Reply("one two three"))
    model = _model(server)
    _assert_full(model.invoke("Which city?"))
    assert "".join(str(chunk.content) for chunk in model.stream("Count.")) == "one two"
    half = model.stream("Count.")
    assert next(half).content == "one "
    half.close()  # type: ignore[attr-defined]
    server.assert_all_used()


async def test_the_wire_is_always_an_incremental_stream(server: LoopbackServer) -> None:
    server.script("dashscope", Reply("Hello"))
    fields = {"max_tokens": 50, "temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"]}
    async with _opened(server, **fields) as model:
        await model.ainvoke([SystemMessage("Be brief."), HumanMessage("Hi")], max_tokens=9)
    (call,) = server.calls("dashscope")
    assert call.path == TEXT_PATH
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.streamed
    assert call.body == {
        "model": "qwen-plus",
        "input": {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
            ]
        },
        "parameters": {
            "result_format": "message",
            "incremental_output": True,
            "max_tokens": 9,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 7,
            "stop": ["END"],
            "enable_thinking": False,
        },
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": "qwen-plus"}, {"enable_thinking": False}),
        ({"model": "qwen3-32b"}, {"enable_thinking": False}),
        ({"model": "qwen-max", "enable_thinking": True}, {}),
        ({"model": "qwen3-vl-30b-a3b-instruct"}, {}),
        ({"enable_thinking": True}, {"enable_thinking": True, "thinking_budget": 40}),
        (
            {"enable_thinking": True, "thinking_budget": 7},
            {"enable_thinking": True, "thinking_budget": 7},
        ),
        (
            {"model": "qwen3-vl-30b-a3b-thinking"},
            {"enable_thinking": True, "thinking_budget": 40},
        ),
    ],
)
async def test_thinking_follows_the_model(
    server: LoopbackServer, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    server.script("dashscope", Reply("Hello"))
    async with _opened(server, max_tokens=40, **fields) as model:
        await model.ainvoke("Hi", response_format={"type": "json_object"})
    sent = _parameters(server)
    assert {name: sent[name] for name in sent if "thinking" in name} == expected
    # JSON mode and thinking exclude each other, and the service would refuse the call.
    assert ("response_format" in sent) is not expected.get("enable_thinking", False)


async def test_tools_reach_the_wire(server: LoopbackServer) -> None:
    def look_up(city: str) -> str:
        """Look a city up."""
        return city

    server.script("dashscope", Reply("a"), Reply("b"))
    async with _opened(server, enable_thinking=True) as thinking, _opened(server) as model:
        await model.bind_tools([look_up], tool_choice="any").ainvoke("Hi")
        await model.bind_tools([look_up]).ainvoke("Hi")
        with pytest.raises(InvalidRequestError, match="force"):
            await thinking.bind_tools([look_up], tool_choice="look_up").ainvoke("Hi")
    forced, free = _parameters(server, 0), _parameters(server, 1)
    assert forced["tools"][0]["function"]["name"] == "look_up"
    assert forced["tool_choice"] == {"type": "function", "function": {"name": "look_up"}}
    assert "tool_choice" not in free
    assert len(server.calls()) == 2


async def test_vision_models_use_their_own_path(server: LoopbackServer) -> None:
    server.script("dashscope", Reply("A cat."), Reply("Yes."), Reply("No."))
    image = {"type": "image_url", "image_url": {"url": PIXEL}}
    async with _opened(server, model="qwen3-vl-plus", vl_high_resolution_images=True) as model:
        await model.ainvoke([HumanMessage(["What is it?", image])])
        await model.ainvoke("Only words?")
    async with _opened(server, model="my-own-name", multimodal=True) as model:
        await model.ainvoke("Only words?")
    calls = server.calls("dashscope")
    assert [call.path for call in calls] == [VISION_PATH] * 3
    assert calls[0].body["input"]["messages"] == [
        {"role": "user", "content": [{"text": "What is it?"}, {"image": PIXEL}]}
    ]
    assert calls[0].body["parameters"]["vl_high_resolution_images"] is True
    assert "vl_high_resolution_images" not in calls[2].body["parameters"]


@pytest.mark.parametrize("model_name", ["qwen-plus", "qwen3-vl-plus"])
@pytest.mark.parametrize("form", ["{path}", "file://{path}", "oss://bucket/{path}"])
async def test_a_text_that_names_a_file_is_sent_as_it_is(
    server: LoopbackServer, tmp_path: Path, model_name: str, form: str
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the content of a file", encoding="utf-8")
    text = form.format(path=secret)
    server.script("dashscope", Reply("Hello"), Reply("Hello"))
    async with _opened(server, model=model_name) as model:
        await model.ainvoke([SystemMessage(text), HumanMessage(text)])
    await asyncio.to_thread(_model(server, model=model_name).invoke, text)
    assert len(server.journal) == len(server.calls("dashscope")) == 2
    for call, count in zip(server.calls("dashscope"), (2, 1), strict=True):
        contents = [message["content"] for message in call.body["input"]["messages"]]
        assert contents == [[{"text": text}] if call.path == VISION_PATH else text] * count
        assert "x-dashscope-ossresourceresolve" not in call.headers


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "oss://bucket/{path}"])
async def test_an_image_that_names_a_file_is_refused(
    server: LoopbackServer, tmp_path: Path, form: str
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"the content of a file")
    value = form.format(path=secret)
    blocks: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": value}},
        {"type": "image", "url": value},
        {"image": value},
    ]
    async with _opened(server, model="qwen3-vl-plus") as model:
        for block in blocks:
            with pytest.raises(ValueError, match="https://"):
                await model.ainvoke([HumanMessage([block])])
    assert server.journal == ()


async def test_the_environment_of_the_sdk_changes_nothing(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "API_KEY": "sk-other",
        "BASE_URL": "http://127.0.0.1:9/api/v1",
        "WORKSPACE": "other",
        "PROTOCOL": "openai",
        "MAX_RETRIES": "5",
        "TIMEOUT": "0.001",
    }.items():
        monkeypatch.setenv(f"DASHSCOPE_{name}", value)
    server.script("dashscope", Fault.status(503), Reply("Hello"))
    async with _opened(server) as model:
        with pytest.raises(Exception, match="ModelUnavailable"):
            await model.ainvoke("Hi")
    await asyncio.to_thread(_model(server).invoke, "Hi")
    for call in server.calls("dashscope"):
        assert call.headers["authorization"] == f"Bearer {KEY}"
        assert "x-dashscope-workspace" not in call.headers
    server.assert_all_used()


TWO_WORDS = Reply("one two three")
FAULTS: list[tuple[Fault, type[ProviderError], bool]] = [
    (Fault.status(400), BadRequestError, False),
    (Fault.status(400, error_code="InternalError.Algo.InvalidParameter"), BadRequestError, False),
    (
        Fault.status(400, error_code="InvalidParameter.NotSupportEnableThinking"),
        BadRequestError,
        False,
    ),
    (Fault.status(400, error_code="DataInspectionFailed"), ContentRefusedError, False),
    (Fault.status(400, error_code="data_inspection_failed"), ContentRefusedError, False),
    (Fault.status(400, error_code="Arrearage"), QuotaError, False),
    (Fault.status(401), AuthenticationError, False),
    (Fault.status(401, error_code="invalid_api_key"), AuthenticationError, False),
    (Fault.status(401, error_code="NOT AUTHORIZED"), AuthenticationError, False),
    (Fault.status(403), ModelAccessError, False),
    (Fault.status(403, error_code="AccessDenied.Unpurchased"), ModelAccessError, False),
    (Fault.status(403, error_code="Workspace.AccessDenied"), ModelAccessError, False),
    (Fault.status(403, error_code="AllocationQuota.FreeTierOnly"), QuotaError, False),
    (Fault.status(404), ModelAccessError, False),
    (Fault.status(404, error_code="model_not_supported"), ModelAccessError, False),
    (Fault.status(413, error_code="Unheard.Of"), BadRequestError, False),
    (Fault.status(429, retry_after_s=2), RateLimitError, False),
    (Fault.status(429, error_code="Throttling.AllocationQuota"), RateLimitError, False),
    (Fault.status(429, error_code="limit_requests"), RateLimitError, False),
    (Fault.status(429, error_code="insufficient_quota"), QuotaError, False),
    (Fault.status(429, error_code="CommodityNotPurchased"), QuotaError, False),
    (Fault.status(429, error_code="PrepaidBillOverdue"), QuotaError, False),
    (Fault.status(429, error_code="PostpaidBillOverdue"), QuotaError, False),
    (Fault.status(500), ProviderUnavailableError, False),
    (Fault.status(500, error_code="InternalError.Timeout"), ProviderUnavailableError, False),
    (Fault.status(500, error_code="RequestTimeOut"), ProviderUnavailableError, False),
    (Fault.status(500, error_code="SystemError"), ProviderUnavailableError, False),
    (Fault.status(503), ProviderUnavailableError, False),
    (Fault.drop(), ProviderUnavailableError, True),
    (Fault.cut(TWO_WORDS, after_chunks=0), StreamCutError, True),
    (Fault.cut(TWO_WORDS, after_chunks=2), StreamCutError, True),
    (Fault.end_early(TWO_WORDS, after_chunks=0), StreamCutError, True),
    (Fault.end_early(TWO_WORDS, after_chunks=2), StreamCutError, True),
    (Fault.malformed(), MalformedAnswerError, True),
    (Fault.malformed(after_chunks=2), MalformedAnswerError, True),
    (Fault.stream_error(TWO_WORDS, after_chunks=2), ProviderUnavailableError, True),
    (Fault.stream_error(TWO_WORDS, 0, "AccessDenied.Unpurchased"), ModelAccessError, False),
    (Fault.stream_error(TWO_WORDS, 0, "Throttling.RateQuota"), RateLimitError, False),
    (Fault.stream_error(TWO_WORDS, 1, "DataInspectionFailed"), ContentRefusedError, True),
    (Fault.stream_error(TWO_WORDS, 1, "Unheard.Of"), ProviderUnavailableError, True),
]


def _fault_name(value: object) -> str:
    if not isinstance(value, Fault):
        return ""
    detail = value.status_code if value.kind == "status" else value.after_chunks
    return "-".join(str(part) for part in (value.kind, detail, value.error_code) if part)


@pytest.mark.parametrize(("fault", "kind", "unknown"), FAULTS, ids=_fault_name)
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_every_fault_has_its_error(
    server: LoopbackServer, fault: Fault, kind: type[ProviderError], unknown: bool, sync: bool
) -> None:
    server.script("dashscope", fault)
    provider = _provider(server.dashscope_url)
    model = await provider.model()
    with pytest.raises(Exception) as raised:  # noqa: PT011  the boundary takes any of them
        await (asyncio.to_thread(model.invoke, PROMPT) if sync else model.ainvoke(PROMPT))
    error = provider.translate(raised.value)
    assert (type(error), error.outcome_unknown) == (kind, unknown)
    if fault.kind == "status":
        assert (error.status, error.retry_after_s) == (fault.status_code, fault.retry_after_s)
    else:
        assert error.status is None
    assert len(server.calls()) == 1


async def test_no_message_carries_the_key_or_what_the_service_said(
    server: LoopbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = f"you sent {PROMPT} with {KEY}"
    server.script(
        "dashscope",
        Fault.status(400, message=said),
        Fault.status(429, message=said, error_code=said * 3),
        Fault.malformed(after_chunks=1),
        Fault.drop(),
        Fault.cut(TWO_WORDS, 1),
    )
    provider = _provider(server.dashscope_url)
    model = await provider.model()
    for _ in range(5):
        with pytest.raises(Exception) as raised:  # noqa: PT011  the boundary takes any of them
            await model.ainvoke(PROMPT)
        error = provider.translate(raised.value)
        assert PROMPT not in f"{error!r} {error} {error.code}"
        assert KEY not in f"{error!r} {error} {error.code}"
    assert KEY not in repr(model) + str(model) + repr(model.bind(a=1)) + str(model.asdict())
    assert KEY not in caplog.text
    assert PROMPT not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_silent_service_is_a_timeout(server: LoopbackServer) -> None:
    server.script("dashscope", Fault.hang())
    provider = _provider(server.dashscope_url)
    model = await provider.model()
    with pytest.raises(TimeoutError) as raised:
        async with asyncio.timeout(0.2):
            await model.ainvoke("Hi")
    error = provider.translate(raised.value)
    assert (type(error), error.outcome_unknown) == (ProviderTimeoutError, True)
    await asyncio.to_thread(server.wait_until_idle)


async def test_a_refused_connection_costs_nothing(server: LoopbackServer) -> None:
    provider = _provider(server.dashscope_url)
    server.stop()
    model = await provider.model()
    for call in (model.ainvoke("Hi"), asyncio.to_thread(model.invoke, "Hi")):
        with pytest.raises(Exception) as raised:  # noqa: PT011  the boundary takes any of them
            await call
        error = provider.translate(raised.value)
        assert (type(error), error.outcome_unknown) == (ProviderUnavailableError, False)


def test_errors_from_before_and_beyond_the_sdk_are_translated() -> None:
    provider = _provider("http://127.0.0.1:9/api/v1")
    request = InvalidRequestError("no")
    own = RateLimitError("slow down")
    assert type(provider.translate(request)) is BadRequestError
    assert provider.translate(own) is own
    assert type(provider.translate(httpx.ReadTimeout("x"))) is ProviderTimeoutError
    strange = provider.translate(AttributeError("x"))
    assert (type(strange), strange.outcome_unknown) == (MalformedAnswerError, True)


async def test_a_text_that_cannot_be_encoded_is_a_bad_request(server: LoopbackServer) -> None:
    provider = _provider(server.dashscope_url)
    with pytest.raises(UnicodeEncodeError) as raised:
        await (await provider.model()).ainvoke("\ud800")
    assert type(provider.translate(raised.value)) is BadRequestError
    assert server.journal == ()


async def test_leaving_a_stream_hangs_up(server: LoopbackServer) -> None:
    server.script("dashscope", Fault.slow_stream(Reply("word " * 100), interval_s=0.01))
    async with _opened(server) as model:
        stream = model.astream("Talk.")
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await asyncio.to_thread(server.wait_until_idle)
    assert not server.calls()[0].produced.completed


async def test_a_hundred_and_fifty_calls_are_in_flight_at_once(server: LoopbackServer) -> None:
    server.always("dashscope", Fault.hang())
    async with _opened(server) as model:
        tasks = [asyncio.create_task(model.ainvoke("Hi")) for _ in range(150)]
        await asyncio.to_thread(server.wait_for_calls, 150)
        assert server.peak_in_flight == 150
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in done)
        await asyncio.to_thread(server.wait_until_idle)


def test_each_event_loop_has_a_client_of_its_own(server: LoopbackServer) -> None:
    server.script("dashscope", Reply("one"), Reply("two"))
    provider = _provider(server.dashscope_url)

    async def ask() -> BaseMessage:
        return await (await provider.model()).ainvoke("Hi", **provider.call_options(77))

    assert [asyncio.run(ask()).content, asyncio.run(ask()).content] == ["one", "two"]
    assert _parameters(server)["max_tokens"] == 77


async def test_the_row_of_the_configuration_reaches_the_wire(server: LoopbackServer) -> None:
    server.script("dashscope", Reply("Hello"), Reply("Hello"))
    thinking = _provider(server.dashscope_url, thinking=True, temperature=0.25)
    await (await thinking.model()).ainvoke("Hi", **thinking.call_options(60))
    images = _provider(server.dashscope_url, model="some-name", images=True)
    await (await images.model()).ainvoke("Hi")
    sent = _parameters(server)
    assert (sent["thinking_budget"], sent["max_tokens"], sent["temperature"]) == (60, 60, 0.25)
    assert server.calls()[1].path == VISION_PATH


@pytest.mark.parametrize(
    ("model_name", "thinking"),
    [
        ("qwen-plus", False),
        ("qwen-plus", True),
        ("qwen-max", True),
        ("qwen3-vl-30b-a3b-thinking", False),
    ],
)
async def test_the_output_bound_is_what_the_wire_allows(
    server: LoopbackServer, model_name: str, thinking: bool
) -> None:
    server.script("dashscope", Reply("Hello"))
    provider = _provider(server.dashscope_url, model=model_name, thinking=thinking)
    await (await provider.model()).ainvoke("Hi", **provider.call_options(60))
    sent = _parameters(server)
    assert provider.output_bound(60) == sent["max_tokens"] + sent.get("thinking_budget", 0)


def test_an_answer_is_complete_with_a_finish_reason_only() -> None:
    provider = _provider("http://127.0.0.1:9/api/v1")
    provider.check_complete(AIMessage("x", response_metadata={"finish_reason": "length"}))
    for metadata in ({}, {"finish_reason": "null"}):
        with pytest.raises(StreamCutError):
            provider.check_complete(AIMessage("x", response_metadata=metadata))


async def test_the_probe_buys_nothing(server: LoopbackServer) -> None:
    found = await _provider(server.dashscope_url).probe()
    assert (found.reachable, found.model_there) == (True, None)
    assert server.calls() == ()
    assert "authorization" not in server.journal[0].headers
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not (await _provider(f"http://127.0.0.1:{port}/api/v1").probe()).reachable


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_is_refused(server: LoopbackServer, key: str) -> None:
    with pytest.raises(ValidationError, match="the key is empty"):
        _model(server, api_key=key)
    with pytest.raises(AuthenticationError):
        _provider(DEFAULT_BASE_URL).open_model(None)


def test_the_key_is_looked_up_under_both_names() -> None:
    assert _provider(DEFAULT_BASE_URL).key_env == "ALIBABA_CLOUD_API_KEY"
    assert _provider(DEFAULT_BASE_URL).api_key() == KEY
    assert _provider("http://127.0.0.1:9/api/v1", api_key_env="MY_KEY").key_env == "MY_KEY"


BUILDING = """
import sys
from aegis_graph import RouterConfig, create_router
config = RouterConfig()
assert "dashscope" in {row.kind for row in config.providers}
create_router(config)
print("dashscope" in sys.modules)
"""


def test_building_the_default_router_does_not_import_the_sdk() -> None:
    command = [sys.executable, "-c", BUILDING]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n", "it takes a second"
