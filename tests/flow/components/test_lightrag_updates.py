"""A document with a new text, and documents of one name in two folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightrag import QueryParam  # type: ignore[import-untyped]

from aegis_graph.testing import LoopbackServer
from tests.flow.components.lightrag_support import (
    DOCUMENTS,
    QUESTION,
    graph_of,
    lightrag_config,
    open_rag,
    operation,
    play,
)

CURIE, RADIUM, INSTITUTE = DOCUMENTS.values()


def test_a_new_text_replaces_the_old_one(server: LoopbackServer, db: Path, tmp_path: Path) -> None:
    play(server)
    config = lightrag_config(server, db)
    with open_rag(config, tmp_path / "rag") as rag:
        rag.add({"a.txt": CURIE, "b.txt": RADIUM})
        forecast = rag.forecast({"a.txt": INSTITUTE, "b.txt": RADIUM})
        assert (forecast.documents, forecast.known) == (1, 1)
        before = len(server.calls())
        report = rag.add({"a.txt": INSTITUTE, "b.txt": RADIUM})
        assert dict(report.documents) == dict.fromkeys(("a.txt", "b.txt"), "processed")
        asked = [operation(call) for call in server.calls()[before:]]
        assert asked.count("extract") == 1
        chunks = rag.retrieve(QUESTION, "naive").chunks
        assert {chunk["content"] for chunk in chunks} == {INSTITUTE, RADIUM}
        # Back again: it was paid for.
        again = rag.add({"a.txt": CURIE})
        assert "extract" not in again.by_operation
    with open_rag(config, tmp_path / "fresh") as rag:
        rag.add({"a.txt": CURIE, "b.txt": RADIUM})
    assert (
        graph_of(tmp_path / "rag")["nodes"].keys() == graph_of(tmp_path / "fresh")["nodes"].keys()
    )


def test_an_update_whose_budget_ends_goes_on_from_there(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    folder = tmp_path / "rag"
    with open_rag(lightrag_config(server, db), folder) as rag:
        rag.add(DOCUMENTS)
    changed = {**DOCUMENTS, "curie.txt": f"{CURIE} She was born in Warsaw."}
    limits: dict[str, str] = {}
    for task in ("extract", "summary", "embed"):
        limits[f"task:{task}"] = "0"
        poor = lightrag_config(server, db, budgets=limits)
        with open_rag(poor, folder) as rag:
            report = rag.add(changed)
            assert (report.state, f"task:{task}" in str(report.reason)) == ("stopped", True), task
        limits[f"task:{task}"] = "1"
    with open_rag(lightrag_config(server, db, budgets=limits), folder) as rag:
        report = rag.add(changed)
        assert (report.state, dict(report.documents)) == (
            "done",
            dict.fromkeys(DOCUMENTS, "processed"),
        )
        found = {chunk["content"] for chunk in rag.retrieve(QUESTION, "naive").chunks}
        assert found == set(changed.values())


async def test_documents_of_one_name_in_two_folders_are_two(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    events: list[Any] = []
    async with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        documents = {"a/x.txt": CURIE, "b/x.txt": RADIUM, "/c/x.txt": INSTITUTE}
        report = await rag.aadd(documents, on_progress=events.append)
        assert dict(report.documents) == dict.fromkeys(documents, "processed")
        assert {event["document"] for event in events} == set(documents)
        assert (await rag.aadd(documents)).cost_usd == 0
        found = await rag.aretrieve(QUESTION, "mix")
        assert {row["file_path"] for row in found.references} == set(documents)
        assert {row["file_path"] for row in found.chunks} == set(documents)
        assert all(f"] {name}" in found.prompt for name in documents)
        answer = await rag.aquery(QUESTION, QueryParam(mode="naive", enable_rerank=False))
        assert all(name in answer for name in documents)
        await rag.adelete("a/x.txt")
        assert set(await rag.adocuments()) == {"b/x.txt", "/c/x.txt"}
