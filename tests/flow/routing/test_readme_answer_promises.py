"""What the README says of answers, reports and streams is so in a graph with a router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import (
    AllProvidersFailedError,
    BudgetExceededError,
    NoProviderError,
    RequestRejectedError,
    RoutedChatModel,
    RouterConfig,
    RoutingError,
)
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.text.passages import Passage, format_passages
from tests.flow import hosts
from tests.flow.hosts import HOSTS, nested, promise
from tests.flow.support import (
    KINDS,
    Row,
    ask,
    flat_price,
    made,
    make_config,
    open_router,
    provider,
)

LIMIT = "The limit is 10 USD a month."
everywhere = pytest.mark.parametrize("way", HOSTS)


def asked_once(server: LoopbackServer) -> list[Row]:
    """The default chain, where a failed provider is not tried again."""
    return [provider(server, kind, max_retries=0) for kind in KINDS]


@promise(
    "every physical call with its cost, every provider that was not asked with the reason, "
    "the request's id in the ledger"
)
@pytest.mark.parametrize("build", [lambda node: hosts.host(node).compile(), nested])
async def test_a_host_is_told_of_every_call_and_of_every_provider_that_was_not_asked(
    server: LoopbackServer, db: Path, build: Any
) -> None:
    server.script("ollama", Fault.status(503))
    server.script("openai", Reply("Paris", input_tokens=1000, output_tokens=30))
    budgets = {"provider:dashscope": "0"}
    router = open_router(make_config(server, db, providers=asked_once(server), budgets=budgets))
    result = await build(router).ainvoke(ask())
    told = [(row["provider"], row["cost_usd"]) for row in result["attempts"]]
    assert told == [("ollama", "0"), ("openai", "0.0028")]
    [skip] = result["skipped"]
    assert (skip["provider"], skip["code"]) == ("dashscope", "budget")
    assert "$0 left" in skip["reason"]
    assert {row["route_id"] for row in made(db)} == {result["route_id"]}


@everywhere
@promise(
    "When nothing answers, the router raises `BudgetExceededError`, `NoProviderError`, "
    "`AllProvidersFailedError` or `RequestRejectedError`, each with `attempts` and `skipped`."
)
async def test_an_error_comes_out_of_the_host_with_its_reports(
    server: LoopbackServer, db: Path, way: str
) -> None:
    chain = [provider(server, "openai", max_retries=0, **flat_price("1"))]
    empty = db.with_name("empty.db")
    poor = open_router(make_config(server, empty, providers=chain, budgets={"total": "0"}))
    kinds: dict[type[RoutingError], Any] = {
        BudgetExceededError: poor,
        NoProviderError: open_router(make_config(server, db, providers=chain), environ={}),
        AllProvidersFailedError: open_router(make_config(server, db, providers=chain)),
        RequestRejectedError: open_router(make_config(server, db, providers=chain)),
    }
    server.script("openai", Fault.status(503), Fault.status(400))
    for kind, router in kinds.items():
        with pytest.raises(kind) as raised:
            await HOSTS[way](router, "Which city?", {})
        assert type(raised.value) is kind
        assert len(raised.value.attempts) + len(raised.value.skipped) == 1


@promise(
    "`ainvoke`, `astream`, `invoke` and `stream` work from any thread, "
    "with or without a running loop."
)
@pytest.mark.parametrize("threaded", [False, True])
async def test_every_form_of_call_keeps_private_data_here(
    server: LoopbackServer, db: Path, threaded: bool
) -> None:
    server.always("openai", Reply("Seen."))
    server.always("ollama", Reply("Here."))
    chain = [provider(server, kind) for kind in ("openai", "ollama")]
    graph = nested(open_router(make_config(server, db, providers=chain)))
    request = ask("My number is 078-05-1120", sensitivity="pii")
    forms: list[Callable[[], Any]] = [
        lambda: graph.invoke(request),
        lambda: list(graph.stream(request, subgraphs=True)),
    ]
    for form in forms:
        # With this loop running, or in a thread that has none.
        assert await asyncio.to_thread(form) if threaded else form()
    assert await graph.ainvoke(request)
    assert [part async for part in graph.astream(request, subgraphs=True)]
    assert [call.protocol for call in server.calls()] == ["ollama"] * 4


@everywhere
@promise(
    "Without Ollama and keys the embedded provider answers by quoting the documents, and says so."
)
async def test_without_ollama_and_keys_documents_are_quoted(tmp_path: Path, way: str) -> None:
    closed = {"OLLAMA_BASE_URL": "http://127.0.0.1:9"}
    config = RouterConfig.load(environ=closed).model_dump()
    config["ledger"]["url"] = f"sqlite:///{tmp_path / 'costs.db'}"
    router = open_router(RouterConfig.model_validate(config), environ=closed)
    text = (
        f"{format_passages([Passage(source='a.md', text=LIMIT)])}\n\nQuestion: What is the limit?"
    )
    result = await HOSTS[way](router, text, {"task": "answer"})
    answer = result["messages"][-1].text
    assert LIMIT in answer
    assert "no language model was asked" in answer


@promise(
    "A stream whose attempt dies after its first token says so by a custom event "
    "`attempt_discarded` before the next attempt speaks; as a node, stream the host with "
    "`subgraphs=True` to see it.",
)
async def test_a_host_sees_that_an_attempt_is_discarded_before_the_next_speaks(
    server: LoopbackServer, db: Path
) -> None:
    server.script("ollama", Fault.cut(Reply("It is Rome"), after_chunks=2))
    server.script("dashscope", Fault.status(503))
    server.script("openai", Reply("Paris"))
    graph = nested(open_router(make_config(server, db)))
    heard = [
        data["event"] if mode == "custom" else data[0].text
        async for _, mode, data in graph.astream(
            ask(), stream_mode=["custom", "messages"], subgraphs=True
        )
        if mode == "custom" or data[0].text
    ]
    assert [one for one in heard if one != "attempt_started"] == [
        "It ",
        "is ",
        "attempt_discarded",
        "Paris",
    ]


@promise("streams that survive a change of provider")
async def test_an_agents_stream_ends_in_one_answer(server: LoopbackServer, db: Path) -> None:
    server.script("ollama", Fault.cut(Reply("It is Rome"), after_chunks=2))
    server.always("dashscope", Reply("Paris"))
    router = open_router(make_config(server, db))
    result = await HOSTS["agent"](router, "Which city?", {})
    assert [message.text for message in result["messages"]] == ["Which city?", "Paris"]
    model = RoutedChatModel(router=router)
    server.script("ollama", Fault.cut(Reply("It is Rome"), after_chunks=0))
    assert "".join([chunk.text async for chunk in model.astream("Which city?")]) == "Paris"
