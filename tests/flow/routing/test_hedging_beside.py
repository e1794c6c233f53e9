"""Hedging beside what else a request may have: checks of answers, half the price, embeddings."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis_graph import create_embeddings
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.half_price_support import row as half_price_row
from tests.flow.support import (
    KEYS,
    ask,
    assert_sound,
    dust_settles,
    flat_price,
    make_config,
    open_router,
    provider,
    rows,
    spent,
)

USD = 1_000_000_000


def short(text: str, **more: Any) -> Reply:
    return Reply(text, input_tokens=10, output_tokens=1, **more)


def hedged(server: LoopbackServer, db: Path, *kinds: str, **more: Any) -> Any:
    chain = [provider(server, kind, **flat_price("1"), **more.pop("row", {})) for kind in kinds]
    hooks = more.pop("hooks", {})
    config = make_config(server, db, providers=chain, routing={"hedge_after_s": 0.02}, **more)
    return open_router(config, **hooks)


async def test_an_answer_that_won_and_is_refused_is_followed_by_the_next(
    server: LoopbackServer, db: Path
) -> None:
    server.script("openai", Fault.hang())
    server.always("dashscope", short("Lyon"))
    server.always("openai", short("Paris"))

    def check(request: Any, answer: Any) -> str | None:
        return None if answer.text == "Paris" else "no capital"

    router = hedged(server, db, "openai", "dashscope", hooks={"accept": {"chat": check}})
    result = await router.ainvoke(ask())
    assert [(one["provider"], one["status"]) for one in result["attempts"]] == [
        ("openai", "cancelled"),
        ("dashscope", "failed"),
        ("openai", "answered"),
    ]
    assert [row["attempt"] for row in rows(db)] == [1, 2, 3]
    assert_sound(db)


async def test_it_waits_for_no_limit_and_does_not_pass_those_that_wait(
    server: LoopbackServer, db: Path
) -> None:
    """One slot at the second: the hedge of a second request is not made, and not waited for."""
    server.always("openai", short("Paris", latency_s=0.5))
    server.always("ollama", Fault.hang())
    chain = [
        provider(server, "openai", **flat_price("1")),
        provider(server, "ollama", max_concurrency=1, queue_s=60),
    ]
    config = make_config(server, db, providers=chain, routing={"hedge_after_s": 0.02})
    router = open_router(config)
    results = await asyncio.gather(*(router.ainvoke(ask(f"city {n}?")) for n in range(4)))
    assert sorted(len(one["attempts"]) for one in results) == [1, 1, 1, 2]
    assert all("openai" in one["attempts"][0]["provider"] for one in results)
    assert_sound(db)


async def test_an_attempt_in_a_tier_at_half_the_price_is_not_hedged(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", short("Paris", latency_s=0.3))
    server.always("dashscope", short("Lyon"))
    chain = [
        half_price_row(server),
        provider(server, "dashscope", **flat_price("1")),
    ]
    config = make_config(server, db, providers=chain, routing={"hedge_after_s": 0.02})
    result = await open_router(config).ainvoke(ask(max_wait_s=600))
    (attempt,) = result["attempts"]
    assert (attempt["provider"], attempt["tier"]) == ("openai", "flex")


async def test_embeddings_are_hedged_by_their_own_rows(server: LoopbackServer, db: Path) -> None:
    table = [
        {
            "name": kind, "kind": kind, "model": kind, "space": "one", "dimensions": 1024,
            "base_url": getattr(server, f"{kind}_url"), "location": "cloud",
            "api_key_env": "LOOPBACK_KEY",
            "price": {"input_usd_per_mtok": "1", "output_usd_per_mtok": "0"},
        }
        for kind in ("openai", "dashscope")
    ]  # fmt: skip
    server.always("openai", Fault.hang(), model="openai")
    config = make_config(server, db, embeddings=table, routing={"hedge_after_s": 0.02})
    embeddings = create_embeddings(config, environ=KEYS)
    kept: list[int] = []
    found = await embeddings.aembed(["a", "b"], keep=lambda texts, vectors: kept.append(len(texts)))
    assert [(one["provider"], one["status"]) for one in found.attempts] == [
        ("openai", "cancelled"),
        ("dashscope", "answered"),
    ]
    assert (len(found.vectors), kept) == (2, [2])
    assert_sound(db)


async def test_without_hedging_a_call_begins_no_task(server: LoopbackServer, db: Path) -> None:
    server.always("openai", short("Paris"))
    loop, begun = asyncio.get_running_loop(), []

    def note(loop: Any, work: Any, **more: Any) -> Any:
        begun.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **more)

    async def begun_by(after: Any) -> list[str]:
        chain = [provider(server, "openai", **flat_price("1"))]
        router = open_router(make_config(server, db, providers=chain))
        await router.ainvoke(ask())
        begun.clear()
        loop.set_task_factory(note)
        try:
            await router.ainvoke(ask(**after))
        finally:
            loop.set_task_factory(None)
        return [name for name in begun if "make" in name]

    assert await begun_by({}) == []
    assert await begun_by({"hedge_after_s": "p95"}) == [], "too few are measured"
    assert len(await begun_by({"hedge_after_s": 60})) == 1


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    budget=st.integers(1, 8),
    requests=st.integers(1, 8),
    script=st.lists(st.sampled_from(["fast", "slow", "cut", "refused"]), min_size=24, max_size=24),
)
def test_no_script_of_answers_and_failures_passes_a_budget_or_loses_a_hold(
    tmp_path_factory: Any, budget: int, requests: int, script: list[str]
) -> None:
    """Whatever fails or is overtaken: the budget holds, and each call has its row."""
    steps: dict[str, Reply | Fault] = {
        "fast": short("Paris"),
        "slow": short("Paris", latency_s=0.2),
        "cut": Fault.cut(short("Par is"), 0),
        "refused": Fault.status(503),
    }
    db = tmp_path_factory.mktemp("hedged") / "costs.db"
    with LoopbackServer() as server:
        server.script("openai", *(steps[one] for one in script))
        server.script("dashscope", *(steps[one] for one in reversed(script)))
        for kind in ("openai", "dashscope"):
            server.always(kind, short("Paris"))
        router = hedged(
            server, db, "openai", "dashscope", budgets={"total": str(budget)},
            row={"max_retries": 0}, health={"failures": 1000},
        )  # fmt: skip

        async def run() -> list[Any]:
            asked = (router.ainvoke(ask(f"city {number}?")) for number in range(requests))
            results = await asyncio.gather(*asked, return_exceptions=True)
            await dust_settles(db)
            return results

        results = asyncio.run(run())
        calls = len(server.calls())
    assert all(isinstance(one, dict | RuntimeError) for one in results), results
    assert spent(db) <= budget * USD
    sent = [row for row in rows(db) if (row["status"], row["cost_basis"]) != ("cancelled", "none")]
    # A call that was cancelled before its first byte has a row, and was not seen.
    assert calls <= len(sent)
    assert_sound(db)
    for one in results:
        if isinstance(one, dict):
            providers = [row["provider"] for row in one["attempts"]]
            assert len(providers) <= 3
            assert [row["attempt"] for row in one["attempts"]] == [*range(1, len(providers) + 1)]
            assert sum(row["status"] == "answered" for row in one["attempts"]) >= 1
