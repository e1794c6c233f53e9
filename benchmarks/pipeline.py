"""Rows about the RAG pipeline beside a LangChain retrieval chain, both over the same passages."""

from __future__ import annotations

from field import Field, Scale, measured, pick
from table import Row, at_most

PASSAGES = 1000
TARGET = 1.5


def pipelines(scale: Scale, field: Field) -> list[Row]:
    """A question that needs no plan, with a model that answers at once and cites."""
    there = {"kind": "openai", "url": field.url(words="cited")}
    with field.workers(
        True,
        ours=("pipeline_contestants.rag", {**there, "ledger": field.ledger()}),
        chain=("pipeline_contestants.chain", there),
        retriever=("pipeline_contestants.retriever_alone", {}),
    ) as workers:
        found = measured(scale.rounds, workers, "latency", count=scale.calls)
    rows = []
    for key, unit, how in (("p50_ms", "ms p50", ""), ("cpu_ms", "ms", ", processor time")):
        ours, theirs = (pick(found, name, key) for name in ("ours", "chain"))
        goal = {} if how else {"target": f"{TARGET} times", "met": at_most(TARGET)}
        name = f"create_rag over {PASSAGES:,} passages{how}"
        rows.append(Row(name, unit, ours, theirs, "LangChain retrieval chain", **goal))
    alone = pick(found, "retriever", "p50_ms")
    theirs = pick(found, "chain", "p50_ms")
    return [*rows, Row("the retriever alone", "ms p50", alone, theirs, "that chain, with it")]
