"""A request's tags: whichever way they come, its cost counts for them and their budgets hold."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph import (
    BudgetExceededError,
    InvalidRequestError,
    NoProviderError,
    RoutedChatModel,
    RoutedMessagesState,
    RouterContext,
    RoutingError,
    create_embeddings,
)
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.support import (
    KEYS,
    ask,
    assert_sound,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
    read,
    rows,
    spent,
)

DOLLAR = 1_000_000_000
ANSWER = Reply("Paris", input_tokens=10, output_tokens=1)


def paid(server: LoopbackServer, db: Path, *limits: tuple[str, str], **more: Any) -> Any:
    """A router whose only provider takes a dollar for each answer."""
    server.always("openai", ANSWER)
    chain = [provider(server, "openai", **flat_price("1"))]
    return open_router(make_config(server, db, providers=chain, budgets=dict(limits)), **more)


def host(node: Any, state: type = MessagesState, **more: Any) -> Any:
    builder: Any = StateGraph(state, **more)
    return builder.add_node("llm", node).add_edge(START, "llm").compile()


def tags(db: Path) -> list[dict[str, str]]:
    return [json.loads(row["tags"] or "{}") for row in made(db)]


async def test_a_host_spends_the_budget_of_a_tag_and_is_refused_with_the_reason(
    server: LoopbackServer, db: Path
) -> None:
    graph = host(paid(server, db, ("tag:team=search", "2")), RoutedMessagesState)
    for _ in range(2):
        await graph.ainvoke(ask(tags={"team": "search", "env": "live"}))
    with pytest.raises(BudgetExceededError) as refused:
        await graph.ainvoke(ask(tags={"team": "search"}))
    assert [(skip["code"], skip["reason"]) for skip in refused.value.skipped] == [
        ("budget", "budget tag:team=search per month: needs up to $1, $0 left")
    ]
    await graph.ainvoke(ask(tags={"team": "ads"}))
    await graph.ainvoke(ask())
    assert len(server.calls()) == 4
    assert spent(db, "tag:team=search") == spent(db, "tag:env=live") == 2 * DOLLAR
    assert (spent(db, "tag:team=ads"), spent(db)) == (DOLLAR, 4 * DOLLAR)
    (unanswered,) = read(db, "SELECT tags, error_type FROM unanswered")
    assert unanswered == {"tags": '{"team": "search"}', "error_type": "BudgetExceededError"}
    assert_sound(db)


async def test_each_team_has_its_own_budget(server: LoopbackServer, db: Path) -> None:
    router = paid(server, db, ("tag:team=*", "1"))
    for team in ("ads", "search"):
        await router.ainvoke(ask(tags={"team": team}))
        says = rf"budget tag:team={team} \(tag:team=\*\) per month: needs up to \$1, \$0 left"
        with pytest.raises(BudgetExceededError, match=says):
            await router.ainvoke(ask(tags={"team": team}))


@dataclass
class Context:
    """A host's own context."""

    tags: dict[str, str] = field(default_factory=lambda: {"team": "search"})


@pytest.mark.parametrize("way", ["bound", "context", "dataclass", "configurable", "sync"])
async def test_tags_arrive_though_the_host_has_no_such_key(
    server: LoopbackServer, db: Path, way: str
) -> None:
    router, chosen = paid(server, db), {"tags": {"team": "search"}}
    if way in {"bound", "sync"}:
        graph = host(router.with_options(**chosen))
        graph.invoke(ask()) if way == "sync" else await graph.ainvoke(ask())
    elif way == "context":
        await host(router, context_schema=RouterContext).ainvoke(ask(), context=chosen)
    elif way == "dataclass":
        await host(router, context_schema=Context).ainvoke(ask(), context=Context())
    else:
        await host(router).ainvoke(ask(), {"configurable": chosen})
    assert tags(db) == [{"team": "search"}]
    assert spent(db, "tag:team=search") == DOLLAR


async def test_the_tags_of_all_places_are_joined_and_the_nearest_wins_a_key(
    server: LoopbackServer, db: Path
) -> None:
    router = paid(server, db).with_options(tags={"team": "bound", "app": "bound"})
    router = router.with_options(tags={"team": "later"})
    config = {"configurable": {"tags": {"team": "configured", "env": "configured"}}}
    await router.ainvoke(ask(tags={"team": "state"}), config)
    await router.ainvoke(ask(), config)
    await router.ainvoke(ask())
    assert tags(db) == [
        {"app": "bound", "env": "configured", "team": "state"},
        {"app": "bound", "env": "configured", "team": "configured"},
        {"app": "bound", "team": "later"},
    ]


async def test_more_tags_than_can_be_counted_are_refused_wherever_they_come_from(
    server: LoopbackServer, db: Path
) -> None:
    router = paid(server, db).with_options(tags={f"b{n}": "x" for n in range(5)})
    await router.ainvoke(ask(tags={f"s{n}": "x" for n in range(3)}))
    with pytest.raises(InvalidRequestError, match="tags: 9 from all places together; at most 8"):
        await router.ainvoke(ask(tags={f"s{n}": "x" for n in range(4)}))
    with pytest.raises(InvalidRequestError, match="tags: 9 from all"):
        router.with_options(tags={f"c{n}": "x" for n in range(4)})
    assert len(made(db)) == 1


WRONG = [
    (["search"], "tags: list is no mapping of text to text"),
    ("team=search", "tags: str is no mapping"),
    ({"": "x"}, "tags: '' is no key of 1 to 40"),
    ({"a b": "x"}, "tags: 'a b' is no key"),
    ({"team=": "x"}, "tags: 'team=' is no key"),
    ({"ü": "x"}, "tags: 'ü' is no key"),
    ({"team\n": "x"}, "is no key"),
    ({"k" * 41: "x"}, "is no key"),
    ({1: "x"}, "tags: '1' is no key"),
    ({"team": ""}, "tags: the value of 'team' must be printable text of 1 to 80"),
    ({"team": "x" * 81}, "the value of 'team'"),
    ({"team": "a\0b"}, "the value of 'team'"),
    ({"team": "a\nb"}, "the value of 'team'"),
    ({"team": "\ud800"}, "the value of 'team'"),
    ({"team": 7}, "the value of 'team'"),
    ({"team": None}, "the value of 'team'"),
]


@pytest.mark.parametrize(("value", "says"), WRONG)
async def test_wrong_tags_are_refused_in_one_line(
    server: LoopbackServer, db: Path, value: Any, says: str
) -> None:
    router = paid(server, db)
    with pytest.raises(InvalidRequestError) as refused:
        await router.ainvoke(ask(tags=value))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(InvalidRequestError):
        router.with_options(tags=value)
    with pytest.raises(InvalidRequestError):
        await host(router, context_schema=RouterContext).ainvoke(ask(), context={"tags": value})
    assert server.calls() == ()


@pytest.mark.parametrize("value", [["a"], "a", 7, {"a": 1}, {1: "a"}, None, {}])
async def test_tags_of_a_hosts_own_form_in_its_configuration_are_not_ours(
    server: LoopbackServer, db: Path, value: object
) -> None:
    config = {"configurable": {"tags": value}, "tags": ["seen"], "metadata": {"tags": ["a"]}}
    await host(paid(server, db)).ainvoke(ask(tags={"team": "ads"}), config)
    assert made(db)[0]["tags"] is None
    await paid(server, db).ainvoke(ask(tags={"team": "ads"}), config)
    assert tags(db)[1] == {"team": "ads"}


async def test_every_attempt_of_a_request_counts_for_its_tags(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.status(500))
    server.always("ollama", Reply("Rome"))
    chain = [provider(server, "openai", **flat_price("1")), provider(server, "ollama")]
    router = open_router(make_config(server, db, providers=chain))
    result = await router.ainvoke(ask(tags={"team": "search"}))
    assert len(result["attempts"]) >= 2
    assert tags(db) == [{"team": "search"}] * len(result["attempts"])
    (total,) = read(db, "SELECT calls, failures FROM totals WHERE scope = 'tag:team=search'")
    assert total == {"calls": len(tags(db)), "failures": len(tags(db)) - 1}
    assert_sound(db)


async def test_a_resumed_run_keeps_the_tags_that_it_began_with(
    server: LoopbackServer, db: Path
) -> None:
    chain = [provider(server, "ollama"), provider(server, "openai", **flat_price("1"))]
    server.always("ollama", Fault.status(503))
    server.always("openai", ANSWER)
    config = make_config(server, db, providers=chain, budgets={"tag:team=search": "0"})
    router = open_router(config, checkpointer=InMemorySaver())
    paused = router.copy({"interrupt_after_nodes": ["attempt_ollama"]})
    thread = {"thread_id": "1"}
    await paused.ainvoke(ask(), {"configurable": {**thread, "tags": {"team": "search"}}})
    # What resumes it names no team: the budget of the one that began it holds all the same.
    with suppress(RoutingError):
        for _ in range(5):
            await paused.ainvoke(None, {"configurable": thread})
    assert {json.dumps(one) for one in tags(db)} == {'{"team": "search"}'}
    assert "openai" not in {call.protocol for call in server.calls()}
    assert_sound(db)


async def test_a_chat_model_gives_its_tags_and_those_of_a_call(
    server: LoopbackServer, db: Path
) -> None:
    router = paid(server, db, ("tag:team=search", "0"))
    model = RoutedChatModel(router=router, request_tags={"team": "ads", "app": "bot"}, tags=["t"])
    await model.ainvoke("Which city?")
    await model.ainvoke("Which city?", request_tags={"team": "web"}, config={"tags": ["seen"]})
    await model.bind(request_tags={"env": "live"}).ainvoke("Which city?")
    [_ async for _ in model.astream("Which city?", request_tags={"team": "web"})]
    assert tags(db) == [
        {"app": "bot", "team": "ads"},
        {"app": "bot", "team": "web"},
        {"app": "bot", "env": "live", "team": "ads"},
        {"app": "bot", "team": "web"},
    ]
    with pytest.raises(NoProviderError, match="tag:team=search"):
        model.invoke("Which city?", request_tags={"team": "search"})
    with pytest.raises(InvalidRequestError, match="tags: list is no mapping"):
        model.invoke("Which city?", request_tags=["search"])


async def test_embeddings_are_counted_by_their_tags(server: LoopbackServer, db: Path) -> None:
    row = {
        "name": "vectors", "kind": "openai", "model": "text-embedding-3-small", "dimensions": 1024,
        "location": "cloud", "api_key_env": "LOOPBACK_KEY", "base_url": server.openai_url,
        "price": {"input_usd_per_mtok": "1000000", "output_usd_per_mtok": "0"},
    }  # fmt: skip
    config = make_config(server, db, embeddings=[row])
    vectors = create_embeddings(config, environ=KEYS).with_options(tags={"team": "search"})
    await vectors.with_options(tags={"app": "bot"}).aembed_query("Paris")
    assert tags(db) == [{"app": "bot", "team": "search"}]


async def test_a_request_without_tags_has_none(server: LoopbackServer, db: Path) -> None:
    await paid(server, db).ainvoke({"messages": [HumanMessage("Hi")], "tags": {}})
    assert rows(db)[0]["tags"] is None
    assert read(db, "SELECT * FROM request_tags") == []
    assert read(db, "SELECT * FROM totals WHERE scope LIKE 'tag:%'") == []
