"""A server that is still loading its model is waited for, and is no failure of the provider."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RoutedChatModel
from aegis_graph.errors import AllProvidersFailedError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    Row,
    ask,
    assert_sound,
    dust_settles,
    make_config,
    open_router,
    provider,
    rows,
)

PARIS = Reply("No doubt: Paris.")
PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
LOADING = Fault.status(503, error_code="unavailable_error", message="Loading model")


def local(server: LoopbackServer, kind: str, **changes: Any) -> Row:
    return provider(server, kind, **{"location": "local", "price": "free", **changes})


@pytest.mark.parametrize("kind", ["openai", "ollama"])
async def test_a_server_that_loads_is_asked_again_in_the_same_attempt(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, LOADING, LOADING, PARIS)
    router = open_router(make_config(server, db, providers=[local(server, kind)]))
    result = await router.ainvoke(ask())
    assert result["messages"][-1].text == PARIS.text
    assert [row["status"] for row in result["attempts"]] == ["answered"]
    assert len(server.calls()) == 3
    assert [row["status"] for row in rows(db)] == ["answered"]
    assert_sound(db)


async def test_a_stream_waits_for_the_model_as_well(server: LoopbackServer, db: Path) -> None:
    server.script("openai", LOADING, PARIS)
    config = make_config(server, db, providers=[local(server, "openai")])
    model = RoutedChatModel(router=open_router(config))
    assert "".join([chunk.text async for chunk in model.astream("Which city?")]) == PARIS.text
    await dust_settles(db)
    assert [row["status"] for row in rows(db)] == ["answered"]


async def test_loading_that_never_ends_is_given_up_and_costs_nothing(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", LOADING)
    server.always("ollama", PARIS)
    row = local(server, "openai", first_token_timeout_s=1.2, price=PRICE)
    router = open_router(
        make_config(server, db, providers=[row, local(server, "ollama")], health={"failures": 1})
    )
    for _ in range(2):
        result = await router.ainvoke(ask())
        failed, answered = result["attempts"]
        assert failed["error_type"] == "ModelLoadingError"
        assert (failed["cost_basis"], answered["status"]) == ("none", "answered")
    # At most at once, and after 0.5 s: a second later the time would be up.
    assert 2 <= len(server.calls("openai")) <= 4
    assert_sound(db)


async def test_a_caller_that_leaves_during_the_wait_pays_nothing(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", LOADING)
    row = local(server, "openai", price=PRICE)
    router = open_router(make_config(server, db, providers=[row]))
    task = asyncio.create_task(router.ainvoke(ask()))
    # After the fourth question the wait is 4 s long, in which the refusal has surely been read.
    await asyncio.to_thread(server.wait_for_calls, 4)
    await asyncio.to_thread(server.wait_until_idle)
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await dust_settles(db)
    assert [(row["status"], row["cost_basis"]) for row in rows(db)] == [("cancelled", "none")]


async def test_any_other_503_is_a_failure_as_ever(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Fault.status(503, message="The server is overloaded"))
    router = open_router(make_config(server, db, providers=[local(server, "openai")]))
    with pytest.raises(AllProvidersFailedError):
        await router.ainvoke(ask())
    assert [row["error_type"] for row in rows(db)] == ["ProviderUnavailableError"] * 2
