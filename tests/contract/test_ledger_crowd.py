"""Eight processes and a thousand requests at once: what is admitted is exact, overshoot is $0."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal
from multiprocessing.connection import Connection

import pytest

from aegis_graph import RouterConfig, create_ledger
from tests.contract.ledger_store import USD, Store, hold, settlement
from tests.contract.processes import WAIT_S, ended, heard, start

PROCESSES = 8
EACH = 125
COST = USD // 100
USERS = {"ada": "cheap", "bob": "cheap", "cyd": "cheap", "dan": "dear", "eve": "dear"}
"""Two hundred requests of each, all to one provider: then the first come, first served is exact."""
LIMITS = {
    ("total", "total"): None,
    ("provider:cheap", "month"): 120,  # its three users could have 150
    ("provider:dear", "week"): 180,  # its two users may have 100
    ("user:*", "day"): 50,
    ("user:eve", "total"): 45,
}
"""How many requests each budget has room for."""


def configure(url: str, total: int) -> RouterConfig:
    rows = [
        {"scope": scope, "window": window, "limit_usd": Decimal(room or total) * COST / USD}
        for (scope, window), room in LIMITS.items()
    ]
    chain = [
        {"name": name, "kind": "ollama", "model": "m", "location": "local", "price": "free"}
        for name in ("cheap", "dear")
    ]
    place = {"url": url, "busy_timeout_s": WAIT_S}
    return RouterConfig.model_validate({"ledger": place, "budgets": rows, "providers": chain})


def ask_at_once(config: RouterConfig, pipe: Connection) -> None:
    async def one(user: str) -> Counter[str]:
        made = await ledger.admit([hold(COST, provider=USERS[user], user=user)])
        if made.hold_id is None:
            return Counter()
        await ledger.settle([settlement(made, COST)])
        return Counter([user])

    async def work() -> Counter[str]:
        made = await asyncio.gather(*(one([*USERS][number % 5]) for number in range(EACH)))
        return sum(made, Counter[str]())

    ledger = create_ledger(config)
    pipe.send("ready")
    pipe.recv()
    pipe.send(asyncio.run(work()))
    ledger.close()


@pytest.mark.parametrize(("total", "admitted"), [(215, 215), (216, 215), (200, 200), (7, 7)])
def test_a_thousand_requests_of_eight_processes_are_admitted_exactly(
    store: Store, total: int, admitted: int
) -> None:
    # Nobody has made the database yet: the eight also race for that.
    config = configure(store.url, total)
    crowd = [start(ask_at_once, config) for _ in range(PROCESSES)]
    for _, pipe in crowd:
        assert heard(pipe) == "ready"
    for _, pipe in crowd:
        pipe.send("go")
    bought: Counter[str] = sum((heard(pipe) for _, pipe in crowd), Counter())
    assert [ended(process) for process, _ in crowd] == [0] * PROCESSES

    assert bought.total() == admitted
    if total >= admitted == 215:
        assert (bought["dan"], bought["eve"]) == (50, 45)
        assert bought["ada"] + bought["bob"] + bought["cyd"] == 120
    rows = store.rows()
    assert Counter(row["user_id"] for row in rows) == bought
    assert {(row["status"], row["cost_nano_usd"]) for row in rows} == {("answered", COST)}
    used = {
        row["scope"]: (row["spent"], row["held"])
        for row in store.query(
            "SELECT scope, sum(spent_nano_usd) AS spent, sum(held_nano_usd) AS held"
            " FROM totals GROUP BY scope"
        )
    }
    assert used["total"] == (admitted * COST, 0)
    for (scope, _), room in LIMITS.items():
        for name in [scope] if scope != "user:*" else [f"user:{user}" for user in USERS]:
            assert used.get(name, (0, 0))[0] <= (room or total) * COST, f"{name} is overspent"
    for user, count in bought.items():
        assert used[f"user:{user}"] == (count * COST, 0)
