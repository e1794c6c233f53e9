"""What servers send of their tiers at half the price, to the byte, and what it becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RoutedChatModel
from aegis_graph.testing import LoopbackServer, RawReply, Reply
from aegis_graph.testing.loopback.replies import EVENT_STREAM
from tests.flow.support import ask, assert_sound, make_config, open_router, provider, rows

FLEX_RATES = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "5"}
PRICE = {
    "input_usd_per_mtok": "2",
    "output_usd_per_mtok": "10",
    "cached_input_usd_per_mtok": "0.2",
    "service_tiers": {"flex": {**FLEX_RATES, "cached_input_usd_per_mtok": "0.1"}},
}
USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 5,
    "total_tokens": 25,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
AT_FLEX = 10 * 1_000 + 10 * 100 + 5 * 5_000
AT_DEFAULT = 2 * AT_FLEX


def body(**more: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": "It is Ulm."}, "finish_reason": "stop"}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m-2026"}
    return {**head, "choices": [{"index": 0, **choice}], "usage": USAGE, **more}


def whole(**more: Any) -> RawReply:
    return RawReply(body=json.dumps(body(**more)).encode())


def streamed(first: Mapping[str, Any], last: Mapping[str, Any]) -> RawReply:
    """Two chunks, with what each of them says beside its words."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-2026"}
    word = {"index": 0, "delta": {"role": "assistant", "content": "Ulm."}, "finish_reason": None}
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events = [
        {**head, "choices": [word], **first},
        {**head, "choices": [end], **last},
        {**head, "choices": [], "usage": USAGE, **last},
    ]
    lines = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return RawReply(headers=EVENT_STREAM, body=lines + b"data: [DONE]\n\n")


def error(status: int, headers: Mapping[str, str] | None = None, **said: Any) -> RawReply:
    content = {"Content-Type": "application/json", **(headers or {})}
    return RawReply(status=status, headers=content, body=json.dumps({"error": said}).encode())


def flex_router(server: LoopbackServer, db: Path) -> Any:
    row = provider(server, "openai", half_price=True, price=PRICE)
    return open_router(make_config(server, db, providers=[row]))


def batch_router(server: LoopbackServer, db: Path) -> Any:
    options = {"batch_url": server.openai_url}
    row = provider(server, "dashscope", half_price=True, price=PRICE, options=options)
    return open_router(make_config(server, db, providers=[row]))


@pytest.mark.parametrize(
    ("said", "tier", "cost", "basis"),
    [
        ({"service_tier": "flex"}, "flex", AT_FLEX, "reported"),
        ({"service_tier": "default"}, "default", AT_DEFAULT, "reported"),
        ({"service_tier": "auto"}, "auto", AT_DEFAULT, "reported"),
        ({"service_tier": None}, None, AT_DEFAULT, "reported"),
        ({}, None, AT_DEFAULT, "reported"),
        # No price of it is known: the dearer of those that are.
        ({"service_tier": "scale"}, "scale", AT_DEFAULT, "estimated"),
        ({"service_tier": ["flex"]}, "['flex']", AT_DEFAULT, "estimated"),
    ],
)
async def test_an_answer_is_billed_by_the_tier_that_it_names(
    server: LoopbackServer, db: Path, said: dict[str, Any], tier: str | None, cost: int, basis: str
) -> None:
    server.script("openai", whole(**said), streamed(said, said))
    router = flex_router(server, db)
    await router.ainvoke(ask("Which city is it?" * 5, max_wait_s=60))
    model = RoutedChatModel(router=router, max_wait_s=60)
    assert [one async for one in model.astream("Which city is it?" * 5)]
    for paid in rows(db):
        found = (paid["service_tier"], paid["cost_nano_usd"], paid["cost_basis"])
        assert found == (tier, cost, basis)
        assert (paid["cached_input_tokens"], paid["reasoning_tokens"]) == (10, 3)
    assert_sound(db)


async def test_of_two_tiers_in_one_stream_the_last_counts(server: LoopbackServer, db: Path) -> None:
    server.script("openai", streamed({"service_tier": "flex"}, {"service_tier": "default"}))
    model = RoutedChatModel(router=flex_router(server, db), max_wait_s=60)
    assert [one async for one in model.astream("Which city is it?" * 5)]
    assert [one["cost_nano_usd"] for one in rows(db)] == [AT_DEFAULT]


REFUSALS = {
    "capacity": error(
        429,
        message="The service tier is at capacity.",
        type="server_error",
        code="service_tier_capacity_exceeded",
    ),
    "resource": error(
        429, message="Resource unavailable", type="resource_unavailable", code=None, param=None
    ),
    "with a wait": error(
        429,
        {"Retry-After": "3600", "x-ratelimit-remaining-requests": "0",
         "x-ratelimit-reset-requests": "1h"},
        message="Resource unavailable",
        code="resource_unavailable",
    ),
    "not for this model": error(
        400,
        message="Invalid service_tier argument",
        type="invalid_request_error",
        param="service_tier",
        code=None,
    ),
    "groq": error(498, message="Flex capacity exceeded", code="capacity_exceeded"),
    "an error of status 200": RawReply(
        body=b'{"error": {"code": 429, "message": "Resource unavailable"}}'
    ),
    "no body": RawReply(status=429, headers={}, body=b""),
    "a gateway's page": RawReply(
        status=504, headers={"Content-Type": "text/html"}, body=b"<html>Gateway timeout</html>"
    ),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_every_refusal_of_the_tier_leads_to_the_usual_one_at_once(
    server: LoopbackServer, db: Path, refusal: RawReply
) -> None:
    server.script("openai", refusal, whole(service_tier="default"))
    router = flex_router(server, db)
    result = await router.ainvoke(ask("Which city is it?" * 5, max_wait_s=60))
    assert [one.get("tier") for one in result["attempts"]] == ["flex", None]
    refused, paid = rows(db)
    assert (refused["service_tier"], refused["cost_nano_usd"]) == ("flex", 0)
    assert paid["cost_nano_usd"] == AT_DEFAULT
    # What the tier said of its limits is not said of the provider's.
    server.script("openai", whole(service_tier="default"))
    assert (await router.ainvoke(ask()))["attempts"][0]["status"] == "answered"


@pytest.mark.parametrize("said", [{}, {"service_tier": "default"}, {"service_tier": None}])
async def test_batch_chat_is_half_whatever_the_answer_calls_it(
    server: LoopbackServer, db: Path, said: dict[str, Any]
) -> None:
    server.script("openai", whole(**said))
    await batch_router(server, db).ainvoke(ask("Which city is it?" * 5, max_wait_s=60))
    (paid,) = rows(db)
    assert (paid["service_tier"], paid["served_model"]) == ("batch", "m-2026")
    # Half of the input, cached or not, and of the output.
    assert paid["cost_nano_usd"] == 20 * 1_000 + 5 * 5_000
    assert paid["cost_basis"] == "reported"


@pytest.mark.parametrize(
    "refusal",
    [
        error(429, message="Requests rate limit exceeded", code="limit_requests"),
        error(403, message="Access denied.", code="AccessDenied"),
        error(504, message="Request timed out, please try again later.", code="RequestTimeOut"),
        error(400, message="model not supported", code="model_not_supported"),
    ],
)
async def test_a_refusal_of_batch_chat_leads_to_the_native_protocol(
    server: LoopbackServer, db: Path, refusal: RawReply
) -> None:
    server.script("openai", refusal)
    server.always("dashscope", Reply("It is Ulm."))
    result = await batch_router(server, db).ainvoke(ask(max_wait_s=60))
    assert [one.get("tier") for one in result["attempts"]] == ["batch", None]
    assert_sound(db)
