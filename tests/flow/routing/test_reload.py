"""Providers are added, changed and removed while the program runs."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import MemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph import RoutedChatModel, RouterHandle, router_builder
from aegis_graph.errors import BudgetExceededError, ConfigError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.types import TASKS
from tests.flow.support import (
    DUST_S,
    KEYS,
    Row,
    ask,
    assert_sound,
    dust_settles,
    eventually,
    flat_price,
    made,
    make_config,
    provider,
)

OLD, NEW = Reply("from the old one"), Reply("from the new one")


@pytest.fixture
def other() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


def open_handle(config: Any, **more: Any) -> RouterHandle:
    return RouterHandle(config, environ=KEYS, **more)


def toml(db: Path, *rows: Row, budgets: str = "budgets = []") -> str:
    """A configuration file of providers without nested settings."""
    lines = [budgets, "[ledger]", f'url = "sqlite:///{db}"']
    for row in rows:
        lines.append("[[providers]]")
        lines += [f"{key} = {value!r}" for key, value in row.items()]
    return "\n".join(lines)


async def text_of(graph: Any) -> str:
    result = await graph.ainvoke(ask())
    return str(result["messages"][-1].text)


def open_connectors() -> int:
    """Connection pools of clients that nobody has closed."""
    gc.collect()
    found = [one for one in gc.get_objects() if isinstance(one, aiohttp.TCPConnector)]
    return sum(not one.closed for one in found)


async def test_the_next_request_asks_the_new_chain_and_one_in_flight_ends_on_the_old(
    server: LoopbackServer, other: LoopbackServer, db: Path
) -> None:
    gate = threading.Event()
    server.always("openai", Reply(OLD.text, latency_s=lambda: float(not gate.wait(20))))
    other.always("openai", NEW)
    handle = open_handle(make_config(server, db, providers=[provider(server, "openai")]))

    early = asyncio.create_task(text_of(handle))
    await asyncio.to_thread(server.wait_for_calls, 1, timeout_s=DUST_S)
    handle.reload(make_config(other, db, providers=[provider(other, "openai", name="second")]))
    late = await text_of(handle)
    assert not early.done()
    gate.set()

    assert (late, await early) == (NEW.text, OLD.text)
    assert [row["provider"] for row in made(db)] == ["openai", "second"]
    assert_sound(db)


async def test_a_request_in_flight_falls_back_to_a_provider_that_was_removed_meanwhile(
    server: LoopbackServer, other: LoopbackServer, db: Path
) -> None:
    gate = threading.Event()
    wait = Reply(latency_s=lambda: float(not gate.wait(20)), usage=False)
    other.always("ollama", Fault.end_early(wait, after_chunks=0))
    server.always("openai", OLD)
    chain = [provider(other, "ollama"), provider(server, "openai")]
    handle = open_handle(make_config(server, db, providers=chain))

    before = open_connectors()
    request = asyncio.create_task(text_of(handle))
    await asyncio.to_thread(other.wait_for_calls, 1, timeout_s=DUST_S)
    handle.reload(make_config(server, db, providers=[provider(server, "dashscope")]))
    gate.set()

    assert await request == OLD.text
    await asyncio.to_thread(
        eventually, lambda: open_connectors() == before, goal="both clients closed"
    )


async def test_connections_of_a_removed_provider_close_when_its_last_call_has_ended(
    server: LoopbackServer, db: Path
) -> None:
    gate = threading.Event()
    server.script("openai", Reply(OLD.text, latency_s=lambda: float(not gate.wait(20))))
    server.always("ollama", NEW)
    chain = [provider(server, "openai")]
    handle = open_handle(make_config(server, db, providers=chain))
    before = open_connectors()

    request = asyncio.create_task(text_of(handle))
    await asyncio.to_thread(server.wait_for_calls, 1, timeout_s=DUST_S)
    handle.reload(make_config(server, db, providers=[provider(server, "ollama")]))
    assert open_connectors() == before + 1
    gate.set()
    await request

    await asyncio.to_thread(eventually, lambda: open_connectors() == before, goal="client closed")
    assert await text_of(handle) == NEW.text


async def test_a_provider_that_stays_keeps_its_connections(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", OLD)
    server.always("ollama", NEW)
    row = provider(server, "openai")
    handle = open_handle(make_config(server, db, providers=[row]))
    await text_of(handle)
    before = open_connectors()

    for name in ("a", "b", "c"):
        handle.reload(
            make_config(server, db, providers=[row, provider(server, "ollama", name=name)])
        )
        await text_of(handle)

    assert open_connectors() == before


async def test_what_is_known_of_a_providers_health_stays_with_it(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", Fault.status(401))
    server.always("ollama", OLD)
    bad, good = provider(server, "openai"), provider(server, "ollama")
    handle = open_handle(make_config(server, db, providers=[bad, good]))
    await text_of(handle)
    assert len(server.calls("openai")) == 1

    handle.reload(make_config(server, db, providers=[{**bad, "timeout_s": 5}, good]))
    await text_of(handle)
    assert len(server.calls("openai")) == 1, "a refused key is still remembered"

    handle.reload(make_config(server, db, providers=[{**bad, "model": "gpt-4o-mini"}, good]))
    await text_of(handle)
    assert len(server.calls("openai")) == 2, "another model is another provider"


async def test_the_budgets_of_the_new_file_are_in_force_at_once(
    server: LoopbackServer, db: Path
) -> None:
    server.always("openai", OLD)
    rows = [provider(server, "openai", **flat_price("0.01", tokens=5))]
    handle = open_handle(make_config(server, db, providers=rows, budgets={"total": "1"}))
    await text_of(handle)

    handle.reload(make_config(server, db, providers=rows, budgets={"total": "0.015"}))
    with pytest.raises(BudgetExceededError):
        await text_of(handle)

    handle.reload(make_config(server, db, providers=rows, budgets={"total": "0.02"}))
    await text_of(handle)
    assert_sound(db)


async def test_a_file_that_is_wrong_leaves_the_old_chain_in_force(
    server: LoopbackServer, db: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("ollama", OLD)
    file = tmp_path / "aegis.toml"
    file.write_text(toml(db, provider(server, "ollama")))
    handle = open_handle(file)

    for wrong in ("providers = [", "[[providers]]\nname = 'x'", "[legder]\n"):
        file.write_text(wrong)
        caplog.clear()
        with pytest.raises(ConfigError, match=r"aegis\.toml: "):
            handle.reload()
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "\n" not in record.getMessage()
        assert await text_of(handle) == OLD.text


def test_another_ledger_is_refused(server: LoopbackServer, db: Path, tmp_path: Path) -> None:
    handle = open_handle(make_config(server, db))
    with pytest.raises(ConfigError, match="ledger: cannot change while the program runs"):
        handle.reload(make_config(server, tmp_path / "other.db"))


def test_without_a_file_there_is_nothing_to_read_again(server: LoopbackServer, db: Path) -> None:
    handle = open_handle(make_config(server, db))
    with pytest.raises(ConfigError, match="no file to read again"):
        handle.reload()


async def test_a_watched_file_is_in_force_at_the_next_request(
    server: LoopbackServer, db: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("ollama", OLD)
    server.always("openai", NEW)
    file = tmp_path / "aegis.toml"
    first, second = provider(server, "ollama"), provider(server, "openai", price="free")
    file.write_text(toml(db, first))
    handle = open_handle(file, watch=True)
    assert await text_of(handle) == OLD.text

    file.write_text(toml(db, second))
    assert await text_of(handle) == NEW.text
    assert "attempt_openai" in handle.get_graph().nodes

    file.write_text("")
    assert await text_of(handle) == NEW.text, "a file that is being written is not read"
    file.write_text("providers = 5")
    assert [await text_of(handle) for _ in range(3)] == [NEW.text] * 3
    assert len(caplog.records) == 1, "said once, not at each request"
    file.unlink()
    assert await text_of(handle) == NEW.text

    file.write_text(toml(db, {**second, "enabled": False}, first).replace("False", "false"))
    assert await asyncio.to_thread(lambda: handle.invoke(ask())["messages"][-1].text) == OLD.text


async def test_as_a_node_it_is_drawn_opened_and_streamed_like_the_router(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", OLD)
    server.always("openai", NEW)
    handle = open_handle(make_config(server, db, providers=[provider(server, "ollama")]))
    builder = StateGraph(MessagesState).add_node("llm", handle).add_edge(START, "llm")
    graph = builder.compile()

    assert "llm:attempt_ollama" in graph.get_graph(xray=True).nodes
    handle.reload(make_config(server, db, providers=[provider(server, "openai")]))
    drawn = graph.get_graph(xray=True).nodes
    assert "llm:attempt_openai" in drawn
    assert "llm:attempt_ollama" not in drawn

    chunks, steps = "", []
    parts: Any = graph.astream(
        {"messages": [HumanMessage("Which?")]},
        stream_mode=["messages", "updates"],
        subgraphs=True,
    )
    async for space, mode, part in parts:
        if mode == "messages":
            chunks += part[0].text
        elif space:
            steps += list(part)
    assert chunks == NEW.text
    assert steps == ["budget_check", "attempt_openai", "record_cost"]


async def test_the_chat_model_over_it_follows_a_reload(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", OLD)
    server.always("openai", NEW)
    handle = open_handle(
        make_config(server, db, providers=[provider(server, "ollama")]), checkpointer=MemorySaver()
    )
    model = RoutedChatModel(router=handle)
    assert (await model.ainvoke("Which?")).text == OLD.text

    handle.reload(make_config(server, db, providers=[provider(server, "openai")]))

    assert (await model.ainvoke("Which?")).text == NEW.text
    assert "".join([chunk.text async for chunk in model.astream("Which?")]) == NEW.text
    assert await asyncio.to_thread(lambda: model.invoke("Which?").text) == NEW.text
    assert [len(call.body["messages"]) for call in server.calls()] == [1, 1, 1, 1]


async def test_a_checkpointer_of_its_own_keeps_the_conversation_across_a_reload(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", OLD)
    server.always("openai", NEW)
    thread: Any = {"configurable": {"thread_id": "one"}}
    handle = open_handle(
        make_config(server, db, providers=[provider(server, "ollama")]), checkpointer=MemorySaver()
    )
    await handle.ainvoke(ask("First?"), thread)
    handle.reload(make_config(server, db, providers=[provider(server, "openai")]))
    await handle.ainvoke(ask("Second?"), thread)

    state = await handle.aget_state(thread)
    said = [message.text for message in state.values["messages"]]
    assert said == ["First?", OLD.text, "Second?", NEW.text]
    assert handle.get_state(thread).values["route_id"] == state.values["route_id"]


@pytest.mark.parametrize("place", ["alone", "as a node"])
async def test_a_stopped_run_whose_provider_was_removed_meanwhile_is_answered_by_another(
    server: LoopbackServer, db: Path, place: str
) -> None:
    server.script("ollama", Fault.hang())
    server.always("openai", NEW)
    thread: Any = {"configurable": {"thread_id": "one"}}
    saver = MemorySaver()
    config = make_config(server, db, providers=[provider(server, "ollama")])
    handle = open_handle(config, checkpointer=saver if place == "alone" else None)
    builder = StateGraph(MessagesState).add_node("llm", handle).add_edge(START, "llm")
    graph: Any = handle if place == "alone" else builder.compile(checkpointer=saver)
    running = asyncio.create_task(graph.ainvoke(ask(), thread, durability="sync"))
    await asyncio.to_thread(server.wait_for_calls, 1, timeout_s=DUST_S)
    running.cancel()
    await asyncio.wait([running])

    handle.reload(make_config(server, db, providers=[provider(server, "openai")]))
    result = await graph.ainvoke(None, thread)

    assert result["messages"][-1].text == NEW.text
    await dust_settles(db)
    assert [(row["provider"], row["status"]) for row in made(db)] == [
        ("ollama", "cancelled"),
        ("openai", "answered"),
    ]
    assert_sound(db)


@pytest.mark.parametrize("place", ["alone", "as a node"])
async def test_a_router_that_was_compiled_by_hand_leads_a_run_past_a_removed_provider(
    server: LoopbackServer, db: Path, place: str
) -> None:
    server.always("openai", NEW)
    thread: Any = {"configurable": {"thread_id": "one"}}
    saver = MemorySaver()
    results = []
    for kind, asked in (("ollama", ask()), ("openai", None)):
        config = make_config(server, db, providers=[provider(server, kind)])
        graph: Any = router_builder(config, environ=KEYS).compile(
            checkpointer=saver if place == "alone" else None,
            interrupt_before=["attempt_ollama"] if kind == "ollama" else None,
        )
        if place == "as a node":
            host = StateGraph(MessagesState).add_node("llm", graph).add_edge(START, "llm")
            graph = host.compile(checkpointer=saver)
        results.append(await graph.ainvoke(asked, thread))

    assert [message.type for message in results[0]["messages"]] == ["human"]
    assert results[1]["messages"][-1].text == NEW.text
    assert (made(db)[-1]["provider"], made(db)[-1]["status"]) == ("openai", "answered")


async def test_a_router_that_was_compiled_by_hand_runs_the_nodes_that_were_added_to_it(
    server: LoopbackServer, db: Path
) -> None:
    server.always("ollama", OLD)
    config = make_config(server, db, providers=[provider(server, "ollama")])
    builder = router_builder(config, environ=KEYS)
    seen: list[str] = []
    builder.add_node("audit", lambda state: seen.append(state["messages"][-1].text))
    builder.add_edge("record_cost", "audit")

    graph = builder.compile(name="audited")
    for result in (await graph.ainvoke(ask()), await asyncio.to_thread(graph.invoke, ask())):
        assert result["messages"][-1].text == OLD.text

    assert seen == [OLD.text] * 2


async def test_events_are_those_of_the_router(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", OLD)
    handle = open_handle(make_config(server, db, providers=[provider(server, "ollama")]))
    spoken = [
        event["data"]["chunk"].text
        async for event in handle.astream_events(ask(), version="v2")
        if event["event"] == "on_chat_model_stream"
    ]
    assert "".join(spoken) == OLD.text
    assert set(handle.get_input_jsonschema()["required"]) == {"messages"}
    assert "attempts" in handle.get_output_jsonschema()["properties"]


def test_sync_callers_share_one_loop_whatever_is_reloaded(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", OLD)
    server.always("openai", OLD)
    handle = open_handle(make_config(server, db, providers=[provider(server, "ollama")]))
    handle.invoke(ask())
    before = {thread.name for thread in threading.enumerate()}
    for kind in ("openai", "ollama", "openai"):
        handle.reload(make_config(server, db, providers=[provider(server, kind)]))
        answers = handle.batch([ask(), ask()])
        assert [one["attempts"][-1]["provider"] for one in answers] == [kind, kind]
        assert list(handle.stream(ask(), stream_mode="updates"))

    started = {thread.name for thread in threading.enumerate()} - before
    assert [name for name in started if name.startswith("aegis")] == []


async def test_a_handle_with_defaults_follows_a_reload(server: LoopbackServer, db: Path) -> None:
    server.always("ollama", OLD)
    server.always("openai", NEW)
    handle = open_handle(make_config(server, db, providers=[provider(server, "ollama")]))
    named = handle.with_config(configurable={"thread_id": "seven"})

    handle.reload(make_config(server, db, providers=[provider(server, "openai")]))

    assert await text_of(named) == NEW.text
    assert [row["thread_id"] for row in made(db)] == ["seven"]


async def test_a_hundred_providers_come_and_go_under_fifty_concurrent_requests(
    server: LoopbackServer, other: LoopbackServer, db: Path
) -> None:
    server.always("ollama", OLD)
    server.always("openai", OLD)
    stays = provider(server, "ollama")
    handle = open_handle(make_config(server, db, providers=[stays]))
    await text_of(handle)
    before = open_connectors()
    done, answered_by, total = asyncio.Event(), asyncio.Queue[str](), 1

    async def keep_asking() -> None:
        nonlocal total
        while not done.is_set():
            result = await handle.ainvoke(ask(task=TASKS[total % len(TASKS)]))
            assert result["messages"][-1].text == OLD.text
            total += 1
            answered_by.put_nowait(result["attempts"][-1]["provider"])

    async def come_and_go() -> None:
        for first in range(0, 100, len(TASKS)):
            # Each serves one task, so that each of them is asked.
            come = [
                provider(server, "openai", name=f"guest_{first + number}", tasks=[task])
                for number, task in enumerate(TASKS[: 100 - first])
            ]
            handle.reload(make_config(server, db, providers=[*come, stays]))
            missing = {row["name"] for row in come}
            while missing:
                missing.discard(await answered_by.get())
            handle.reload(make_config(server, db, providers=[stays]))
        done.set()

    await asyncio.gather(come_and_go(), *(keep_asking() for _ in range(50)))
    await dust_settles(db)

    rows = made(db)
    assert len(rows) == len(server.calls()) == total
    assert {row["status"] for row in rows} == {"answered"}
    assert len({row["provider"] for row in rows}) == 101
    assert_sound(db)
    await asyncio.to_thread(
        eventually, lambda: open_connectors() <= before, goal="the guests' clients closed"
    )
