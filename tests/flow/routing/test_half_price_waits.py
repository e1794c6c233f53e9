"""How long a request waits for half the price, where that is said, and what is held meanwhile."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from aegis_graph import (
    BudgetExceededError,
    InvalidRequestError,
    RoutedChatModel,
    RoutingError,
    router_builder,
)
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from aegis_graph.testing.loop_clock import LoopClock
from tests.flow.half_price_support import (
    ANSWER,
    AT_DEFAULT,
    AT_FLEX,
    asked,
    config_of,
    hangs,
    row,
    tiers_sent,
)
from tests.flow.support import (
    KEYS,
    ask,
    assert_sound,
    open_router,
    read,
    rows,
    spent,
)


async def test_the_wait_counts_and_not_the_rows_own_time(server: LoopbackServer, db: Path) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    server.script("openai", hangs(clock, 90), ANSWER)
    router = open_router(config_of(server, db, row(server, timeout_s=5)))
    result = await router.ainvoke(ask(max_wait_s=80))
    assert asked(result) == [("openai", "flex", "failed"), ("openai", None, "answered")]
    assert result["attempts"][0]["reason"] == "no complete answer within 80 s"
    late, paid = rows(db)
    # Whether it was served all the same only the bill says.
    assert (late["cost_basis"], late["service_tier"]) == ("held", "flex")
    assert paid["cost_nano_usd"] == AT_DEFAULT
    # A wait that was too short says nothing of the tier.
    server.always("openai", ANSWER)
    assert asked(await router.ainvoke(ask(max_wait_s=80))) == [("openai", "flex", "answered")]


async def test_an_answer_may_take_longer_than_the_row_allows(
    server: LoopbackServer, db: Path
) -> None:
    clock = LoopClock(asyncio.get_running_loop())

    def slowly(call: Received) -> Reply:
        clock.advance(30)
        return ANSWER

    server.always("openai", slowly)
    router = open_router(config_of(server, db, row(server, timeout_s=5, first_token_timeout_s=2)))
    assert asked(await router.ainvoke(ask(max_wait_s=80))) == [("openai", "flex", "answered")]
    assert [one["cost_nano_usd"] for one in rows(db)] == [AT_FLEX]


async def test_the_requests_own_time_is_the_strictest(server: LoopbackServer, db: Path) -> None:
    clock = LoopClock(asyncio.get_running_loop())
    server.script("openai", hangs(clock, 4))
    router = open_router(config_of(server, db))
    with pytest.raises(RoutingError, match="the 3 s of the whole request are over"):
        await router.ainvoke(ask(max_wait_s=600, timeout_s=3))
    assert len(server.calls()) == 1


async def test_all_waits_together_are_within_the_requests(server: LoopbackServer, db: Path) -> None:
    chain = [row(server, name=name, model=f"{name}-1") for name in ("one", "two")]
    router = open_router(config_of(server, db, *chain, routing={"order": "price"}))
    server.script("openai", Fault.hang())
    server.always("openai", ANSWER)
    result = await router.ainvoke(ask(max_wait_s=0.1))
    # The second tier has nothing left of the wait that the first one used up.
    assert [one[:2] for one in asked(result)] == [("one", "flex"), ("one", None)]
    assert [(one["provider"], one.get("tier"), one["code"]) for one in result["skipped"]] == [
        ("two", "flex", "wait")
    ]
    assert result["skipped"][0]["reason"] == "its tier flex has 0 s of what the request can wait"


async def test_the_wait_can_be_given_wherever_a_choice_can(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ANSWER)
    router = open_router(config_of(server, db))
    choice: dict[str, Any] = {"max_wait_s": 60}
    for result in (
        await router.with_options(**choice).ainvoke(ask()),
        await router.ainvoke(ask(), context=choice),
        await router.ainvoke(ask(), {"configurable": choice}),
    ):
        assert asked(result) == [("openai", "flex", "answered")]
    model = RoutedChatModel(router=router, max_wait_s=60)
    await model.ainvoke("Which city?")
    await model.ainvoke("Which city?", max_wait_s=0)
    assert [one async for one in model.astream("Which city?")]
    assert tiers_sent(server) == ["flex"] * 4 + [None, "flex"]
    assert [one["service_tier"] for one in rows(db)] == ["flex"] * 4 + [None, "flex"]


@pytest.mark.parametrize("value", [-1, "60", True, float("nan"), 86_401])
async def test_a_wait_that_is_none_is_refused(
    server: LoopbackServer, db: Path, value: object
) -> None:
    router = open_router(config_of(server, db))
    with pytest.raises(
        InvalidRequestError, match=r"max_wait_s: .* is not a number of seconds from"
    ):
        await router.ainvoke(ask(max_wait_s=value))
    assert server.calls() == ()


async def test_the_reservation_lasts_as_long_as_the_wait(server: LoopbackServer, db: Path) -> None:
    lasts: list[float] = []

    def looks(call: Received) -> Reply:
        (open_one,) = read(db, "SELECT timestamp, expires_at FROM requests")
        ends, began = map(datetime.fromisoformat, (open_one["expires_at"], open_one["timestamp"]))
        lasts.append((ends - began).total_seconds())
        return ANSWER

    server.always("openai", looks)
    await open_router(config_of(server, db, row(server, timeout_s=5))).ainvoke(ask(max_wait_s=900))
    assert lasts == [960]


async def test_a_run_that_is_resumed_before_the_call_is_asked_in_the_tier_it_was_admitted_for(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ANSWER)
    saver, thread = InMemorySaver(), {"configurable": {"thread_id": "t"}}

    def graph() -> Any:
        builder = router_builder(config_of(server, db), environ=KEYS)
        return builder.compile(saver, interrupt_before=["attempt_openai"])

    await graph().ainvoke(ask(max_wait_s=60), thread)
    assert server.calls() == ()
    # As in another process, which does not know the first reservation.
    result = await graph().ainvoke(None, thread)
    assert asked(result) == [("openai", "flex", "answered")]
    assert tiers_sent(server) == ["flex"]
    paid = rows(db)[-1]
    assert (paid["service_tier"], paid["cost_nano_usd"]) == ("flex", AT_FLEX)


async def test_twenty_callers_that_wait_never_pass_the_budget(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("It is Ulm.", input_tokens=10, service_tier="default"))
    limit = 5 * AT_DEFAULT
    chain = row(server, max_output_tokens=5)
    config = config_of(server, db, chain, budgets={"total": f"{limit / 1e9:f}"})
    router = open_router(config)
    found = await asyncio.gather(
        *(router.ainvoke(ask(f"city {number}?", max_wait_s=60)) for number in range(20)),
        return_exceptions=True,
    )
    assert 0 < sum(isinstance(one, dict) for one in found) < 20
    assert all(isinstance(one, dict | BudgetExceededError) for one in found)
    assert spent(db) <= limit
    assert_sound(db)
