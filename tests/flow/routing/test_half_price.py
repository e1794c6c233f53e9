"""A request that can wait is asked at half the price first, and at the provider itself next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from aegis_graph import (
    BudgetExceededError,
    ConfigError,
    NoProviderError,
    RoutedChatModel,
    RouterHandle,
    RoutingError,
)
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.half_price_support import (
    ANSWER,
    AT_DEFAULT,
    AT_FLEX,
    FULL,
    asked,
    config_of,
    row,
    tiers_sent,
)
from tests.flow.support import (
    KEYS,
    ask,
    assert_sound,
    open_router,
    provider,
    rows,
    spent,
)


async def test_a_request_that_can_wait_is_served_at_half_the_price(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ANSWER)
    router = open_router(config_of(server, db))
    result = await router.ainvoke(ask(max_wait_s=600))
    (attempt,) = result["attempts"]
    assert (attempt["tier"], attempt["cost_usd"]) == ("flex", "0.000035")
    assert attempt["reason"] == "cloud, candidate 1, at half the price (flex) for up to 600 s"
    (paid,) = rows(db)
    assert (paid["service_tier"], paid["cost_nano_usd"]) == ("flex", AT_FLEX)
    assert (paid["cost_basis"], paid["provider"]) == ("reported", "openai")
    assert tiers_sent(server) == ["flex"]
    assert_sound(db)


async def test_a_request_that_does_not_say_so_is_asked_as_before(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ANSWER)
    router = open_router(config_of(server, db))
    for result in (await router.ainvoke(ask()), await router.ainvoke(ask(max_wait_s=0))):
        (attempt,) = result["attempts"]
        assert (attempt["reason"], "tier" in attempt) == ("cloud, candidate 1", False)
        assert result["skipped"] == []
    assert [one["cost_nano_usd"] for one in rows(db)] == [AT_DEFAULT, AT_DEFAULT]
    assert tiers_sent(server) == [None, None]


async def test_what_is_served_in_the_usual_tier_is_billed_as_that(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Reply("It is Ulm.", input_tokens=10, service_tier="default"))
    await open_router(config_of(server, db)).ainvoke(ask(max_wait_s=600))
    (paid,) = rows(db)
    assert (paid["service_tier"], paid["cost_nano_usd"]) == ("default", AT_DEFAULT)
    # The reservation was for the dearer of the two.
    assert paid["overrun"] == 0


@pytest.mark.parametrize(
    "refusal",
    [
        FULL,
        Fault.status(429, message="Resource unavailable", retry_after_s=30),
        Fault.status(400, error_code="invalid_value", message="service_tier is not supported"),
        Fault.status(503),
        Fault.drop(),
    ],
)
async def test_a_full_tier_leads_to_the_provider_itself_at_once(
    server: LoopbackServer, db: Path, refusal: Fault
) -> None:
    server.script("openai", refusal, ANSWER)
    router = open_router(config_of(server, db))
    result = await router.ainvoke(ask(max_wait_s=600))
    assert asked(result) == [("openai", "flex", "failed"), ("openai", None, "answered")]
    assert result["attempts"][1]["reason"] == "cloud, candidate 1"
    assert tiers_sent(server) == ["flex", None]
    refused, paid = rows(db)
    assert (refused["service_tier"], refused["status"]) == ("flex", "failed")
    assert paid["cost_nano_usd"] == AT_DEFAULT
    assert_sound(db)


async def test_a_full_tier_is_left_alone_and_the_provider_is_not(
    server: LoopbackServer, db: Path
) -> None:
    health = {"failures": 2, "first_cooldown_s": 600, "cooldown_s": 600}
    router = open_router(config_of(server, db, health=health))
    server.script("openai", FULL, ANSWER, FULL, ANSWER)
    for _ in range(2):
        await router.ainvoke(ask(max_wait_s=600))
    server.always("openai", ANSWER)
    result = await router.ainvoke(ask(max_wait_s=600))
    assert asked(result) == [("openai", None, "answered")]
    (left_alone,) = result["skipped"]
    assert (left_alone["provider"], left_alone["tier"]) == ("openai", "flex")
    assert left_alone["code"] == "cooldown"
    assert asked(await router.ainvoke(ask())) == [("openai", None, "answered")]


async def test_a_row_that_cools_down_is_asked_in_no_tier(server: LoopbackServer, db: Path) -> None:
    health = {"failures": 1, "first_cooldown_s": 600, "cooldown_s": 600}
    router = open_router(config_of(server, db, row(server, max_retries=0), health=health))
    server.script("openai", Fault.status(500))
    with pytest.raises(RoutingError):
        await router.ainvoke(ask())
    with pytest.raises(NoProviderError, match=r"openai not asked .cooling down"):
        await router.ainvoke(ask(max_wait_s=600))
    assert len(server.calls()) == 1


async def test_each_provider_is_asked_at_half_its_price_before_itself(
    server: LoopbackServer, db: Path
) -> None:
    chain = [
        provider(server, "ollama"),
        row(server, name="one", model="one-1"),
        row(server, name="two", model="two-1"),
    ]
    server.always("ollama", Fault.status(500))
    server.script("openai", FULL, Fault.status(500), FULL, ANSWER)
    for one in chain:
        one["max_retries"] = 0
    router = open_router(config_of(server, db, *chain))
    result = await router.ainvoke(ask(max_wait_s=60))
    assert [one[:2] for one in asked(result)] == [
        ("ollama", None), ("one", "flex"), ("one", None), ("two", "flex"), ("two", None),
    ]  # fmt: skip
    assert_sound(db)


async def test_by_price_the_tier_has_the_place_of_its_own_price(
    server: LoopbackServer, db: Path
) -> None:
    between = {"input_usd_per_mtok": "1.5", "output_usd_per_mtok": "7"}
    chain = [
        provider(server, "dashscope", name="between", price=between, max_retries=0),
        row(server, max_retries=0),
    ]
    router = open_router(config_of(server, db, *chain, routing={"order": "price"}))
    server.script("openai", FULL)
    server.always("openai", ANSWER)
    server.script("dashscope", Fault.status(500))
    result = await router.ainvoke(ask(max_wait_s=60))
    assert [one[:2] for one in asked(result)] == [
        ("openai", "flex"), ("between", None), ("openai", None),
    ]  # fmt: skip
    first = await router.ainvoke(ask("And Bonn?", max_wait_s=60))
    assert first["attempts"][0]["reason"].startswith("expected $0.00")
    assert "; between $" in first["attempts"][0]["reason"]
    assert ", openai $" in first["attempts"][0]["reason"]
    assert_sound(db)


async def test_failures_and_times_of_the_tier_are_not_the_providers(
    server: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(server, db, routing={"order": "latency"}))
    server.script("openai", FULL, ANSWER)
    server.always("openai", ANSWER)
    await router.ainvoke(ask(max_wait_s=60))
    await router.ainvoke(ask(max_wait_s=60))
    again = open_router(config_of(server, db, routing={"order": "latency"}))
    for one in (router, again):
        experience = one.builder.nodes_around.services.experience
        await one.ainvoke(ask())
        usual = experience.record(("openai", "gpt-4o", "chat"))
        tier = experience.record(("openai", "gpt-4o", "chat"), "flex")
        assert (usual.failed_ms.part, usual.failed_ms.whole > 0) == (0, True)
        assert len(tier.whole.last) == 1
        assert tier.output == usual.output


async def test_a_chosen_provider_is_asked_in_both_tiers_and_no_other_is(
    server: LoopbackServer, db: Path
) -> None:
    chain = [row(server, name=name, model=f"{name}-1") for name in ("one", "two")]
    router = open_router(config_of(server, db, *chain, aliases={"second": ["two"]}))
    server.script("openai", FULL)
    server.always("openai", ANSWER)
    result = await router.ainvoke(ask(max_wait_s=60, model="second"))
    assert [one[:2] for one in asked(result)] == [("two", "flex"), ("two", None)]


async def test_both_tiers_keep_to_the_same_budget(server: LoopbackServer, db: Path) -> None:
    server.always("openai", ANSWER)
    probe = await open_router(config_of(server, db)).ainvoke(ask(max_wait_s=60))
    assert probe["attempts"]
    room = config_of(server, db, budgets={"provider:openai": "0.000050"})
    with pytest.raises(BudgetExceededError) as caught:
        await open_router(room).ainvoke(ask(max_wait_s=60))
    said = [(one["provider"], one.get("tier"), one["code"]) for one in caught.value.skipped]
    assert said == [("openai", "flex", "budget"), ("openai", None, "budget")]
    assert "openai:flex not asked (budget provider:openai per month" in str(caught.value)
    assert spent(db, "provider:openai") == AT_FLEX


async def test_what_a_check_refused_is_not_bought_again_from_the_same_model(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", ANSWER)
    server.always("ollama", Reply("It is Bonn."))
    config = config_of(server, db, row(server), provider(server, "ollama"))
    router = open_router(config, accept={"*": lambda request, answer: "Bonn" in answer.text})
    result = await router.ainvoke(ask(max_wait_s=60))
    assert asked(result) == [("openai", "flex", "failed"), ("ollama", None, "answered")]
    assert rows(db)[0]["cost_nano_usd"] == AT_FLEX
    assert_sound(db)


async def test_on_the_engine_of_langgraph_it_is_the_same(server: LoopbackServer, db: Path) -> None:
    server.script("openai", FULL, ANSWER)
    router = open_router(config_of(server, db), checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t"}}
    result = await router.ainvoke(ask(max_wait_s=60), thread)
    assert [one[:2] for one in asked(result)] == [("openai", "flex"), ("openai", None)]


async def test_a_tier_that_the_file_no_longer_has_is_not_asked(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ANSWER)
    handle = RouterHandle(config_of(server, db), environ=KEYS)
    assert asked(await handle.router.ainvoke(ask(max_wait_s=60)))[0][1] == "flex"
    handle.reload(config_of(server, db, row(server, half_price=False)))
    assert asked(await handle.router.ainvoke(ask(max_wait_s=60)))[0][1] is None


async def test_what_broke_off_in_the_tier_is_not_bought_again_from_the_same_model(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", Fault.cut(ANSWER, 2))
    server.always("ollama", Reply("It is Bonn."))
    router = open_router(config_of(server, db, row(server), provider(server, "ollama")))
    model = RoutedChatModel(router=router, max_wait_s=60, on_interrupt="restart")
    said = [chunk.text async for chunk in model.astream("Which city?")]
    assert "It is Bonn." in "".join(said)
    assert [one["provider"] for one in rows(db)] == ["openai", "ollama"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"price": {"input_usd_per_mtok": "2", "output_usd_per_mtok": "10"}},
         "no price of the tier 'flex' is known for 'gpt-4o'; give it as price.service_tiers.flex"),
        ({"options": {"service_tier": "priority"}},
         "every call asks for the tier 'priority'; take one of the two away"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_is_refused_when_the_program_starts(
    server: LoopbackServer, db: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=r"providers.openai.half_price: ") as caught:
        open_router(config_of(server, db, row(server, **changes)))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_kind_without_such_a_tier_is_refused(server: LoopbackServer, db: Path) -> None:
    config = config_of(server, db, provider(server, "ollama", half_price=True))
    with pytest.raises(ConfigError, match=r"providers.ollama.half_price: the kind 'ollama' has no"):
        open_router(config)
