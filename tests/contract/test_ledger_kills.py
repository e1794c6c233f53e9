"""kill -9 at random moments, with real routers under load: the books stay in order."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

import pytest

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.clock import utc_now
from aegis_graph.testing import LoopbackServer, Reply
from tests.contract.ledger_store import Store
from tests.contract.processes import ended, heard, start
from tests.flow.support import ask, flat_price, open_router, provider

ALL = os.environ.get("AEGIS_TEST_KILLS") == "all"
"""All of them take most of a minute on two cores: for whoever changes the ledger."""
KILLS = {"sqlite": 200 if ALL else 40, "postgres": 50 if ALL else 15}
COST = 1_000_000
"""What an answer costs, and its hold, in nano-USD."""
AT_ONCE = 8
"""Requests in flight in each process."""
MOST_CALLS = 40
"""Between two kills, at most so many calls arrive."""
ANSWER = Reply("Paris", input_tokens=10, output_tokens=1, latency_s=0.005)
SCOPES = ("'total'", "'provider:'||provider", "'model:'||model", "'task:'||task")
BY_SCOPE = """
    SELECT {scope} AS scope, day, sum(cost_nano_usd) AS spent,
        sum(CASE status WHEN 'reserved' THEN hold_nano_usd ELSE 0 END) AS held,
        count(*) AS calls, sum(CASE status WHEN 'answered' THEN 0 WHEN 'reserved' THEN 0
        ELSE 1 END) AS failures
    FROM requests GROUP BY 1, 2
"""
TOTALS = (
    "SELECT scope, day, spent_nano_usd AS spent, held_nano_usd AS held, calls, failures FROM totals"
)

Victim = tuple[ForkServerProcess, Connection]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        server.always("openai", ANSWER)
        yield server


def configure(server: LoopbackServer, url: str) -> RouterConfig:
    """A provider with a price, and budgets of three kinds that are there to be guarded."""
    budgets = [
        {"scope": scope, "window": window, "limit_usd": "1000"}
        for scope, window in (("total", "total"), ("provider:openai", "month"), ("user:*", "day"))
    ]
    row = provider(server, "openai", **flat_price(f"{COST / 10**9}"))
    return RouterConfig.model_validate(
        # Patient: many writers share two cores with the test.
        {"ledger": {"url": url, "busy_timeout_s": 30}, "providers": [row], "budgets": budgets}
    )


def ask_for_ever(config: RouterConfig, name: str, pipe: Connection) -> None:
    """Ask for cities whose names nobody else asks for, until the end."""

    async def worker(router: Any, number: int) -> None:
        count = 0
        while True:
            city = f"{name}-{number}-{count}"
            thread = {"configurable": {"thread_id": city}}
            await router.ainvoke(ask(f"city {city}?", user_id=f"u{number % 3}"), thread)
            count += 1

    async def work() -> None:
        router = open_router(config)
        pipe.send("ready")
        await asyncio.gather(*(worker(router, number) for number in range(AT_ONCE)))

    asyncio.run(work())


def kill(victim: Victim) -> None:
    process, pipe = victim
    assert process.is_alive(), "it ended by itself: a kill elsewhere was its end"
    process.kill()
    assert ended(process) == -signal.SIGKILL
    pipe.close()


def asked(server: LoopbackServer) -> Counter[str]:
    """The cities that calls at the server were about."""
    return Counter(
        str(call.body["messages"][0]["content"]).removeprefix("city ").removesuffix("?")
        for call in server.calls()
    )


def assert_in_order(store: Store, server: LoopbackServer) -> None:
    """Every call has one row, no row counts twice, and the totals are the sums of the rows."""
    calls = asked(server)
    rows = {row["thread_id"]: row for row in store.rows()}
    assert len(rows) == len(store.rows()), "a request has two rows"
    assert set(calls.values()) == {1}, "a request was sent twice"
    assert not calls.keys() - rows.keys(), "a call was made without a reservation"
    for city in rows.keys() - calls.keys():
        assert rows[city]["status"] in {"reserved", "expired"}, rows[city]
    for row in rows.values():
        assert (row["status"], row["cost_nano_usd"]) in {
            ("answered", COST), ("expired", COST), ("reserved", 0)
        }, row  # fmt: skip
    summed = [
        row
        for scope in (*SCOPES, "'user:'||user_id")
        for row in store.query(BY_SCOPE.format(scope=scope))
    ]
    assert in_order(store.query(TOTALS)) == in_order(summed)
    if store.url.startswith("sqlite:"):
        assert store.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def in_order(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in rows)


def test_kill_9_at_random_moments_loses_no_call_and_counts_none_twice(
    store: Store, server: LoopbackServer
) -> None:
    config = configure(server, store.url)
    rounds = KILLS["sqlite" if store.url.startswith("sqlite:") else "postgres"]
    chance = random.Random(rounds)
    # Two at a time: one dies while the other is at work.
    victims = [start(ask_for_ever, config, f"{number}") for number in range(2)]
    for number in range(2, 2 + rounds):
        wanted = len(server.calls()) + chance.randint(0, MOST_CALLS)
        server.wait_for_calls(wanted, timeout_s=60)
        victim = victims.pop(chance.randrange(2))
        kill(victim)
        if number % 10 == 0:
            assert_opens_by_itself(config)
        victims.append(start(ask_for_ever, config, f"{number}"))
    for victim in victims:
        assert heard(victim[1]) == "ready"
        kill(victim)
    server.wait_until_idle()
    assert_in_order(store, server)

    left = store.query("SELECT count(*) AS open FROM requests WHERE status = 'reserved'")[0]["open"]
    assert left > 0, "no kill left a hold behind: the test has lost its point"
    assert_nothing_stays_blocked(config, left)
    assert_in_order(store, server)


def assert_opens_by_itself(config: RouterConfig) -> None:
    ledger = create_ledger(config)
    assert asyncio.run(ledger.check()) > 0
    assert all(row.left_nano_usd > 0 for row in asyncio.run(ledger.budgets()))
    ledger.close()


def assert_nothing_stays_blocked(config: RouterConfig, left: int) -> None:
    """After the deadline the holds of the dead are spending, and a new request is served."""
    ledger = create_ledger(config, clock=lambda: utc_now() + timedelta(hours=1))
    before = asyncio.run(ledger.budgets())[1]
    assert before.held_nano_usd == left * COST
    assert asyncio.run(ledger.sweep()) == left
    for row in asyncio.run(ledger.budgets()):
        assert row.held_nano_usd == 0
        assert row.left_nano_usd > COST
    ledger.close()
    router = open_router(config)
    thread = {"configurable": {"thread_id": "last"}}
    result = asyncio.run(router.ainvoke(ask("city last?", user_id="u0"), thread))
    assert result["messages"][-1].content == "Paris"
