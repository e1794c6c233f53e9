"""The measured faults of the system that this package replaces: one test for each."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.config.price_specs import PriceSpec
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import BudgetExceededError, ConfigError, LedgerError
from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.registry import create_provider
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    KINDS,
    ask,
    assert_sound,
    dust_settles,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    rows,
    spent,
)

DOLLAR = 1_000_000_000
ONE = Reply("Paris", input_tokens=10, output_tokens=1)
PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG one pixel").decode()
each_kind = pytest.mark.parametrize("kind", KINDS)


def outcomes(results: list[Any]) -> tuple[int, int]:
    """How many were answered, and how many were refused for their budget."""
    refused = [result for result in results if isinstance(result, BudgetExceededError)]
    answered = [result for result in results if isinstance(result, dict)]
    assert len(answered) + len(refused) == len(results), results
    return len(answered), len(refused)


async def test_twenty_concurrent_calls_cannot_take_a_limit_of_5_dollars_above_it(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ONE)
    row = provider(server, "openai", **flat_price("0.70"))
    config = make_config(server, db, providers=[row], budgets={"provider:openai": "5"})
    router = open_router(config)

    results = await asyncio.gather(
        *(router.ainvoke(ask()) for _ in range(20)), return_exceptions=True
    )

    assert outcomes(results) == (7, 13)
    assert len(server.calls()) == 7
    assert spent(db, "provider:openai") == 4_900_000_000
    assert_sound(db)


async def test_with_4_99_of_5_dollars_spent_nobody_buys_for_2_50(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ONE)
    small, large = (
        open_router(
            make_config(
                server,
                db,
                providers=[provider(server, "openai", **flat_price(usd))],
                budgets={"total": "5"},
            )
        )
        for usd in ("4.99", "2.50")
    )
    await small.ainvoke(ask())

    results = await asyncio.gather(
        *(large.ainvoke(ask()) for _ in range(20)), return_exceptions=True
    )

    assert outcomes(results) == (0, 20)
    assert (len(server.calls()), spent(db)) == (1, 4_990_000_000)


async def test_a_fallback_answer_writes_a_row_like_any_other(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Fault.status(404))
    server.script("dashscope", Reply("Paris", input_tokens=50, output_tokens=10))

    result = await open_router(make_config(server, db)).ainvoke(ask())

    assert [row["provider"] for row in result["attempts"]] == ["ollama", "dashscope"]
    assert [(row["attempt"], row["status"], row["cost_nano_usd"]) for row in made(db)] == [
        (1, "failed", 0),
        (2, "answered", 32_000),
    ]
    assert_sound(db)


@each_kind
async def test_a_streamed_answer_writes_a_row_with_its_reported_cost(
    server: LoopbackServer, db: Path, kind: Any
) -> None:
    server.script(kind, Reply("It is Paris.", input_tokens=40, output_tokens=7))
    price = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "10"}
    config = make_config(server, db, providers=[provider(server, kind, price=price)])
    router = open_router(config)

    parts = [chunk.text async for chunk, _ in router.astream(ask(), stream_mode="messages")]

    assert "".join(parts) == "It is Paris."
    assert server.calls()[0].streamed
    (row,) = rows(db)
    assert (row["input_tokens"], row["output_tokens"]) == (40, 7)
    assert (row["cost_basis"], row["cost_nano_usd"]) == ("reported", 110_000)
    assert_sound(db)


async def test_a_budget_of_0_means_nothing_and_no_budget_means_no_limit(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ONE)
    priced = [provider(server, "openai", **flat_price("1000000"))]
    closed = make_config(server, db, providers=priced, budgets={"provider:openai": "0"})
    # A file of its own: a limit stays in the ledger that it was written to.
    open_ended = make_config(server, db.with_name("open.db"), providers=priced)

    with pytest.raises(BudgetExceededError):
        await open_router(closed).ainvoke(ask())
    assert server.calls() == ()

    await open_router(open_ended).ainvoke(ask())
    assert spent(db.with_name("open.db")) == 1_000_000 * DOLLAR


async def test_a_failed_ledger_write_leaves_no_two_memories_of_the_money(
    server: LoopbackServer, db: Path
) -> None:
    blocker = sqlite3.connect(db.with_name("costs.db"), check_same_thread=False, timeout=30)
    row = provider(server, "openai", **flat_price("3"))
    config = make_config(
        server,
        db,
        providers=[row],
        budgets={"total": "5"},
        ledger={"busy_timeout_s": 0.1},
    )
    # The answer is produced under another program's lock: it was bought but cannot be recorded.
    server.script(
        "openai",
        Reply(
            "Paris",
            output_tokens=1,
            latency_s=lambda: len(blocker.execute("BEGIN IMMEDIATE").fetchall()),
        ),
    )
    router, other = (open_router(config) for _ in range(2))

    with closing(blocker):
        with pytest.raises(LedgerError, match="is locked by another program"):
            await router.ainvoke(ask())
        blocker.execute("ROLLBACK")

    for same_file in (router, other):
        with pytest.raises(BudgetExceededError, match=r"\$2 left"):
            await same_file.ainvoke(ask())
    await dust_settles(db)
    assert len(server.calls()) == 1
    assert spent(db) == 3 * DOLLAR
    assert_sound(db)


async def test_an_exhausted_budget_is_open_again_next_month(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", ONE)
    now = [datetime(2026, 12, 31, 22, 59, tzinfo=UTC)]
    config = make_config(
        server,
        db,
        providers=[provider(server, "openai", **flat_price("5"))],
        budgets={"provider:openai": "5"},
        ledger={"timezone": "Europe/Berlin"},
    )
    router = open_router(config, clock=lambda: now[0])

    await router.ainvoke(ask())
    with pytest.raises(BudgetExceededError):
        await router.ainvoke(ask())
    now[0] = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)
    await router.ainvoke(ask())

    assert [row["day"] for row in rows(db)] == ["2026-12-31", "2027-01-01"]
    assert rows(db)[1]["timestamp"] == "2026-12-31T23:00:00.000Z"


async def test_an_answer_about_health_data_is_never_served_again(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Reply("You are ill."), Reply("Ask a doctor."))
    router = open_router(make_config(server, db))

    private = await router.ainvoke(ask("Am I ill?", sensitivity="hipaa", user_id="patient"))
    public = await router.ainvoke(ask("Am I ill?", sensitivity="public", user_id="stranger"))

    assert private["messages"][-1].text == "You are ill."
    assert public["messages"][-1].text == "Ask a doctor."
    assert len(server.calls()) == 2


def test_gpt_4o_mini_is_not_billed_as_gpt_4o() -> None:
    usage = TokenUsage(1_000_000, 1_000_000)
    large, small = (
        create_provider(
            ProviderSpec(name="a", kind="openai", model=model, location="cloud"), source=""
        ).price
        for model in ("gpt-4o", "gpt-4o-mini")
    )

    assert (large(usage), small(usage)) == (Decimal("12.5"), Decimal("0.75"))


async def test_two_models_of_one_provider_are_billed_at_their_own_price(
    server: LoopbackServer, db: Path
) -> None:
    answer = Reply("Paris", input_tokens=50, output_tokens=20)
    server.script("dashscope", Fault.status(404), model="qwen-max")
    server.script("dashscope", answer, model="qwen-turbo")
    server.script("dashscope", answer, model="qwen-max")
    chain = [
        provider(server, "dashscope", name=name, model=f"qwen-{name}") for name in ("max", "turbo")
    ]

    for _ in range(2):
        # The second router has not seen that one of the two was away.
        router = open_router(make_config(server, db, providers=chain))
        await router.ainvoke(ask())

    costs = [(row["model"], row["cost_nano_usd"]) for row in rows(db) if row["cost_nano_usd"]]
    assert costs == [("qwen-turbo", 6_500), ("qwen-max", 208_000)]


@pytest.mark.parametrize(("kind", "model"), [("openai", "gpt-99"), ("dashscope", "qwen-99")])
def test_an_unknown_price_is_refused_at_start_up(
    server: LoopbackServer, db: Path, kind: str, model: str
) -> None:
    config = make_config(server, db, providers=[provider(server, kind, model=model, price=None)])

    with pytest.raises(ConfigError, match=f"no price is known for '{model}'"):
        open_router(config)


@each_kind
@pytest.mark.parametrize("stream", [False, True])
async def test_usage_is_recorded_as_reported_and_what_is_missing_is_an_estimate(
    server: LoopbackServer, db: Path, kind: Any, stream: bool
) -> None:
    server.script(kind, Reply("Paris", input_tokens=71, output_tokens=3))
    server.script(kind, Fault.no_usage(Reply("It is Paris.")))
    config = make_config(
        server,
        db,
        providers=[
            provider(
                server,
                kind,
                price=PriceSpec.model_validate(
                    {"input_usd_per_mtok": "1", "output_usd_per_mtok": "1"}
                ),
            )
        ],
    )
    router = open_router(config)

    for _ in range(2):
        async for _ in router.astream(ask(), stream_mode="messages" if stream else "values"):
            pass

    reported, estimated = rows(db)
    assert (reported["input_tokens"], reported["output_tokens"]) == (71, 3)
    assert reported["cost_basis"] == "reported"
    assert estimated["cost_basis"] == "estimated"
    assert 0 < estimated["cost_nano_usd"] <= estimated["hold_nano_usd"]
    assert estimated["output_tokens"] == len("It is Paris.")
