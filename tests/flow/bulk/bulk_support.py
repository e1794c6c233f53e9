"""What the tests of jobs share: a graph over the loopback server, and a look at its results."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import flat_price, make_config, open_router, provider, read

USD = "0.001"
"""What an answer costs, and its hold."""
NANO = 1_000_000
ANSWER = Reply("Paris", input_tokens=10, output_tokens=1)


def routed(server: LoopbackServer, db: Path, **sections: Any) -> Any:
    """A router over one provider, whose answers all cost the same."""
    row = provider(server, "openai", **flat_price(USD), max_retries=0)
    return open_router(make_config(server, db, providers=[row], **sections))


class Trip(TypedDict, total=False):
    """A city, and what two questions about it are answered."""

    city: str
    country: str
    river: str


def two_calls(router: Any, **options: Any) -> Any:
    """A graph that asks twice for each item, and has the first answer when it asks again."""

    def ask(question: str, key: str) -> Any:
        async def node(state: Trip, config: RunnableConfig) -> Trip:
            asked = {"messages": [("user", f"{question} {state['city']}?")]}
            answer = await router.ainvoke(asked, config)
            return {key: answer["messages"][-1].text}  # type: ignore[misc]

        return node

    builder = StateGraph(Trip)
    builder.add_node("country", ask("country of", "country"))
    builder.add_node("river", ask("river of", "river"))
    builder.add_edge(START, "country").add_edge("country", "river")
    return builder.compile(**options)


def result_rows(folder: Path) -> list[dict[str, Any]]:
    """What is in the results' file."""
    text = (folder / "results.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def asked(server: LoopbackServer) -> Counter[str]:
    """How often each prompt arrived at the server."""
    return Counter(prompt(call) for call in server.calls())


def prompt(call: Any) -> str:
    """What a call asks."""
    content = call.body["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


def spent_of_job(db: Path, name: str) -> int:
    """Nano-USD that the ledger has for a job."""
    rows = read(
        db, "SELECT sum(spent_nano_usd) AS n FROM totals WHERE scope = ?", f"tag:bulk={name}"
    )
    return int(rows[0]["n"] or 0)
