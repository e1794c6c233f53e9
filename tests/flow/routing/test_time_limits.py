"""Time as a local model has it: to its first token, between two, and while it is loaded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RoutedChatModel
from aegis_graph.clock import utc_now
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import StreamInterruptedError
from aegis_graph.providers.registry import create_provider
from aegis_graph.request.request import Request
from aegis_graph.routing.reservation import LEASE_MARGIN_S, hold_for
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from aegis_graph.testing.loop_clock import LoopClock
from tests.flow.support import (
    KINDS,
    Row,
    ask,
    dust_settles,
    make_config,
    open_router,
    provider,
    rows,
)

STORY = "Once upon a time there was a town."
PARIS = Reply("No doubt: Paris.")
NEVER = Fault.slow_stream(Reply("It may well be Rome."), interval_s=3600)
"""Gives its first piece, and then nothing for an hour."""


def local(server: LoopbackServer, kind: str, **changes: Any) -> Row:
    row = {"location": "local", "price": "free", "max_retries": 0, **changes}
    return provider(server, kind, **row)


def passes(clock: LoopClock, seconds: float, step: Fault) -> Any:
    """The step, at whose start so much time passes."""

    def play(_: Received) -> Fault:
        clock.advance(seconds)
        return step

    return play


async def test_a_local_stream_may_take_longer_than_a_minute(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    server.script("openai", Reply(STORY, output_tokens=8))
    # On a busy machine all pieces may arrive before the reader has the first.
    config = make_config(server, db, providers=[local(server, "openai", idle_timeout_s=500)])
    model = RoutedChatModel(router=open_router(config))
    text = ""
    async for chunk in model.astream("Tell me a story."):
        text += chunk.text
        # Nine times 20 s: more than the 60 s that a cloud has for the whole answer.
        clock.advance(20)
    assert text == STORY
    assert [row["status"] for row in rows(db)] == ["answered"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_that_stands_still_is_left_for_the_next_provider(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    server.script(kind, NEVER)
    config = make_config(server, db, providers=[local(server, kind)])
    model = RoutedChatModel(router=open_router(config))

    async def listen() -> None:
        async for chunk in model.astream("Which city?"):
            if chunk.text:
                clock.advance(60)

    with pytest.raises(StreamInterruptedError, match="nothing for 60 s in the middle"):
        await listen()
    await dust_settles(db)
    (row,) = rows(db)
    assert (row["error_type"], row["cost_basis"]) == ("ProviderTimeoutError", "estimated")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_first_token_that_does_not_come_sends_a_stream_on(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    server.script(kind, passes(clock, 300, Fault.hang()))
    other = next(one for one in KINDS if one != kind)
    server.script(other, PARIS)
    chain = [local(server, kind), provider(server, other)]
    model = RoutedChatModel(router=open_router(make_config(server, db, providers=chain)))
    text = "".join([chunk.text async for chunk in model.astream("Which city?")])
    assert text == PARIS.text
    await dust_settles(db)
    assert [row["error_type"] for row in rows(db)] == ["ProviderTimeoutError", None]


async def test_a_whole_answer_of_ollama_arrives_in_pieces_so_the_limits_count(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    server.script("ollama", passes(clock, 300, Fault.hang()))
    server.script("openai", PARIS)
    chain = [local(server, "ollama"), provider(server, "openai")]
    result = await open_router(make_config(server, db, providers=chain)).ainvoke(ask())
    assert [row["status"] for row in result["attempts"]] == ["failed", "answered"]
    assert result["attempts"][0]["reason"] == "no first token within 300 s"


async def test_a_whole_answer_that_arrives_at_once_has_the_whole_time(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())

    def play(_: Received) -> Reply:
        clock.advance(599)
        return PARIS

    server.script("openai", play)
    config = make_config(server, db, providers=[local(server, "openai")])
    result = await open_router(config).ainvoke(ask())
    assert result["messages"][-1].text == PARIS.text


async def test_a_row_can_ask_for_pieces_so_that_the_limits_count(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    server.script("openai", passes(clock, 300, Fault.hang()))
    row = local(server, "openai", options={"stream": True})
    router = open_router(make_config(server, db, providers=[row, provider(server, "ollama")]))
    server.script("ollama", PARIS)
    result = await router.ainvoke(ask())
    assert result["attempts"][0]["reason"] == "no first token within 300 s"
    assert server.calls()[0].streamed


def test_the_hold_of_an_attempt_outlives_the_limit_that_is_in_force(
    server: LoopbackServer,
) -> None:
    request = Request.from_state(ask(), {})
    for location, limit_s in (("local", 600), ("cloud", 60)):
        row = local(server, "openai", location=location)
        asked = create_provider(ProviderSpec.model_validate(row), source="test")
        hold = hold_for(asked, request, "r", 1, at=utc_now())
        assert hold.lease_s == limit_s + LEASE_MARGIN_S
