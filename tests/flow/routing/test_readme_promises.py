"""What the README says of money is so in a graph that has the router as a node."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import (
    BudgetExceededError,
    RouterConfig,
    create_embeddings,
    create_ledger,
)
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from tests.flow.hosts import HOSTS, crowd, nested, promise
from tests.flow.support import (
    KEYS,
    KINDS,
    Row,
    ask,
    assert_one_row_per_call,
    assert_sound,
    dust_settles,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    read,
    spent,
)

DOLLAR = 1_000_000_000
ANSWER = Reply("Paris", input_tokens=10, output_tokens=1)
everywhere = pytest.mark.parametrize("way", HOSTS)


def paid(server: LoopbackServer, db: Path, **sections: Any) -> Any:
    """A router whose only provider is a cloud, where each answer holds and costs a dollar."""
    server.always("openai", ANSWER)
    chain = [provider(server, "openai", **flat_price("1"))]
    return open_router(make_config(server, db, providers=chain, **sections))


def asked_once(server: LoopbackServer) -> list[Row]:
    """The default chain, where a failed provider is not tried again."""
    return [provider(server, kind, max_retries=0) for kind in KINDS]


def protocols(server: LoopbackServer) -> list[str]:
    return [call.protocol for call in server.calls()]


@everywhere
@promise(
    "each call goes to the cheapest provider that may serve it",
    "No choice by quality: providers are asked as the configuration lists them",
)
async def test_the_first_provider_that_may_serve_it_is_asked(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.always("ollama", Reply("It is."))
    server.always("openai", ANSWER)
    chain = [
        provider(server, "dashscope", tasks=["answer"]),
        provider(server, "ollama"),
        provider(server, "openai"),
    ]
    router = open_router(make_config(server, db, providers=chain))
    await HOSTS[way](router, "Which city?", {"task": "chat"})
    assert protocols(server) == ["ollama"]


@everywhere
@promise("falls back when one fails", "The ledger has a row per physical call")
async def test_a_failed_attempt_falls_back_and_each_has_its_row(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.script("ollama", Fault.status(503))
    server.script("dashscope", Fault.cut(Reply("It is certainly"), after_chunks=1))
    server.script("openai", ANSWER)
    router = open_router(make_config(server, db, providers=asked_once(server)))
    result = await HOSTS[way](router, "Which city?", {})
    assert result["messages"][-1].text == "Paris"
    assert protocols(server) == ["ollama", "dashscope", "openai"]
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


@everywhere
@promise("never spends over a budget", "A budget is a hard limit on a scope")
async def test_a_budget_ends_with_its_last_dollar(
    server: LoopbackServer, db: Path, way: str
) -> None:
    router = paid(server, db, budgets={"user:ada": "2"})
    for _ in range(2):
        await HOSTS[way](router, "Which city?", {"user_id": "ada"})
    with pytest.raises(BudgetExceededError):
        await HOSTS[way](router, "Which city?", {"user_id": "ada"})
    assert len(server.calls()) == 2
    assert spent(db, "user:ada") == 2 * DOLLAR
    # The limit is Ada's.
    await HOSTS[way](router, "Which city?", {"user_id": "bob"})


@promise("never spends over a budget")
async def test_twelve_nodes_beside_each_other_spend_what_three_may(
    server: LoopbackServer, db: Path
) -> None:
    router = paid(server, db, budgets={"total": "3"})
    for _ in range(3):
        with suppress(BudgetExceededError):
            await crowd(router, 12).ainvoke(ask())
    await dust_settles(db)
    assert len(server.calls()) <= 3
    assert spent(db) <= 3 * DOLLAR
    assert_sound(db)


@everywhere
@promise("leaves a row that says what it cost")
async def test_the_row_says_what_the_call_has_cost(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.always("openai", Reply("Paris", input_tokens=1000, output_tokens=30))
    chain = [provider(server, "openai")]
    router = open_router(make_config(server, db, providers=chain))
    choices = {"user_id": "ada", "task": "answer"}
    await HOSTS[way](router, "Which city?", choices)
    (row,) = made(db)
    # 1000 tokens at $2.50, 30 at $10 a million.
    assert row["cost_nano_usd"] == 2_800_000
    assert (row["cost_basis"], row["user_id"], row["task"]) == ("reported", "ada", "answer")


@everywhere
@promise(
    "Every attempt is entered through `budget_check`, which reserves the most it can cost; "
    "`record_cost` replaces the reservation by the real cost."
)
async def test_the_most_it_can_cost_is_held_while_the_call_runs(
    server: LoopbackServer, db: Path, way: str
) -> None:
    held: list[int] = []

    def answer(call: Received) -> Reply:
        held.extend(row["hold_nano_usd"] for row in made(db) if row["status"] == "reserved")
        return Reply("Paris", input_tokens=5, output_tokens=1)

    server.always("openai", answer)
    chain = [provider(server, "openai", max_output_tokens=100)]
    router = open_router(make_config(server, db, providers=chain, budgets={"total": "1"}))
    await HOSTS[way](router, "Which city?", {})
    (row,) = made(db)
    assert held == [row["hold_nano_usd"]]
    assert held[0] >= 100 * 10_000
    assert row["cost_nano_usd"] == 5 * 2_500 + 10_000
    assert_sound(db)


@everywhere
@promise("an envelope that all requests of one run share")
async def test_the_requests_of_a_run_share_its_envelope(
    server: LoopbackServer, db: Path, way: str
) -> None:
    router = paid(server, db)
    run = {"run_id": "job", "max_cost_usd": "2"}
    await HOSTS[way](router, "Which city?", run)
    # The second is asked in another host.
    await HOSTS["routed state"](router, "Which city?", run)
    with pytest.raises(BudgetExceededError):
        await HOSTS[way](router, "Which city?", run)
    assert len(server.calls()) == 2
    assert spent(db, "run:job") == 2 * DOLLAR


@everywhere
@promise("A call is admitted by all that it touches or by none")
async def test_a_call_that_one_budget_refuses_holds_nothing_of_the_others(
    server: LoopbackServer, db: Path, way: str
) -> None:
    router = paid(server, db, budgets={"user:ada": "5", "task:answer": "5", "total": "0.5"})
    with pytest.raises(BudgetExceededError):
        await HOSTS[way](router, "Which city?", {"user_id": "ada", "task": "answer"})
    assert server.calls() == ()
    taken = read(db, "SELECT sum(held_nano_usd) + sum(spent_nano_usd) AS usd FROM totals")
    assert not taken[0]["usd"]


@everywhere
@promise("0 means that nothing may be spent")
async def test_a_budget_of_nothing_leaves_what_is_free(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.always("ollama", Reply("It is."))
    chain = [provider(server, "openai"), provider(server, "ollama")]
    config = make_config(server, db, providers=chain, budgets={"total": "0"})
    await HOSTS[way](open_router(config), "Which city?", {})
    assert protocols(server) == ["ollama"]
    assert spent(db) == 0


@everywhere
@promise(
    "`aegis budgets set` and `remove` change them for the next request of every process.",
)
async def test_a_limit_that_another_process_sets_counts_for_the_next_request(
    server: LoopbackServer, db: Path, way: str
) -> None:
    server.always("openai", ANSWER)
    chain = [provider(server, "openai", **flat_price("1"))]
    config = make_config(server, db, providers=chain, budgets={"total": "5"})
    router = open_router(config)
    await HOSTS[way](router, "Which city?", {})
    other = create_ledger(config)
    await other.set_budget("total", "month", Decimal(1))
    with pytest.raises(BudgetExceededError):
        await HOSTS[way](router, "Which city?", {})
    await other.set_budget("total", "month", None)
    await HOSTS[way](router, "Which city?", {})
    other.close()
    assert len(server.calls()) == 2


@everywhere
@promise("No cache: two identical requests are two calls.")
async def test_the_same_question_is_paid_twice(server: LoopbackServer, db: Path, way: str) -> None:
    router = paid(server, db)
    for _ in range(2):
        await HOSTS[way](router, "Which city?", {})
    assert len(server.calls()) == len(made(db)) == 2


@everywhere
@promise(
    "The prompt's token count is an upper bound (its bytes), so a budget that is nearly used up "
    "may refuse a call that would have fitted."
)
async def test_a_prompt_is_held_at_its_bytes(server: LoopbackServer, db: Path, way: str) -> None:
    server.always("openai", ANSWER)
    price = {"input_usd_per_mtok": "1000", "output_usd_per_mtok": "0"}
    chain = [provider(server, "openai", price=price, max_output_tokens=1)]
    # Each token costs a tenth of a cent: 10 are one cent, and the 400 bytes are 40 cents.
    router = open_router(make_config(server, db, providers=chain, budgets={"total": "0.3"}))
    await HOSTS[way](router, "Short?", {})
    with pytest.raises(BudgetExceededError):
        await HOSTS[way](router, "a" * 400, {})
    assert spent(db) == DOLLAR // 100


@promise("with $10 and $20 a month for the two clouds")
async def test_the_default_limits_are_in_the_ledger_of_a_host(tmp_path: Path) -> None:
    closed = {"OLLAMA_BASE_URL": "http://127.0.0.1:9"}
    config = RouterConfig.load(environ=closed).model_dump()
    config["ledger"]["url"] = f"sqlite:///{tmp_path / 'costs.db'}"
    checked = RouterConfig.model_validate(config)
    await HOSTS["routed state"](
        open_router(checked, environ=closed), "Question: Who?", {"task": "answer"}
    )
    ledger = create_ledger(checked)
    found = {budget.scope: budget.limit_nano_usd for budget in await ledger.budgets()}
    ledger.close()
    assert found == {"provider:dashscope": 10 * DOLLAR, "provider:openai": 20 * DOLLAR}


@promise("LangChain embeddings, admitted and recorded like chat")
async def test_vectors_in_a_node_are_admitted_and_recorded(
    server: LoopbackServer, db: Path
) -> None:
    row = provider(server, "openai", dimensions=1024, model="text-embedding-3-small")
    row = {**row, "price": {"input_usd_per_mtok": "1000", "output_usd_per_mtok": "0"}}
    vectors = [{key: value for key, value in row.items() if key != "retry_wait_s"}]
    config = make_config(server, db, embeddings=vectors, budgets={"total": "0.5"})
    embeddings = create_embeddings(config, environ=KEYS)

    async def search(state: Any) -> dict[str, Any]:
        await embeddings.aembed_documents([state["messages"][-1].text])
        return {}

    graph = nested(search)
    await graph.ainvoke(ask("Which city?"))
    with pytest.raises(BudgetExceededError):
        await graph.ainvoke(ask("a" * 1000))
    (kept,) = made(db)
    assert kept["cost_nano_usd"] > 0
    assert len(server.journal) == 1
