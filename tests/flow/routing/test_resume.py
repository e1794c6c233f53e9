"""A durable run buys nothing twice: a settlement that failed is resumed without another call."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph import RoutedChatModel, RouterConfig, create_router
from aegis_graph.errors import LedgerError
from aegis_graph.testing import Fault, LoopbackServer, Reply

STRICT = "LANGGRAPH_STRICT_MSGPACK"
TEXT = "It is Paris."
COST = 10 * 2000 + 5 * 10_000
"""Ten tokens in at $2, five out at $10 per million, in nano-USD."""
WAIT_S = 120.0


class Lock:
    """Another program that takes the ledger for itself while the provider thinks."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self._connection: sqlite3.Connection | None = None

    def take(self) -> float:
        self._connection = sqlite3.connect(self._db, isolation_level=None, check_same_thread=False)
        self._connection.execute("BEGIN IMMEDIATE")
        return 0.0

    def release(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@pytest.fixture
def lock(db: Path) -> Iterator[Lock]:
    lock = Lock(db)
    yield lock
    lock.release()


@pytest.fixture(autouse=True)
def _nothing_to_complain_about(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    complaints = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [one.getMessage() for one in complaints if one.name.startswith("langgraph")] == []


@pytest.fixture(params=["memory", "file"])
async def saver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as durable:
        yield durable


def make_router(url: str, db: Path, checkpointer: Any = None) -> Any:
    price = {"input_usd_per_mtok": "2", "output_usd_per_mtok": "10"}
    row = {"name": "llm", "kind": "openai", "model": "m", "location": "local", "base_url": url}
    config = {
        "ledger": {"url": f"sqlite:///{db}", "busy_timeout_s": 0.1},
        "budgets": [{"scope": "total", "window": "month", "limit_usd": 1}],
        "providers": [{**row, "price": price, "max_retries": 0}],
    }
    return create_router(RouterConfig.model_validate(config), checkpointer=checkpointer, environ={})


def make_host(url: str, db: Path, checkpointer: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("llm", make_router(url, db))
    builder.add_edge(START, "llm")
    return builder.compile(checkpointer=checkpointer)


def make_chat_host(url: str, db: Path, checkpointer: Any) -> Any:
    model = RoutedChatModel(router=make_router(url, db))

    def answer(state: MessagesState) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    async def answer_async(state: MessagesState) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("llm", RunnableLambda(answer, answer_async))
    builder.add_edge(START, "llm")
    return builder.compile(checkpointer=checkpointer)


MAKERS = pytest.mark.parametrize(
    "make",
    [make_router, make_host, make_chat_host],
    ids=["alone", "as a node", "as a chat model"],
)


def asked() -> dict[str, Any]:
    return {"messages": [HumanMessage("Which city?")]}


def thread() -> dict[str, Any]:
    return {"configurable": {"thread_id": uuid4().hex}}


def rows(db: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        wanted = "SELECT status, cost_basis, cost_nano_usd FROM requests ORDER BY id"
        return connection.execute(wanted).fetchall()


BOUGHT = ("answered", "reported", COST)


@MAKERS
async def test_an_answer_that_could_not_be_settled_is_resumed_and_not_bought_again(
    make: Any, server: LoopbackServer, db: Path, lock: Lock, saver: Any
) -> None:
    server.script("openai", Reply(TEXT, latency_s=lock.take))
    graph, config = make(server.openai_url, db, saver), thread()
    with pytest.raises(LedgerError, match="is locked by another program"):
        await graph.ainvoke(asked(), config)
    with pytest.raises(LedgerError):
        await graph.ainvoke(None, config)
    lock.release()
    result = await graph.ainvoke(None, config)
    assert [message.text for message in result["messages"]] == ["Which city?", TEXT]
    assert len(server.calls()) == 1
    assert rows(db) == [BOUGHT]


@MAKERS
def test_a_sync_host_resumes_as_well(
    make: Any, server: LoopbackServer, db: Path, lock: Lock, tmp_path: Path
) -> None:
    server.script("openai", Reply(TEXT, latency_s=lock.take))
    with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as durable:
        graph, config = make(server.openai_url, db, durable), thread()
        with pytest.raises(LedgerError, match="is locked by another program"):
            graph.invoke(asked(), config)
        lock.release()
        result = graph.invoke(None, config)
    assert result["messages"][-1].text == TEXT
    assert len(server.calls()) == 1
    assert rows(db) == [BOUGHT]


async def test_another_process_can_resume(
    server: LoopbackServer, db: Path, lock: Lock, tmp_path: Path
) -> None:
    server.script("openai", Reply(TEXT, latency_s=lock.take))
    config, path = thread(), str(tmp_path / "checkpoints.db")
    async with AsyncSqliteSaver.from_conn_string(path) as durable:
        with pytest.raises(LedgerError):
            await make_router(server.openai_url, db, durable).ainvoke(asked(), config)
    lock.release()
    async with AsyncSqliteSaver.from_conn_string(path) as durable:
        result = await make_router(server.openai_url, db, durable).ainvoke(None, config)
    assert (result["messages"][-1].text, len(result["attempts"])) == (TEXT, 1)
    assert len(server.calls()) == 1
    assert rows(db) == [BOUGHT]


@MAKERS
async def test_a_second_request_on_a_thread_starts_fresh(
    make: Any, server: LoopbackServer, db: Path, saver: Any
) -> None:
    server.script("openai", Reply("one"), Reply("two"))
    graph, config = make(server.openai_url, db, saver), thread()
    first, second = [await graph.ainvoke(asked(), config) for _ in range(2)]
    assert [m.text for m in second["messages"]] == ["Which city?", "one", "Which city?", "two"]
    if make is make_router:
        assert [len(one["attempts"]) for one in (first, second)] == [1, 1]
        assert first["route_id"] != second["route_id"]
    assert rows(db) == [BOUGHT, BOUGHT]


async def test_a_request_after_one_that_failed_finds_nothing_of_it(
    server: LoopbackServer, db: Path, lock: Lock, saver: Any
) -> None:
    server.script("openai", Reply("one", latency_s=lock.take), Reply("two"))
    router, config = make_router(server.openai_url, db, saver), thread()
    with pytest.raises(LedgerError):
        await router.ainvoke(asked(), config)
    lock.release()
    result = await router.ainvoke(asked(), config)
    assert result["messages"][-1].text == "two"
    assert [row["attempt"] for row in result["attempts"]] == [1]
    assert len(rows(db)) == len(server.calls()) == 2


@MAKERS
async def test_a_run_that_died_in_the_call_buys_again_and_both_calls_have_a_row(
    make: Any, server: LoopbackServer, db: Path, saver: Any
) -> None:
    server.script("openai", Fault.hang(), Reply(TEXT))
    graph, config = make(server.openai_url, db, saver), thread()
    running = asyncio.create_task(graph.ainvoke(asked(), config, durability="sync"))
    await asyncio.to_thread(server.wait_for_calls, 1, timeout_s=WAIT_S)
    running.cancel()
    await asyncio.wait([running])
    result = await graph.ainvoke(None, config)
    assert result["messages"][-1].text == TEXT
    assert len(server.calls()) == 2
    lost, bought = rows(db)
    assert lost[:2] == ("cancelled", "held")
    assert lost[2] > COST
    assert bought == BOUGHT


def ask_durably(url: str, db: Path, checkpoints: Path, config: dict[str, Any]) -> None:
    with SqliteSaver.from_conn_string(str(checkpoints)) as durable:
        make_router(url, db, durable).invoke(asked(), config, durability="sync")


async def test_a_process_that_was_killed_in_the_call_is_resumed_by_another(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    server.script("openai", Fault.hang(), Reply(TEXT))
    config, path = thread(), tmp_path / "checkpoints.db"
    spawning = multiprocessing.get_context("forkserver")
    process = spawning.Process(
        target=ask_durably, args=(server.openai_url, db, path, config), daemon=True
    )
    process.start()
    await asyncio.to_thread(server.wait_for_calls, 1, timeout_s=WAIT_S)
    process.kill()
    await asyncio.to_thread(process.join, WAIT_S)
    async with AsyncSqliteSaver.from_conn_string(str(path)) as durable:
        result = await make_router(server.openai_url, db, durable).ainvoke(None, config)
    assert result["messages"][-1].text == TEXT
    assert len(server.calls()) == 2
    assert rows(db) == [("reserved", "held", 0), BOUGHT], "the lost one expires into spending"


def run_out_of_disk(db: Path) -> None:
    """In a process of its own: the limit holds for all of its files."""
    endless = resource.RLIM_INFINITY
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill() -> float:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, endless))
        return 0.0

    with LoopbackServer() as server:
        server.script("openai", Reply(TEXT, latency_s=fill))
        router, config = make_router(server.openai_url, db, InMemorySaver()), thread()
        with pytest.raises(LedgerError, match="the disk reports an error"):
            router.invoke(asked(), config)
        resource.setrlimit(resource.RLIMIT_FSIZE, (endless, endless))
        assert router.invoke(None, config)["messages"][-1].text == TEXT
        assert len(server.calls()) == 1


def test_a_disk_that_was_full_at_the_settlement_costs_the_answer_once(db: Path) -> None:
    process = multiprocessing.get_context("forkserver").Process(target=run_out_of_disk, args=(db,))
    process.start()
    process.join(WAIT_S)
    assert process.exitcode == 0
    assert rows(db) == [BOUGHT]


@pytest.mark.skipif(STRICT in os.environ, reason="this is the run that it starts")
def test_all_of_it_holds_where_checkpoints_restore_known_types_only() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", __file__],
        env={**os.environ, STRICT: "true"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
