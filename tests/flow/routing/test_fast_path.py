"""A call that nobody watches skips LangGraph's engine, and comes to the same."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, get_usage_metadata_callback
from langchain_core.globals import set_debug
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph.clock import utc_now
from aegis_graph.errors import AegisError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.testing.loopback.replies import Step
from tests.flow.support import (
    Row,
    ask,
    assert_sound,
    flat_price,
    make_config,
    open_router,
    provider,
    read,
    rows,
)

PARIS = Reply("It is Paris.", input_tokens=10, output_tokens=3)
ENGINE: Any = {"recursion_limit": 100}
"""A limit of the caller's own is the engine's to count."""

OF_THE_MOMENT = {"timestamp", "day", "expires_at", "route_id", "latency_ms", "id", "query_hash"}
KNOWN_OR_NOT = {"first_token_ms"}
"""What differs too, but where it is known."""


class Tasks:
    """A clock that notes in which task it is read."""

    def __init__(self) -> None:
        self.seen: set[object] = set()

    def __call__(self) -> datetime:
        try:
            self.seen.add(asyncio.current_task())
        except RuntimeError:
            # The ledger's thread has no event loop.
            return utc_now()
        return utc_now()


async def went_directly(router: Any, tasks: Tasks, *given: Any, **more: Any) -> bool:
    """Whether the nodes ran in the caller's own task; the engine gives each one of its own."""
    tasks.seen.clear()
    await router.ainvoke(*given, **more)
    assert tasks.seen
    return tasks.seen == {asyncio.current_task()}


def script(server: LoopbackServer, case: str) -> None:
    server.always("dashscope", PARIS)
    server.always("openai", PARIS)
    steps: dict[str, Step] = {"refused": Fault.status(400), "answered": PARIS}
    server.always("ollama", steps.get(case, Fault.status(500)))
    if case == "failed":
        server.always("dashscope", Fault.status(500))
        server.always("openai", Fault.status(401))


def without_the_moment(found: Any) -> Any:
    if isinstance(found, dict):
        kept = {key: value for key, value in found.items() if key not in OF_THE_MOMENT}
        known = {key: kept[key] is not None for key in KNOWN_OR_NOT & kept.keys()}
        return {key: without_the_moment(value) for key, value in {**kept, **known}.items()}
    if isinstance(found, list | tuple):
        return [without_the_moment(value) for value in found]
    return found


def router_for(server: LoopbackServer, db: Path, case: str) -> Any:
    script(server, case)
    limit = {"total": "0"} if case == "no budget" else {"total": "100"}
    chain: list[Row] = [
        provider(server, "ollama", **(flat_price("1") if case == "no budget" else {})),
        *(provider(server, kind) for kind in ("dashscope", "openai")),
    ]
    return open_router(make_config(server, db, providers=chain, budgets=limit))


async def in_a_thread(router: Any, *given: Any) -> Any:
    return await asyncio.to_thread(router.invoke, *given)


async def here(router: Any, *given: Any) -> Any:
    return await router.ainvoke(*given)


async def outcome(router: Any, db: Path, case: str, config: Any, call: Any) -> Any:
    """All that a caller and the ledger see of a request."""
    asked = ask(user_id="ada", max_output_tokens=7)
    if case == "rubbish":
        asked["task"] = "no name"
    seen: Any
    try:
        seen = await call(router, asked, {"configurable": {"thread_id": "7"}, **config})
    except AegisError as error:
        seen = {"error": type(error), "attempts": getattr(error, "attempts", None)}
        seen["text"] = str(error).split(" [")[0]
    else:
        seen["messages"] = [(message.type, message.text) for message in seen["messages"]]
    if case == "rubbish":
        return seen
    assert_sound(db)
    unanswered = read(db, "SELECT * FROM unanswered")
    return without_the_moment([seen, rows(db), unanswered])


@pytest.mark.parametrize(
    "case", ["answered", "fell back", "failed", "refused", "no budget", "rubbish"]
)
@pytest.mark.parametrize("call", [here, in_a_thread])
async def test_both_ways_come_to_the_same(
    server: LoopbackServer, tmp_path: Path, case: str, call: Any
) -> None:
    paths = [tmp_path / "direct.db", tmp_path / "engine.db"]
    routers = [router_for(server, path, case) for path in paths]
    directly, by_engine = [
        await outcome(router, path, case, config, call)
        for router, path, config in zip(routers, paths, ({}, ENGINE), strict=True)
    ]
    assert directly == by_engine
    assert directly


async def test_a_sync_call_that_nobody_watches_is_one_task(
    server: LoopbackServer, db: Path
) -> None:
    script(server, "answered")
    tasks = Tasks()
    router = open_router(make_config(server, db), clock=tasks)

    async def seen(*given: Any) -> int:
        tasks.seen.clear()
        await in_a_thread(router, ask(), *given)
        return len(tasks.seen)

    assert await seen() == 1
    assert await seen(ENGINE) > 1


async def test_whoever_watches_gets_the_engine(server: LoopbackServer, db: Path) -> None:
    script(server, "answered")
    tasks = Tasks()
    router = open_router(make_config(server, db), clock=tasks)

    async def directly(*given: Any, **more: Any) -> bool:
        return await went_directly(router, tasks, ask(), *given, **more)

    assert await directly()
    assert await directly({"configurable": {"thread_id": "7"}, "tags": ["a"], "run_name": "b"})
    assert await directly({"callbacks": []})
    assert not await directly(ENGINE)
    assert not await directly({"callbacks": [AsyncCallbackHandler()]})
    assert not await directly(version="v2")
    assert not await directly(stream_mode="updates")
    with get_usage_metadata_callback() as usage:
        assert not await directly()
    assert usage.usage_metadata
    set_debug(True)
    try:
        assert not await directly()
    finally:
        set_debug(False)
    inside = RunnableLambda(lambda _: None, afunc=lambda _: directly(), name="outer")
    assert await inside.ainvoke(None)
    assert not await inside.ainvoke(None, {"callbacks": [AsyncCallbackHandler()]})


async def test_a_router_that_remembers_or_pauses_gets_the_engine(
    server: LoopbackServer, db: Path
) -> None:
    script(server, "answered")
    tasks = Tasks()
    config = make_config(server, db)
    thread: Any = {"configurable": {"thread_id": "7"}}
    router = open_router(config, clock=tasks, checkpointer=InMemorySaver())
    assert not await went_directly(router, tasks, ask(), thread)
    assert len((await router.aget_state(thread)).values["messages"]) == 2
    # Only stopped before the call; nothing of it may have been skipped.
    paused = await router.copy({"interrupt_before_nodes": ["record_cost"]}).ainvoke(ask(), thread)
    assert "__interrupt__" in paused or len(paused["messages"]) == 3
    assert not await went_directly(router.with_config(tags=["x"]), tasks, ask(), thread)


@pytest.mark.parametrize("call", [here, in_a_thread])
async def test_a_call_inside_a_graph_gets_the_engine_whatever_it_configures(
    server: LoopbackServer, db: Path, call: Any
) -> None:
    script(server, "answered")
    tasks = Tasks()
    router = open_router(make_config(server, db), clock=tasks)

    async def node(state: MessagesState) -> dict[str, Any]:
        found = await call(router, ask(), {"configurable": {"user_id": "ada"}})
        return {"messages": found["messages"][-1:]}

    host = StateGraph(MessagesState).add_node("node", node).add_edge(START, "node").compile()
    await host.ainvoke(ask())
    assert len(tasks.seen) > 1


async def test_messages_get_names_and_other_forms_of_them_the_engine(
    server: LoopbackServer, db: Path
) -> None:
    script(server, "answered")
    tasks = Tasks()
    router = open_router(make_config(server, db), clock=tasks)
    pairs = await router.ainvoke({"messages": [("user", "Which city?")]})
    assert [message.type for message in pairs["messages"]] == ["human", "ai"]
    assert all(message.id for message in pairs["messages"])
    assert not await went_directly(router, tasks, {"messages": HumanMessage("Which city?")})
