"""From a budget's ``alert_at`` on, the cheaper provider is asked first, and the reason says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.ledger.approvals import Approval
from aegis_graph.routing.explain import explain
from aegis_graph.testing import LoopbackServer, Reply
from tests.contract.ledger_store import hold
from tests.flow.support import ask, flat_price, make_config, open_router, provider

NEAR = "downshift: 80 % of total/month is spent; expected $0.1; dear $0.4"


def config_of(
    server: LoopbackServer, db: Path, *, scope: str = "total", on_budget: str = "downshift"
) -> RouterConfig:
    """A dear provider before a cheap one; two answers of the dear one reach the share."""
    for kind in ("openai", "dashscope"):
        server.always(kind, Reply("x", input_tokens=1, output_tokens=1))
    chain = [
        provider(server, "openai", name="dear", model="d", **flat_price("0.4")),
        provider(server, "dashscope", name="cheap", model="c", **flat_price("0.1")),
    ]
    config = make_config(server, db, providers=chain, routing={"on_budget": on_budget})
    budget = {"scope": scope, "window": "month", "limit_usd": "1", "alert_at": "0.8"}
    return RouterConfig.model_validate({**config.model_dump(), "budgets": [budget]})


async def reason(router: Any, **more: Any) -> str:
    (attempt,) = (await router.ainvoke(ask(**more)))["attempts"]
    return f"{attempt['provider']}: {attempt['reason']}"


async def test_the_order_changes_with_the_settlement_that_reaches_the_share(
    server: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(server, db))
    assert await reason(router) == "dear: cloud, candidate 1"
    assert await reason(router) == "dear: cloud, candidate 1"
    assert await reason(router) == f"cheap: {NEAR}"


@pytest.mark.parametrize("choice", [{"order": "listed"}, {"providers": ["dear", "cheap"]}])
async def test_it_goes_before_a_requests_own_order(
    server: LoopbackServer, db: Path, choice: dict[str, Any]
) -> None:
    router = open_router(config_of(server, db))
    for _ in range(2):
        assert (await reason(router, **choice)).startswith("dear")
    assert (await reason(router, **choice)).startswith("cheap: downshift: 80 %")


async def test_explain_says_it_in_the_same_words(server: LoopbackServer, db: Path) -> None:
    config = config_of(server, db)
    ledger = create_ledger(config)
    before = await explain(open_router(config, ledger=ledger), ledger, ask())
    assert (before.order, before.candidates[0].provider) == ("listed", "dear")
    router = open_router(config, ledger=ledger)
    for _ in range(2):
        await reason(router)
    # Of another process, as the command is.
    plan = await explain(open_router(config, ledger=ledger), ledger, ask())
    assert (plan.order, plan.candidates[0].provider) == ("price", "cheap")
    assert plan.candidates[0].reason == NEAR


async def test_another_process_hears_of_it_within_a_minute_and_of_a_new_window_at_once(
    server: LoopbackServer, db: Path
) -> None:
    now = datetime(2026, 11, 30, 23, 58, 30, tzinfo=UTC)
    config = config_of(server, db)
    ours, theirs = (open_router(config, clock=lambda: now) for _ in range(2))
    assert await reason(theirs) == "dear: cloud, candidate 1"
    assert await reason(ours) == "dear: cloud, candidate 1"
    now += timedelta(seconds=61)
    assert (await reason(theirs)).startswith("cheap: downshift: ")
    now += timedelta(seconds=28)
    assert (await reason(theirs)).startswith("cheap: downshift: ")
    now += timedelta(seconds=2)
    assert await reason(theirs) == "dear: cloud, candidate 1"


@pytest.mark.parametrize(
    ("scope", "mine", "others"),
    [
        ("user:*", {"user_id": "ada"}, {"user_id": "bob"}),
        ("task:answer", {"task": "answer"}, {"task": "chat"}),
        ("tag:team=*", {"tags": {"team": "a"}}, {"tags": {"team": "b"}}),
    ],
)
async def test_it_concerns_whom_the_budget_concerns(
    server: LoopbackServer, db: Path, scope: str, mine: Any, others: Any
) -> None:
    config = config_of(server, db, scope=scope)
    router = open_router(config)
    for _ in range(2):
        await reason(router, **mine)
    for each in (router, open_router(config)):
        assert (await reason(each, **mine)).startswith("cheap: downshift: ")
        assert await reason(each, **others) == "dear: cloud, candidate 1"


async def test_a_provider_that_is_nearly_spent_puts_the_cheaper_one_first(
    server: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(server, db, scope="provider:dear"))
    for _ in range(2):
        await reason(router)
    assert (await reason(router)).startswith("cheap: downshift: 80 % of provider:dear/month")


async def test_what_was_allowed_beyond_the_limit_counts(server: LoopbackServer, db: Path) -> None:
    config = config_of(server, db)
    ledger = create_ledger(config)
    router = open_router(config, ledger=ledger)
    for _ in range(2):
        await reason(router)
    await ledger.admit([hold(900_000_000)], approval=Approval("q", 1_300_000_000, "ada"))
    assert await reason(open_router(config, ledger=ledger)) == "dear: cloud, candidate 1"


async def test_without_the_word_nothing_is_read_and_nothing_changes(
    server: LoopbackServer, db: Path
) -> None:
    router = open_router(config_of(server, db, on_budget="raise"))
    for _ in range(2):
        assert await reason(router) == "dear: cloud, candidate 1"
    assert router.builder.nodes_around.planner.downshift is None
    chosen = open_router(config_of(server, db, on_budget="raise"), on_budget="downshift")
    assert (await reason(chosen)).startswith("cheap: downshift: ")
