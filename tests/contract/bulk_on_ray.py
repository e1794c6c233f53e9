"""What the tests of jobs on Ray share: a graph that actors can open, and a look at its job."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

from aegis_graph import RouterConfig, create_router
from aegis_graph.testing import LoopbackServer, Reply
from tests.contract.ledger_store import Store
from tests.flow.support import KEYS, flat_price, provider

JOB = "cities"
COST = 1_000_000
"""What an answer costs, and its hold, in nano-USD."""
ANSWER = Reply("Paris", input_tokens=10, output_tokens=1, latency_s=0.05)
DEADLY = "3"
"""The key of an item that ends the process of its worker."""
PROGRAM = """
import sys
from tests.contract.bulk_on_ray import opener, questions
from aegis_graph import create_bulk
config, folder = sys.argv[1:]
job = create_bulk(opener(config, folder), name="cities", results=f"{folder}/results", key="key")
job.run(questions(150), engine="ray", workers=2, concurrency=4)
"""
"""Drives a job until it is killed, after a part of its items."""


def questions(count: int) -> list[dict[str, Any]]:
    """Inputs of a router, each about a city of its own."""
    return [
        {"key": f"{number}", "messages": [{"role": "user", "content": f"city {number}?"}]}
        for number in range(count)
    ]


def configure(server: LoopbackServer, url: str) -> str:
    """A configuration whose only provider is played, as JSON."""
    server.always("openai", ANSWER)
    rows = {
        "ledger": {"url": url, "busy_timeout_s": 60},
        "providers": [provider(server, "openai", **flat_price(f"{COST / 10**9}"))],
        "budgets": [],
    }
    return json.dumps(rows)


def opener(config: str, folder: str) -> Callable[[], Any]:
    """What opens a router, and leaves the number of its process in a folder."""

    def opened() -> Any:
        Path(folder, f"{os.getpid()}.pid").touch()
        return create_router(RouterConfig.model_validate_json(config), environ=KEYS)

    return opened


def deadly_opener(config: str) -> Callable[[], Any]:
    """What opens a graph in which one item ends its process before a provider is asked."""

    def opened() -> Any:
        router = create_router(RouterConfig.model_validate_json(config), environ=KEYS)

        async def ask(state: MessagesState, config: RunnableConfig) -> Any:
            if state["messages"][-1].text == f"city {DEADLY}?":
                os._exit(7)
            answer = await router.ainvoke({"messages": state["messages"]}, config)
            return {"messages": answer["messages"][-1:]}

        return StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile()

    return opened


def actors(folder: Path) -> list[int]:
    """The processes, but for this one, that opened the router and have not ended."""
    found = {int(path.stem) for path in folder.glob("*.pid")} - {os.getpid()}
    return sorted(number for number in found if number in _parents())


def processes_below(number: int) -> list[int]:
    """Those that a process started, and those that they started."""
    parents = _parents()
    found = [child for child, parent in parents.items() if parent == number]
    return found + [below for child in found for below in processes_below(child)]


def _parents() -> dict[int, int]:
    """The parent of each process that has not ended."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            state, parent, *_ = path.read_text().rpartition(")")[2].split()
            if state != "Z":
                found[int(path.parent.name)] = int(parent)
    return found


def assert_journal_is_ledger(server: LoopbackServer, store: Store) -> Counter[str]:
    """Each call has a row of its item, and each answer that was paid for was given.

    Returns:
        How often each item was asked for.
    """
    asked = Counter(
        str(call.body["messages"][0]["content"]).removeprefix("city ").removesuffix("?")
        for call in server.calls()
    )
    rows = Counter[str]()
    answered = Counter[str]()
    for row in store.rows():
        if (row["status"], row["cost_basis"]) == ("cancelled", "none"):
            continue  # given back before it was sent
        key = str(row["run_id"]).removeprefix(f"{JOB}/")
        rows[key] += 1
        answered[key] += row["status"] == "answered"
        assert (row["status"], row["cost_nano_usd"]) in {
            ("answered", COST), ("cancelled", COST), ("expired", COST), ("reserved", 0)
        }, row  # fmt: skip
    assert not asked - rows, "a call was made without a reservation"
    assert not answered - asked, "an answer is in the ledger that was not given"
    return asked


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """The results of a job by their keys."""
    lines = (folder / "results" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    found = {row["key"]: row for row in map(json.loads, lines)}
    assert len(found) == len(lines), "an item has two results"
    return found
