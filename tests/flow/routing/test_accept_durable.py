"""A judged answer is bought once and settled once, whatever ends a run before or in ``accept``."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import MemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from aegis_graph import (
    HookError,
    Request,
    RouterConfig,
    RouterHandle,
    create_router,
    router_builder,
)
from aegis_graph.testing import LoopbackServer
from tests.flow.accept_support import BAD, GOOD, answer_with, cascade, names_a_city
from tests.flow.support import (
    DUST_S,
    KEYS,
    ask,
    assert_sound,
    dust_settles,
    eventually,
    flat_price,
    made,
    make_config,
    open_router,
    rows,
    spent,
)

CHEAP_USD, DEAR_USD = 1_000_000_000, 5_000_000_000
THREAD: Any = {"configurable": {"thread_id": "one"}}


def outcomes(db: Path) -> list[tuple[str, str | None]]:
    return [(row["status"], row["error_type"]) for row in made(db)]


def as_node(router: Any, checkpointer: Any = None) -> Any:
    builder = StateGraph(MessagesState).add_node("llm", router).add_edge(START, "llm")
    return builder.compile(checkpointer=checkpointer)


@pytest.mark.parametrize("by", ["the fast path", "the engine", "a host"])
async def test_a_run_that_is_cancelled_while_its_answer_is_judged_settles_it(
    server: LoopbackServer, db: Path, by: str
) -> None:
    answer_with(server, BAD, GOOD)
    judging = asyncio.Event()

    async def hang(request: Request, answer: AIMessage) -> None:
        judging.set()
        await asyncio.Event().wait()

    saver = MemorySaver() if by == "the engine" else None
    config = make_config(server, db, providers=cascade(server))
    router = open_router(config, accept={"*": hang}, checkpointer=saver)
    graph = as_node(router) if by == "a host" else router
    running = asyncio.create_task(graph.ainvoke(ask(), THREAD if saver else None))
    await asyncio.wait_for(judging.wait(), DUST_S)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await dust_settles(db)
    assert [(row["status"], row["cost_nano_usd"]) for row in rows(db)] == [("answered", CHEAP_USD)]
    assert_sound(db)


async def test_a_run_that_ends_before_its_answer_is_judged_settles_it(
    server: LoopbackServer, db: Path
) -> None:
    answer_with(server, BAD, GOOD)
    config = make_config(server, db, providers=cascade(server))
    router = router_builder(config, environ=KEYS, accept={"*": names_a_city}).compile(
        checkpointer=MemorySaver(), interrupt_before=["accept"]
    )
    await router.ainvoke(ask(), THREAD)
    await dust_settles(db)
    assert [(row["status"], row["cost_nano_usd"]) for row in rows(db)] == [("answered", CHEAP_USD)]
    result = await router.ainvoke(None, THREAD)
    # It stops there once more: for the second provider's answer.
    assert [one.protocol for one in server.calls()] == ["ollama", "openai"]
    result = await router.ainvoke(None, THREAD)
    assert [one["status"] for one in result["attempts"]] == ["failed", "answered"]
    assert outcomes(db) == [("failed", "RejectedAnswerError"), ("answered", None)]
    assert spent(db) == CHEAP_USD + DEAR_USD
    assert_sound(db)


@pytest.mark.parametrize("place", ["alone", "as a node"])
@pytest.mark.parametrize(("good", "calls"), [(True, 1), (False, 2)])
async def test_a_check_that_failed_is_asked_again_by_a_resumed_run_that_buys_nothing_twice(
    server: LoopbackServer, db: Path, tmp_path: Path, place: str, good: bool, calls: int
) -> None:
    answer_with(server, GOOD if good else BAD, GOOD)
    broken = [True]

    def check(request: Request, answer: AIMessage) -> str | None:
        if broken[0]:
            raise OSError
        return names_a_city(request, answer)

    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        config = make_config(server, db, providers=cascade(server))
        alone = place == "alone"
        router = open_router(config, accept={"*": check}, checkpointer=saver if alone else None)
        graph = router if alone else as_node(router, saver)
        with pytest.raises(HookError, match=r"^accept .*check: failed: OSError"):
            await graph.ainvoke(ask(), THREAD)
        assert [row["status"] for row in rows(db)] == ["answered"]
        broken[0] = False
        result = await graph.ainvoke(None, THREAD)
    assert result["messages"][-1].text == GOOD
    assert len(server.calls()) == len(made(db)) == calls
    refused = [] if good else [("failed", "RejectedAnswerError")]
    assert outcomes(db) == [*refused, ("answered", None)]
    assert_sound(db)


def durable_router(urls: dict[str, str], db: Path, checkpointer: Any, check: Any) -> Any:
    providers = [
        {
            "name": kind,
            "kind": kind,
            "model": "m",
            "location": "local",
            "base_url": urls[kind],
            **flat_price(usd),
        }
        for kind, usd in (("ollama", "1"), ("openai", "5"))
    ]
    config = {"ledger": {"url": f"sqlite:///{db}"}, "budgets": [], "providers": providers}
    return create_router(
        RouterConfig.model_validate(config),
        checkpointer=checkpointer,
        environ={},
        accept={"*": check},
    )


def judge_for_ever(urls: dict[str, str], db: Path, checkpoints: Path, marker: Path) -> None:
    """In a process of its own, which is killed meanwhile."""

    def hang(request: Request, answer: AIMessage) -> None:
        marker.touch()
        threading.Event().wait()

    with SqliteSaver.from_conn_string(str(checkpoints)) as saver:
        durable_router(urls, db, saver, hang).invoke(ask(), THREAD, durability="sync")


@pytest.mark.parametrize(("good", "calls"), [(True, 1), (False, 2)])
async def test_a_process_that_is_killed_while_it_judges_is_resumed_and_buys_nothing_twice(
    server: LoopbackServer, db: Path, tmp_path: Path, good: bool, calls: int
) -> None:
    answer_with(server, GOOD if good else BAD, GOOD)
    path, marker = tmp_path / "checkpoints.db", tmp_path / "judging"
    urls = {"ollama": server.ollama_url, "openai": server.openai_url}
    process = multiprocessing.get_context("forkserver").Process(
        target=judge_for_ever, args=(urls, db, path, marker), daemon=True
    )
    process.start()
    await asyncio.to_thread(eventually, marker.exists, goal="the check is asked")
    process.kill()
    await asyncio.to_thread(process.join, DUST_S)
    assert [row["status"] for row in rows(db)] == ["reserved"]
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        router = durable_router(urls, db, saver, names_a_city)
        result = await router.ainvoke(None, THREAD)
    assert result["messages"][-1].text == GOOD
    assert len(server.calls()) == calls
    judged = [("answered", CHEAP_USD)] if good else [("failed", CHEAP_USD), ("answered", DEAR_USD)]
    assert [(row["status"], row["cost_nano_usd"]) for row in rows(db)] == judged
    assert_sound(db)


async def test_a_check_can_wait_for_a_person(server: LoopbackServer, db: Path) -> None:
    answer_with(server, GOOD, GOOD)

    def approve(request: Request, answer: AIMessage) -> str | None:
        return None if interrupt(answer.text) == "yes" else "a person said no"

    config = make_config(server, db, providers=cascade(server))
    graph = as_node(open_router(config, accept={"*": approve}), MemorySaver())
    paused = await graph.ainvoke(ask(), THREAD)
    assert [one.value for one in paused["__interrupt__"]] == [GOOD]
    await dust_settles(db)
    again = await graph.ainvoke(Command(resume="no"), THREAD)
    assert [one.value for one in again["__interrupt__"]] == [GOOD]
    done = await graph.ainvoke(Command(resume="yes"), THREAD)
    assert done["messages"][-1].text == GOOD
    assert [one.protocol for one in server.calls()] == ["ollama", "openai"]
    assert outcomes(db) == [("failed", "RejectedAnswerError"), ("answered", None)]
    assert spent(db) == CHEAP_USD + DEAR_USD
    assert_sound(db)


@pytest.mark.parametrize("place", ["alone", "as a node"])
@pytest.mark.parametrize(
    ("later", "said", "asked", "cost"),
    [
        (None, BAD, ["ollama"], CHEAP_USD),
        ({"*": names_a_city}, GOOD, ["ollama", "openai"], CHEAP_USD + DEAR_USD),
    ],
    ids=["and its check", "alone"],
)
async def test_an_answer_whose_provider_was_removed_while_it_was_judged_is_not_lost(
    server: LoopbackServer,
    db: Path,
    place: str,
    later: Any,
    said: str,
    asked: list[str],
    cost: int,
) -> None:
    answer_with(server, BAD, GOOD)
    saver = MemorySaver()
    judging = asyncio.Event()

    async def hang(request: Request, answer: AIMessage) -> None:
        judging.set()
        await asyncio.Event().wait()

    results = []
    for accept, chain in (({"*": hang}, cascade(server)), (later, cascade(server)[1:])):
        config = make_config(server, db, providers=chain)
        handle = RouterHandle(
            config,
            environ=KEYS,
            accept=accept,
            checkpointer=saver if place == "alone" else None,
        )
        graph: Any = handle if place == "alone" else as_node(handle, saver)
        if chain != cascade(server):
            results.append(await graph.ainvoke(None, THREAD))
            continue
        running = asyncio.create_task(graph.ainvoke(ask(), THREAD, durability="sync"))
        await asyncio.wait_for(judging.wait(), DUST_S)
        running.cancel()
        await asyncio.wait([running])
    assert results[0]["messages"][-1].text == said
    assert [one.protocol for one in server.calls()] == asked
    await dust_settles(db)
    assert spent(db) == cost
    assert_sound(db)
