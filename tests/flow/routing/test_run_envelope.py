"""A run's envelope through the router: fifty requests of one run, and money for ten."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.errors import BudgetExceededError
from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import (
    ask,
    assert_one_row_per_call,
    assert_sound,
    flat_price,
    make_config,
    open_router,
    provider,
    read,
    rows,
    spent,
)

DOLLAR = 1_000_000_000
ANSWER = Reply("Paris", input_tokens=10, output_tokens=1, latency_s=0.02)


def paid(server: LoopbackServer, db: Path) -> Any:
    server.always("openai", ANSWER)
    chain = [provider(server, "openai", **flat_price("1"))]
    return open_router(make_config(server, db, providers=chain))


async def test_fifty_requests_of_a_run_spend_its_envelope_and_not_a_cent_more(
    server: LoopbackServer, db: Path
) -> None:
    routers = [paid(server, db), paid(server, db)]
    asked = (
        routers[n % 2].ainvoke(ask(f"city {n}?", run_id="job", max_cost_usd="10"))
        for n in range(50)
    )
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, BudgetExceededError)]
    assert len(refused) == 40
    assert len(server.calls()) == 10
    assert {skip["code"] for error in refused for skip in error.skipped} == {"budget"}
    assert "budget run:job per total: needs up to $1, $0 left" in str(refused[0])
    assert spent(db, "run:job") == spent(db) == 10 * DOLLAR
    assert {row["run_id"] for row in rows(db)} == {"job"}
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


@pytest.mark.parametrize("limit", ["2", 2, 2.0, "2.00"])
async def test_a_run_ends_where_its_envelope_does_and_others_go_on(
    server: LoopbackServer, db: Path, limit: Any
) -> None:
    router = paid(server, db)
    for _ in range(2):
        await router.ainvoke(ask(run_id="job", max_cost_usd=limit))
    with pytest.raises(BudgetExceededError):
        await router.ainvoke(ask(run_id="job", max_cost_usd=limit))
    for more in ({}, {"run_id": "next", "max_cost_usd": limit}, {"run_id": "job"}):
        await router.ainvoke(ask(**more))
    assert len(server.calls()) == 5
    unanswered = read(db, "SELECT run_id, error_type FROM unanswered")
    assert unanswered == [{"run_id": "job", "error_type": "BudgetExceededError"}]


async def test_an_empty_envelope_falls_back_to_a_free_provider(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", Reply("Rome"))
    chain = [provider(server, "openai", **flat_price("1")), provider(server, "ollama")]
    router = open_router(make_config(server, db, providers=chain))
    answer = await router.ainvoke(ask(run_id="job", max_cost_usd="0.5"))
    assert answer["messages"][-1].content == "Rome"
    (skip,) = answer["skipped"]
    assert (skip["provider"], skip["code"]) == ("openai", "budget")
    assert_sound(db)
