"""What the tests of the relation extractor share: people who live in cities, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from aegis_graph.components.relation_extractor.graph import create_relation_extractor
from aegis_graph.testing import LoopbackServer, Received, Reply
from tests.flow.support import Row, make_config, open_router, provider

SCHEMA: Any = {"entity_types": ["Person", "City"], "relations": [["Person", "LIVES_IN", "City"]]}
EMPTY = json.dumps({"entities": [], "relations": []})
PRICE = {"price": {"input_usd_per_mtok": "2", "output_usd_per_mtok": "10"}}
COST = 10 * 2_000 + 5 * 10_000
"""Nano-USD of one scripted answer at that price."""


def person(number: int) -> str:
    return f"Person{number:03d}"


def city(number: int) -> str:
    return f"City{number:03d}"


def statement(number: int) -> str:
    return f"{person(number)} lives in {city(number)}."


def people(count: int) -> list[Document]:
    """Documents that make one chunk each."""
    return [Document(statement(n), metadata={"source": f"{n}.txt"}) for n in range(count)]


def answer_on(*numbers: int, **changes: Any) -> str:
    """A good answer: what it says of people whom a chunk does not name is dropped."""
    entities = [{"name": person(n), "type": "Person", "aliases": []} for n in numbers]
    entities += [{"name": city(n), "type": "City", "aliases": []} for n in numbers]
    relations = [
        {
            "head": person(n),
            "relation": "LIVES_IN",
            "tail": city(n),
            "quote": f"{person(n)} lives in {city(n)}",
        }
        for n in numbers
    ]
    return json.dumps({"entities": entities, "relations": relations, **changes})


def make_extractor(
    server: LoopbackServer,
    db: Path,
    *,
    providers: list[Row] | None = None,
    budgets: dict[str, str] | None = None,
    health: Row | None = None,
    **more: Any,
) -> Any:
    """An extractor over one played provider, which answers a schema and may fail ever so often."""
    rows = providers or [provider(server, "openai", max_retries=1, **PRICE)]
    health = health or {"failures": 10_000}
    config = make_config(server, db, providers=rows, budgets=budgets, health=health)
    return create_relation_extractor(
        open_router(config), **{"schema": SCHEMA, "max_gleanings": 0, **more}
    )


def said(call: Received) -> list[str]:
    """The texts of the messages that a call brought."""
    messages = call.body["messages"] if "messages" in call.body else call.body["input"]["messages"]
    return [
        one["content"] if isinstance(one["content"], str) else one["content"][0]["text"]
        for one in messages
    ]


def asked_about(call: Received) -> str:
    """The chunk that a call is about."""
    return said(call)[1].partition("\n\n")[0]


def triples(result: Any) -> list[tuple[str, str, str]]:
    return [(one["head"], one["relation"], one["tail"]) for one in result["relations"]]


def reply(text: str) -> Reply:
    return Reply(text, chunks=(text,))
