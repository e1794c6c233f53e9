"""The router as a chat model: what a caller of any chat model can expect of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage

from aegis_graph import RoutedChatModel
from aegis_graph.errors import AllProvidersFailedError, InvalidRequestError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    KINDS,
    assert_one_row_per_call,
    assert_sound,
    dust_settles,
    made,
    make_config,
    open_router,
    provider,
    rows,
)

PARIS = Reply("Paris is the capital.", input_tokens=11, output_tokens=4)
FACTS = {
    "provider",
    "model",
    "cost_usd",
    "cost_basis",
    "route_id",
    "attempt",
    "attempts",
    "skipped",
}


def routed(server: LoopbackServer, db: Path, *kinds: str, **fields: Any) -> RoutedChatModel:
    chain = [provider(server, kind) for kind in kinds or KINDS]
    return RoutedChatModel(router=open_router(make_config(server, db, providers=chain)), **fields)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_answer_says_who_gave_it_and_what_it_cost(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, PARIS)
    answer = await routed(server, db, kind).ainvoke("Which city?")
    assert answer.text == PARIS.text
    assert answer.usage_metadata is not None
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (
        11,
        4,
    )
    facts = answer.response_metadata
    assert set(facts) >= FACTS
    (row,) = rows(db)
    assert (facts["provider"], facts["route_id"]) == (kind, row["route_id"])
    assert facts["attempts"][0]["cost_usd"] == facts["cost_usd"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_adds_up_to_the_same_answer(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, PARIS, PARIS)
    model = routed(server, db, kind)
    whole = await model.ainvoke("Which city?")
    total = AIMessageChunk(content="")
    pieces = 0
    async for chunk in model.astream("Which city?"):
        assert isinstance(chunk, AIMessageChunk)
        total += chunk
        pieces += bool(chunk.text)
    assert pieces > 1
    assert total.text == whole.text
    assert total.usage_metadata == whole.usage_metadata
    assert set(total.response_metadata) >= FACTS
    for key in ("provider", "model", "cost_usd", "cost_basis", "attempt"):
        assert total.response_metadata[key] == whole.response_metadata[key]
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


async def test_the_next_provider_answers_where_one_fails(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Fault.status(404))
    server.script("dashscope", PARIS)
    answer = await routed(server, db).ainvoke("Which city?")
    assert [row["provider"] for row in answer.response_metadata["attempts"]] == [
        "ollama",
        "dashscope",
    ]


async def test_the_callers_messages_stay_as_they_are(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", PARIS)
    asked = HumanMessage("Which city?")
    await routed(server, db, "ollama").ainvoke([asked])
    assert asked == HumanMessage("Which city?")
    assert asked.id is None


async def test_an_unknown_argument_is_refused_by_name(server: LoopbackServer, db: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"^top_k: the router knows no such argument"):
        await routed(server, db).ainvoke("Which city?", top_k=3)
    assert not server.calls()


async def test_when_nobody_answers_the_error_carries_the_attempts(
    server: LoopbackServer, db: Path
) -> None:
    for kind in KINDS:
        server.script(kind, Fault.status(404))
    with pytest.raises(AllProvidersFailedError) as caught:
        await routed(server, db).ainvoke("Which city?")
    assert [row["provider"] for row in caught.value.attempts] == list(KINDS)


async def test_an_abandoned_stream_is_settled(server: LoopbackServer, db: Path) -> None:
    server.script("openai", Fault.slow_stream(PARIS, interval_s=30))
    stream = routed(server, db, "openai").astream("Which city?")
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.to_thread(server.wait_until_idle)
    await dust_settles(db)
    (row,) = made(db)
    assert (row["status"], row["cost_basis"]) == ("cancelled", "estimated")
    assert_sound(db)
