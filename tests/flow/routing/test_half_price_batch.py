"""DashScope's Batch Chat: the same model at half its price, at another address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from aegis_graph import ConfigError, RoutedChatModel
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.dashscope.batch import BATCH_URL
from aegis_graph.providers.registry import create_provider
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import ask, assert_sound, make_config, open_router, provider, rows

PRICE = {
    "input_usd_per_mtok": "2",
    "output_usd_per_mtok": "10",
    "cached_input_usd_per_mtok": "0.4",
}
ANSWER = Reply("It is Ulm.", input_tokens=10, output_tokens=5)
HALF = 10 * 1_000 + 5 * 5_000
BEIJING = "https://dashscope.aliyuncs.com/api/v1"
ROW = {"name": "qwen", "kind": "dashscope", "model": "qwen-plus", "location": "cloud"}


def row(server: LoopbackServer, **changes: Any) -> dict[str, Any]:
    options = {"batch_url": server.openai_url, **changes.pop("options", {})}
    return provider(
        server, "dashscope", **{"half_price": True, "price": PRICE, "options": options, **changes}
    )


def router_of(server: LoopbackServer, db: Path, **changes: Any) -> Any:
    return open_router(make_config(server, db, providers=[row(server, **changes)]))


def built(**changes: Any) -> Any:
    spec = ProviderSpec.model_validate({**ROW, "half_price": True, "price": PRICE, **changes})
    return create_provider(spec, source="a.toml", environ={"ALIBABA_CLOUD_API_KEY": "sk-1"})


async def test_a_request_that_can_wait_goes_to_batch_chat(server: LoopbackServer, db: Path) -> None:
    server.always("openai", ANSWER)
    result = await router_of(server, db).ainvoke(ask(max_wait_s=600))
    (attempt,) = result["attempts"]
    assert (attempt["provider"], attempt["tier"]) == ("dashscope", "batch")
    (paid,) = rows(db)
    assert (paid["provider"], paid["service_tier"]) == ("dashscope", "batch")
    assert (paid["cost_nano_usd"], paid["cost_basis"]) == (HALF, "reported")
    (call,) = server.calls()
    assert call.protocol == "openai"
    assert call.body["max_tokens"] == 1024
    assert call.body["enable_thinking"] is False
    assert call.headers["authorization"] == "Bearer sk-loopback-secret"
    assert_sound(db)


async def test_the_reservation_is_half_as_well(server: LoopbackServer, db: Path) -> None:
    server.always("openai", ANSWER)
    server.always("dashscope", ANSWER)
    router = router_of(server, db)
    await router.ainvoke(ask())
    await router.ainvoke(ask(max_wait_s=600))
    whole, half = (one["hold_nano_usd"] for one in rows(db))
    assert half * 2 == whole


async def test_a_wait_below_a_minute_is_not_asked_for(server: LoopbackServer, db: Path) -> None:
    server.always("dashscope", ANSWER)
    result = await router_of(server, db).ainvoke(ask(max_wait_s=59))
    assert "tier" not in result["attempts"][0]
    (passed_over,) = result["skipped"]
    assert (passed_over["tier"], passed_over["code"]) == ("batch", "wait")
    words = "takes 60 s at least, and has 59 s of what the request can wait"
    assert passed_over["reason"] == f"its tier batch {words}"
    late = await router_of(server, db).ainvoke(ask(max_wait_s=600, timeout_s=30))
    assert late["skipped"][0]["reason"].endswith("has 30 s of what the request can wait")


async def test_more_than_an_hour_is_not_waited_for(server: LoopbackServer, db: Path) -> None:
    server.always("openai", ANSWER)
    result = await router_of(server, db).ainvoke(ask(max_wait_s=86_400))
    assert result["attempts"][0]["reason"].endswith("(batch) for up to 3600 s")


@pytest.mark.parametrize(
    "refusal",
    [
        Fault.status(429, error_code="limit_requests"),
        Fault.status(404, error_code="model_not_supported"),
        Fault.status(500),
        Fault.drop(),
    ],
)
async def test_a_refusal_leads_to_the_native_protocol_at_once(
    server: LoopbackServer, db: Path, refusal: Fault
) -> None:
    server.script("openai", refusal)
    server.always("dashscope", ANSWER)
    result = await router_of(server, db).ainvoke(ask(max_wait_s=600))
    assert [one.get("tier") for one in result["attempts"]] == ["batch", None]
    assert [call.protocol for call in server.calls()] == ["openai", "dashscope"]
    assert rows(db)[1]["cost_nano_usd"] == 2 * HALF
    assert_sound(db)


async def test_a_caller_that_streams_gets_the_answer_whole(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ANSWER)
    model = RoutedChatModel(router=router_of(server, db), max_wait_s=600)
    assert "".join([chunk.text async for chunk in model.astream("Which city?")]) == "It is Ulm."
    (call,) = server.calls()
    assert not call.body.get("stream")
    assert rows(db)[0]["cost_nano_usd"] == HALF


async def test_the_rows_settings_go_along(server: LoopbackServer, db: Path) -> None:
    server.always("openai", ANSWER)
    options = {
        "top_p": 0.5,
        "top_k": 20,
        "seed": 7,
        "presence_penalty": 0.5,
        "repetition_penalty": 1.25,
        "thinking_budget": 99,
        "extra_body": {"enable_search": True},
        "extra_headers": {"X-Team": "blue"},
    }
    router = router_of(server, db, options=options, temperature=0.25, thinking=True)
    await router.ainvoke(ask(max_wait_s=600, max_output_tokens=50))
    (call,) = server.calls()
    named = {key: value for key, value in options.items() if not key.startswith("extra")}
    assert {key: call.body[key] for key in named} == named
    assert (call.body["enable_thinking"], call.body["enable_search"]) == (True, True)
    assert (call.body["max_tokens"], call.body["temperature"]) == (50, 0.25)
    assert call.headers["x-team"] == "blue"


async def test_tools_and_schemas_are_asked_for_as_ever(server: LoopbackServer, db: Path) -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "where", "description": "d", "strict": True,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }  # fmt: skip
    call = {"name": "where", "args": {"city": "Ulm"}, "id": "c1"}
    server.script("openai", Reply(tool_calls=(call,)), ANSWER)
    model = RoutedChatModel(router=router_of(server, db), max_wait_s=600)
    asked: list[Any] = [HumanMessage("Which city?")]
    answer = await model.bind_tools([tool]).ainvoke(asked)
    assert isinstance(answer, AIMessage)
    assert answer.tool_calls[0]["args"] == {"city": "Ulm"}
    await model.ainvoke([*asked, answer, ToolMessage("yes", tool_call_id="c1")])
    first, second = server.calls()
    assert "strict" not in first.body["tools"][0]["function"]
    assert [one["role"] for one in second.body["messages"]] == ["user", "assistant", "tool"]
    schema = {"title": "place", "type": "object", "properties": {"city": {"type": "string"}}}
    server.script("openai", Reply(tool_calls=({**call, "name": "place"},)))
    found = await model.with_structured_output(schema).ainvoke("Which city?")
    assert found == {"city": "Ulm"}


@pytest.mark.parametrize("address", [BEIJING, "https://ws-1.cn-beijing.maas.aliyuncs.com/api/v1"])
def test_a_row_in_beijing_knows_the_address_and_keeps_its_key(address: str) -> None:
    waiting = built(base_url=address).waiting
    assert waiting.address == BATCH_URL
    assert (waiting.key_env, waiting.api_key()) == ("ALIBABA_CLOUD_API_KEY", "sk-1")


def test_no_key_goes_to_an_address_that_is_not_the_services_own() -> None:
    elsewhere = {"base_url": BEIJING, "options": {"batch_url": "https://batch.example.com/v1"}}
    assert built(**elsewhere).waiting.api_key() is None
    named = built(**elsewhere, api_key_env="ALIBABA_CLOUD_API_KEY")
    assert named.waiting.api_key() == "sk-1"


@pytest.mark.parametrize(
    "address",
    [
        None,
        "https://dashscope-intl.aliyuncs.com/api/v1",
        "https://ws-1.ap-southeast-1.maas.aliyuncs.com/api/v1",
        "https://gateway.example.com/api/v1",
        "https://dashscope.aliyuncs.com.example.com/api/v1",
    ],
)
def test_another_region_is_refused_in_one_line(address: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        built(base_url=address)
    said = str(caught.value)
    assert said.startswith("a.toml: providers.qwen.half_price: Batch Chat is in the Beijing region")
    assert said.endswith("; take it away, or name it as options.batch_url")
    assert "\n" not in said


def test_a_price_of_its_own_is_the_tiers(server: LoopbackServer) -> None:
    tiers = {"batch": {"input_usd_per_mtok": "0.5", "output_usd_per_mtok": "3"}}
    own = built(base_url=BEIJING, price={**PRICE, "service_tiers": tiers}).waiting
    assert own.price.cost(TokenUsage(1_000_000, 1_000_000)).usd == 3.5
    half = built(base_url=BEIJING).waiting.price.cost(TokenUsage(1_000_000, 0, 1_000_000))
    # What is read from a cache costs half of the input, and no tenth of that.
    assert (half.usd, half.exact) == (1, True)


def test_private_requests_stay_where_they_are() -> None:
    local = {"location": "local", "base_url": "http://10.0.0.5/api/v1"}
    with pytest.raises(ConfigError, match=r"providers\.qwen\.location: is 'local', but"):
        built(**local, options={"batch_url": BATCH_URL})
