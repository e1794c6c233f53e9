"""Graphs whose answers outlive a worker that is killed, by what keeps them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Literal

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from aegis_graph import RouterConfig, create_relation_extractor
from aegis_graph.components.relation_extractor.store import AnswerStore, StoredAnswer
from aegis_graph.testing import Fault, Reply
from tests.flow.bulk.bulk_support import two_calls
from tests.flow.support import open_router

Memory = Literal["nothing", "checkpointer", "store"]
"""What keeps the answers of a run that breaks off."""


def kept_in(folder: Path) -> Path:
    """The file in which a graph keeps its answers."""
    return folder.with_name("kept.db")


def graph_of(config: RouterConfig, folder: Path, memory: Memory) -> Any:
    """One call for each item without a memory, else two."""

    @asynccontextmanager
    async def durable() -> AsyncIterator[Any]:
        async with AsyncSqliteSaver.from_conn_string(str(kept_in(folder))) as saver:
            yield two_calls(open_router(config), checkpointer=saver)

    if memory == "checkpointer":
        return durable
    router = open_router(config)
    if memory == "store":
        return create_relation_extractor(router, store=kept_in(folder), max_retries=0)
    return router


def inputs(count: int, poison: int, memory: Memory) -> Iterator[dict[str, Any]]:
    """So many inputs, of which one in ``poison`` is refused by every provider."""
    for number in range(count):
        name = f"poison {number}" if number % poison == poison // 2 else f"{number}"
        asked: dict[Memory, dict[str, Any]] = {
            "nothing": {"messages": [{"role": "user", "content": f"city {name}?"}]},
            "checkpointer": {"city": name},
            "store": {"text": f"city {name}"},
        }
        yield {"id": str(number), **asked[memory]}


class Extracted:
    """Answers an extractor, and looks whether its store has this answer already."""

    def __init__(self, kept: Path) -> None:
        self.kept = kept
        self.bought_again: list[str] = []
        # So that there is a table to look into.
        AnswerStore(kept).keep("", StoredAnswer(""), task="extract", sensitivity="internal")

    def __call__(self, call: Any) -> Any:
        _, asked, *before = call.body["messages"]
        if "poison" in asked["content"]:
            return Fault.status(400)
        found = {"name": asked["content"], "type": "City", "description": f"{len(before)} before"}
        said = json.dumps({"entities": [found], "relations": []})
        with closing(sqlite3.connect(self.kept)) as store:
            known = store.execute("SELECT 1 FROM answers WHERE answer = ?", (said,)).fetchall()
        self.bought_again += [said for _ in known]
        return Reply(said, input_tokens=10, output_tokens=1)
