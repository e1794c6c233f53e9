"""An extraction that died is resumed from its checkpoints, and buys nothing twice."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.documents import Document
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from aegis_graph.components.relation_extractor.records import Relation
from aegis_graph.testing import Fault, LoopbackServer
from tests.flow.components.extraction_support import (
    EMPTY,
    answer_on,
    asked_about,
    make_extractor,
    people,
    reply,
    said,
    statement,
    triples,
)
from tests.flow.support import made

CHUNKS = 12
BEFORE = 7
"""Answers that went out before the run died."""
WAIT_S = 120.0


class Host(TypedDict, total=False):
    documents: list[Document]
    relations: list[Relation]
    checked: bool


def make_host(server: LoopbackServer, db: Path, checkpointer: Any, **more: Any) -> Any:
    def check(state: Host) -> Host:
        return {"checked": True}

    extractor = make_extractor(server, db, max_concurrency=2, **more)
    builder = StateGraph(Host)
    builder.add_node("relations", extractor)
    builder.add_node("check", check)
    builder.add_edge(START, "relations")
    builder.add_edge("relations", "check")
    return builder.compile(checkpointer=checkpointer, interrupt_before=["check"])


def thread() -> dict[str, Any]:
    return {"configurable": {"thread_id": uuid4().hex}}


class Address:
    """What a configuration needs of a server that another process runs."""

    def __init__(self, server: LoopbackServer) -> None:
        self.openai_url = server.openai_url


def extract_durably(address: Any, db: Path, checkpoints: Path, config: Any) -> None:
    with SqliteSaver.from_conn_string(str(checkpoints)) as saver:
        host = make_host(address, db, saver)
        host.invoke({"documents": people(CHUNKS)}, config, durability="sync")


def bought(server: LoopbackServer) -> Counter[str]:
    """How often each chunk was answered to the end."""
    return Counter(asked_about(call) for call in server.calls() if call.produced.completed)


async def test_a_process_that_was_killed_is_resumed_by_another(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    good = reply(answer_on(*range(CHUNKS)))
    server.script("openai", *[good] * BEFORE, Fault.hang(), Fault.hang())
    config, path = thread(), tmp_path / "checkpoints.db"
    process = multiprocessing.get_context("forkserver").Process(
        target=extract_durably, args=(Address(server), db, path, config), daemon=True
    )
    process.start()
    await asyncio.to_thread(server.wait_for_calls, BEFORE + 2, timeout_s=WAIT_S)
    process.kill()
    await asyncio.to_thread(process.join, WAIT_S)
    server.always("openai", good)

    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        host = make_host(server, db, saver)
        result = await host.ainvoke(None, config)
        after = await host.ainvoke(None, config)

    assert len(triples(result)) == CHUNKS
    assert after["checked"]
    assert bought(server) == Counter(statement(n) for n in range(CHUNKS))
    assert len(server.calls()) == len(made(db)) == CHUNKS + 2


async def test_a_cancelled_run_resumes_in_the_middle_of_a_chunk(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    server.script("openai", reply(answer_on(0)), Fault.hang(), reply(EMPTY))
    request: Any = {"documents": people(1)}
    config = thread()
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        host = make_host(server, db, saver, max_gleanings=1)
        running = asyncio.create_task(host.ainvoke(request, config, durability="sync"))
        await asyncio.to_thread(server.wait_for_calls, 2, timeout_s=WAIT_S)
        running.cancel()
        await asyncio.wait([running])
        # Another graph, so that nothing is remembered but the checkpoints.
        host = make_host(server, db, saver, max_gleanings=1)
        result = await host.ainvoke(None, config)

    assert len(triples(result)) == 1
    assert [len(said(call)) for call in server.calls()] == [2, 4, 4]


@pytest.mark.parametrize("turns", [2])
async def test_a_thread_forgets_the_request_before(
    server: LoopbackServer, db: Path, tmp_path: Path, turns: int
) -> None:
    server.always("openai", reply(answer_on(*range(turns))))
    config = thread()
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "checkpoints.db")) as saver:
        graph = make_extractor(server, db, checkpointer=saver)
        results = [
            await graph.ainvoke(
                {"text": statement(n), **({"sensitivity": "public"} if n == 0 else {})}, config
            )
            for n in range(turns)
        ]

    for number, result in enumerate(results):
        assert [one["quote"] for one in result["relations"][0]["evidence"]] == [
            statement(number)[:-1]
        ]
        assert len(result["attempts"]) == len(result["relations"]) == 1
    assert [row["sensitivity"] for row in made(db)] == ["public", "internal"]
