"""What providers count reaches the ledger as far as it can be true, over the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage

from aegis_graph import RoutedChatModel
from aegis_graph.testing import LoopbackServer, RawReply, Received, Reply
from aegis_graph.testing.loopback.replies import EVENT_STREAM, NDJSON
from aegis_graph.types import UNBELIEVED
from tests.flow.support import (
    ask,
    assert_sound,
    make_config,
    open_router,
    provider,
    rows,
)

PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "10"}
LONG = "Which city? " * 300
"""A prompt of which 4,000 tokens can be true."""

XAI = {
    "prompt_tokens": 32,
    "completion_tokens": 9,
    "total_tokens": 135,
    "completion_tokens_details": {"reasoning_tokens": 94},
}


def whole(usage: object, text: str = "It is Paris.", **more: Any) -> RawReply:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m-2026-01", **more}
    return RawReply(body=json.dumps({**body, "choices": [choice], "usage": usage}).encode())


def streamed(usages: Sequence[object], *, words: str = "a ", **more: Any) -> RawReply:
    """Each usage in a chunk with a word, and the last once more with the end."""

    def events() -> Iterator[bytes]:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m-2026-01"}
        for usage in usages:
            choice = {"index": 0, "delta": {"content": words}, "finish_reason": None}
            yield _event({**head, **more, "choices": [choice], "usage": usage})
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield _event({**head, **more, "choices": [end], "usage": usages[-1]})
        yield b"data: [DONE]\n\n"

    return RawReply(headers=EVENT_STREAM, body=b"".join(events()))


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def counts(read: int, written: int, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": read, "completion_tokens": written}
    return {**usage, "total_tokens": read + written, **more}


def routed(server: LoopbackServer, db: Path, **changes: Any) -> Any:
    row = provider(server, "openai", **{"price": PRICE, **changes})
    return open_router(make_config(server, db, providers=[row]))


async def answered(router: Any, text: str = LONG) -> Any:
    return (await router.ainvoke(ask(text)))["messages"][-1]


def row_of(db: Path) -> dict[str, Any]:
    (row,) = rows(db)
    assert_sound(db)
    return row


async def test_usage_that_grows_with_every_chunk_is_paid_once(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", streamed([counts(1000, k) for k in range(1, 201)]))
    model = RoutedChatModel(router=routed(server, db), task="chat")
    total = AIMessageChunk(content="")
    async for chunk in model.astream(LONG):
        assert isinstance(chunk, AIMessageChunk)
        total += chunk
    assert row_of(db)["cost_nano_usd"] == 3_000_000
    assert (row_of(db)["cost_basis"], row_of(db)["overrun"]) == ("reported", 0)
    assert total.usage_metadata is not None
    assert total.usage_metadata["output_tokens"] == 200
    assert total.usage_metadata["total_tokens"] == 1200


async def test_reasoning_beside_the_completion_is_paid(server: LoopbackServer, db: Path) -> None:
    server.script("openai", whole(XAI))
    answer = await answered(routed(server, db))
    row = row_of(db)
    assert (row["input_tokens"], row["output_tokens"], row["reasoning_tokens"]) == (32, 103, 94)
    assert (row["cost_nano_usd"], row["cost_basis"]) == (32_000 + 1_030_000, "reported")
    assert answer.usage_metadata["output_tokens"] == 103


@pytest.mark.parametrize("value", [5.5, "n/a", 2**63, 1.5, "zz", None, [], -1], ids=repr)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of OpenAI's client
async def test_no_wrong_type_loses_a_bought_answer(
    server: LoopbackServer, db: Path, value: object, stream: bool
) -> None:
    broken = [
        counts(32, 9, prompt_tokens=value),
        counts(32, 9, completion_tokens=value),
        counts(32, 9, total_tokens=value),
        counts(32, 9, prompt_tokens_details={"cached_tokens": value}),
        counts(32, 9, completion_tokens_details={"reasoning_tokens": value}),
        counts(32, 9, prompt_tokens_details=value, completion_tokens_details=value),
        value,
    ]
    router = routed(server, db)
    model = RoutedChatModel(router=router, task="chat")
    for usage in broken:
        server.script("openai", streamed([usage]) if stream else whole(usage))
        if stream:
            assert "".join([chunk.text async for chunk in model.astream(LONG)]) == "a "
        else:
            assert (await answered(router)).text == "It is Paris."
    bases = [row["cost_basis"] for row in rows(db)]
    assert bases[:2] == ["estimated", "estimated"]
    assert bases[2:] == ["reported"] * 4 + ["estimated"]
    assert {row["status"] for row in rows(db)} == {"answered"}
    assert_sound(db)


async def test_a_usage_beyond_belief_costs_the_hold(
    server: LoopbackServer, db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.script("openai", whole(counts(10**9, 10**9)))
    await answered(routed(server, db), "Which city?")
    row = row_of(db)
    assert row["cost_nano_usd"] == row["hold_nano_usd"]
    assert (row["cost_basis"], row["status"]) == ("held", "answered")
    assert row["overrun"] == UNBELIEVED
    warned = [line for line in caplog.messages if line.startswith("provider openai: ")]
    assert len(warned) == 1
    assert "city" not in warned[0]


async def test_the_service_tier_and_the_model_that_were_served_are_in_the_row(
    server: LoopbackServer, db: Path
) -> None:
    dear = {"input_usd_per_mtok": "2", "output_usd_per_mtok": "20"}
    price = {**PRICE, "service_tiers": {"priority": dear}}
    details = {"cached_tokens": 10, "cache_write_tokens": 5}
    usage = counts(32, 9, prompt_tokens_details=details)
    server.script("openai", whole(usage, service_tier="priority"))
    server.script("openai", streamed([None, usage], service_tier="priority"))
    router = routed(server, db, price=price, model="gpt-5.6-luna")
    await answered(router)
    model = RoutedChatModel(router=router, task="chat")
    assert [chunk async for chunk in model.astream(LONG)]
    for row in rows(db):
        assert (row["service_tier"], row["served_model"]) == ("priority", "m-2026-01")
        assert (row["cached_input_tokens"], row["cache_write_tokens"]) == (10, 5)
        # 17 plain, 10 cached, 5 written at 1.25 times, 9 out; each at the doubled price.
        assert row["cost_nano_usd"] == (17 + 10) * 2000 + 5 * 2500 + 9 * 20_000
        assert row["cost_basis"] == "reported"


async def test_a_mark_of_the_cache_reaches_dashscope_and_its_price_the_row(
    server: LoopbackServer, db: Path
) -> None:
    part = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
    server.script("dashscope", Reply("Paris.", input_tokens=1000, output_tokens=5))
    router = open_router(make_config(server, db, providers=[provider(server, "dashscope")]))
    await router.ainvoke({"messages": [SystemMessage([part]), HumanMessage("Which city?")]})
    (call,) = server.calls("dashscope")
    first, second = call.body["input"]["messages"]
    assert first["content"] == [{"text": LONG, "cache_control": {"type": "ephemeral"}}]
    assert second["content"] == "Which city?"


async def test_a_mark_of_the_cache_reaches_an_openai_compatible_server(
    server: LoopbackServer, db: Path
) -> None:
    part = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    server.script("openai", Reply("Paris."))
    await routed(server, db).ainvoke({"messages": [HumanMessage([part])]})
    (call,) = server.calls("openai")
    assert call.body["messages"][0]["content"] == [part]


async def test_writes_to_the_cache_are_reserved_at_their_price(
    server: LoopbackServer, db: Path
) -> None:
    price = {"input_usd_per_mtok": "2.50", "output_usd_per_mtok": "0"}
    text = "x" * 100_000
    written = counts(100_000, 9, prompt_tokens_details={"cache_write_tokens": 100_000})
    server.script("openai", whole(written))
    await answered(routed(server, db, price=price, model="gpt-5.6-luna"), text)
    row = row_of(db)
    assert (row["cost_nano_usd"], row["cache_write_tokens"]) == (312_500_000, 100_000)
    assert row["hold_nano_usd"] >= 312_500_000
    assert (row["cost_basis"], row["overrun"]) == ("reported", 0)


async def test_a_price_by_the_hour_is_fixed_when_the_request_is_admitted(
    server: LoopbackServer, db: Path
) -> None:
    now = [datetime(2026, 11, 29, 5, 59, tzinfo=UTC)]

    def later(_: Received) -> RawReply:
        now[0] += timedelta(hours=1)
        return whole(counts(100, 10))

    day = {"from": "06:00", "to": "10:00", "input_usd_per_mtok": "2", "output_usd_per_mtok": "20"}
    server.script("openai", later)
    row = provider(server, "openai", price={**PRICE, "hours": [day]})
    config = make_config(server, db, providers=[row])
    await answered(open_router(config, clock=lambda: now[0]))
    row = row_of(db)
    assert (row["cost_nano_usd"], row["overrun"]) == (100 * 1000 + 10 * 10_000, 0)
    server.script("openai", whole(counts(100, 10)))
    await answered(open_router(config, clock=lambda: now[0]))
    assert rows(db)[1]["cost_nano_usd"] == 2 * (100 * 1000 + 10 * 10_000)


WRONG = ["5.5", '"n/a"', str(2**63), "null", "[]", "-1", "1e400", "NaN", "{}"]
"""What is no count, as JSON and as what clients take for JSON."""


def of_ollama(counts: Mapping[str, str]) -> RawReply:
    head = '"model": "m-2026-01", "created_at": "2026-01-01T00:00:00Z"'
    word = f'{{{head}, "message": {{"role": "assistant", "content": "Paris."}}, "done": false}}'
    said = "".join(f', "{name}": {text}' for name, text in counts.items())
    end = f'{{{head}, "message": {{"role": "assistant", "content": ""}}, "done": true{said}'
    return RawReply(headers=NDJSON, body=f'{word}\n{end}, "done_reason": "stop"}}\n'.encode())


def of_dashscope(counts: Mapping[str, str]) -> RawReply:
    said = ", ".join(f'"{name}": {text}' for name, text in counts.items())
    message = '"message": {"role": "assistant", "content": "Paris."}'
    output = f'{{"choices": [{{{message}, "finish_reason": "stop"}}]}}'
    event = f'data:{{"output": {output}, "usage": {{{said}}}, "request_id": "r"}}\n\n'
    return RawReply(headers=EVENT_STREAM, body=f"id:1\nevent:result\n{event}".encode())


OTHER_WIRES = {
    "ollama": (of_ollama, ("prompt_eval_count", "eval_count"), ("total_duration",)),
    "dashscope": (
        of_dashscope,
        ("input_tokens", "output_tokens"),
        ("total_tokens", "prompt_tokens_details", "image_tokens"),
    ),
}


@pytest.mark.parametrize("kind", OTHER_WIRES)
@pytest.mark.parametrize("text", WRONG)
async def test_no_wrong_type_of_other_protocols_loses_a_bought_answer(
    server: LoopbackServer, db: Path, kind: Literal["ollama", "dashscope"], text: str
) -> None:
    reply, main, details = OTHER_WIRES[kind]
    for name in (*main, *details):
        counts = dict.fromkeys(main, "9")
        server.script(kind, reply({**counts, name: text}))
    router = open_router(make_config(server, db, providers=[provider(server, kind, price=PRICE)]))
    for _ in (*main, *details):
        assert (await answered(router)).text == "Paris."
    bases = [row["cost_basis"] for row in rows(db)]
    assert bases == ["estimated"] * len(main) + ["reported"] * len(details)
    assert_sound(db)


async def test_an_explicit_cache_of_dashscope_has_its_own_prices(
    server: LoopbackServer, db: Path
) -> None:
    details = (
        '{"cached_tokens": 600, "cache_creation_input_tokens": 300, "cache_type": "ephemeral"}'
    )
    counts = {"input_tokens": "1000", "output_tokens": "5", "prompt_tokens_details": details}
    server.script("dashscope", of_dashscope(counts))
    part = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
    router = open_router(make_config(server, db, providers=[provider(server, "dashscope")]))
    await router.ainvoke({"messages": [HumanMessage([part])]})
    row = row_of(db)
    # qwen-plus: 0.40 and 1.20 USD per million tokens.
    assert row["cost_nano_usd"] == 100 * 400 + 600 * 40 + 300 * 500 + 5 * 1200
    assert (row["cached_input_tokens"], row["cache_write_tokens"]) == (600, 300)
    assert (row["cost_basis"], row["overrun"]) == ("reported", 0)


@pytest.mark.parametrize("kind", ["openai", "anyllm", "langchain"])
@pytest.mark.parametrize("stream", [False, True])
async def test_every_client_hands_on_the_times_of_a_cache_and_the_tier(
    server: LoopbackServer, db: Path, kind: str, stream: bool
) -> None:
    times = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 100}
    details = {"cached_tokens": 50, "cache_write_tokens": 100}
    usage = counts(200, 9, prompt_tokens_details={**details, "cache_creation_token_details": times})
    flex = {"input_usd_per_mtok": "0.5", "output_usd_per_mtok": "5"}
    row = {
        **provider(server, "openai", price={**PRICE, "service_tiers": {"flex": flex}}),
        "kind": kind,
        "model": "claude-sonnet-4-6" if kind == "openai" else "openai:claude-sonnet-4-6",
    }
    router = open_router(make_config(server, db, providers=[row]))
    model = RoutedChatModel(router=router, task="chat")
    if stream or kind == "anyllm":
        server.script("openai", streamed([counts(200, 1), usage], service_tier="flex"))
    else:
        server.script("openai", whole(usage, service_tier="flex"))
    if stream:
        assert [chunk async for chunk in model.astream(LONG)]
    else:
        await model.ainvoke(LONG)
    paid = row_of(db)
    assert paid["cost_nano_usd"] == (50 + 50) * 500 + 100 * 1000 + 9 * 5000
    assert (paid["cached_input_tokens"], paid["cache_write_tokens"]) == (50, 100)
    assert (paid["service_tier"], paid["served_model"]) == ("flex", "m-2026-01")
