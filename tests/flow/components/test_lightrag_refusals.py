"""What LightRAG refuses to delete, to replace or to take is said, and costs the others nothing."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.components.lightrag.rag import RoutedLightRAG
from aegis_graph.components.lightrag.workspace import Workspace
from aegis_graph.testing import LoopbackServer
from tests.flow.components.lightrag_support import (
    DOCUMENTS,
    QUESTION,
    lightrag_config,
    open_rag,
    play,
)

CURIE, RADIUM, INSTITUTE = DOCUMENTS.values()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name, text in DOCUMENTS.items():
        (docs / name).write_text(text)
    return docs


def set_status(rag: RoutedLightRAG, **changes: Any) -> None:
    """Change what LightRAG's pipeline says of itself, as another user of the workspace does."""

    async def change(workspace: Workspace) -> None:
        shared = import_module("lightrag.kg.shared_storage")
        name = workspace.rag.workspace
        (await shared.get_namespace_data("pipeline_status", workspace=name)).update(changes)

    rag._session.run(change)


def change_record(rag: RoutedLightRAG, document: str, **changes: Any) -> None:
    async def change(workspace: Workspace) -> None:
        statuses = workspace.rag.doc_status
        doc_id, record = await statuses.get_doc_by_file_basename(document)
        await statuses.upsert({doc_id: {**record, **changes}})

    rag._session.run(change)


def lose_anchors(rag: RoutedLightRAG, document: str) -> None:
    """Take away the rows that say which entities are a document's, as a crash does."""

    async def lose(workspace: Workspace) -> None:
        doc_id, _ = await workspace.rag.doc_status.get_doc_by_file_basename(document)
        await workspace.rag.full_entities.delete([doc_id])
        await workspace.rag.full_relations.delete([doc_id])

    rag._session.run(lose)


def test_a_deletion_that_is_not_allowed_is_no_deletion(
    server: LoopbackServer, db: Path, tmp_path: Path, folder: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.sync_folder(folder)
        (folder / "radium.txt").unlink()
        (folder / "curie.txt").write_text(f"{CURIE} She was born in Warsaw.")
        set_status(rag, busy=True, job_name="an import")
        refused = rag.sync_folder(folder)
        assert (refused.deleted, refused.insert.state) == ([], "failed")
        states = dict(refused.insert.documents)
        assert states["radium.txt"] == states["curie.txt"] == "outdated"
        assert states["institute.txt"] == "processed"
        assert "'an import'" in refused.insert.errors["radium.txt"]
        assert "is not deleted" in str(refused.insert.reason)
        # What was kept is still known, and goes when it may.
        set_status(rag, busy=False)
        later = rag.sync_folder(folder)
        assert (later.deleted, later.updated) == (["radium.txt"], ["curie.txt"])
        assert (later.insert.state, dict(later.insert.errors)) == ("done", {})


def test_a_deletion_that_a_budget_refuses_is_stopped_and_not_done(
    server: LoopbackServer, db: Path, tmp_path: Path, folder: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.sync_folder(folder)
    (folder / "radium.txt").unlink()
    (folder / "new.txt").write_text("Paris is in France.")
    poor = lightrag_config(server, db, budgets={"task:summary": "0", "task:embed": "0"})
    with open_rag(poor, tmp_path / "rag") as rag:
        stopped = rag.sync_folder(folder)
        assert (stopped.deleted, stopped.insert.state) == ([], "stopped")
        states = dict(stopped.insert.documents)
        assert (states["radium.txt"], states["new.txt"]) == ("outdated", "pending")
    rich = lightrag_config(server, db, budgets={"task:summary": "1", "task:embed": "1"})
    with open_rag(rich, tmp_path / "rag") as rag:
        later = rag.sync_folder(folder)
        assert (later.deleted, later.insert.state) == (["radium.txt"], "done")
        assert set(later.insert.documents) == {"curie.txt", "institute.txt", "new.txt"}
        assert {chunk["content"] for chunk in rag.retrieve(QUESTION, "naive").chunks} <= {
            CURIE,
            INSTITUTE,
            "Paris is in France.",
        }


def test_a_document_that_lost_its_anchors_is_repaired_and_deleted(
    server: LoopbackServer, db: Path, tmp_path: Path, folder: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.sync_folder(folder)
        lose_anchors(rag, "radium.txt")
        (folder / "radium.txt").unlink()
        report = rag.sync_folder(folder)
        assert (report.deleted, report.insert.state) == (["radium.txt"], "done")
        assert set(rag.retrieve(QUESTION, "naive").chunks[0]) >= {"content"}
        assert set(report.insert.documents) == {"curie.txt", "institute.txt"}


def test_an_old_text_that_stays_does_not_keep_others_out(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.add(DOCUMENTS)
        set_status(rag, busy=True, job_name="an import")
        report = rag.add({**DOCUMENTS, "curie.txt": INSTITUTE[:60], "new.txt": "Paris."})
        assert report.state == "failed"
        assert (report.documents["curie.txt"], report.documents["new.txt"]) == (
            "outdated",
            "pending",
        )
        set_status(rag, busy=False)
        # What LightRAG had not begun is taken up by the next insert.
        assert rag.add({}).documents["new.txt"] == "processed"


def test_an_insert_that_is_refused_is_said_by_document(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.add({"curie.txt": CURIE})
        set_status(rag, destructive_busy=True)
        report = rag.add(DOCUMENTS)
        assert report.state == "failed"
        assert dict(report.documents) == {
            "curie.txt": "processed",
            "radium.txt": "failed",
            "institute.txt": "failed",
        }
        assert "LightRAG refuses it" in report.errors["radium.txt"]
        set_status(rag, destructive_busy=False)
        assert rag.add(DOCUMENTS).state == "done"


def test_a_state_that_is_not_known_is_not_done(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.add({"curie.txt": CURIE})
        change_record(rag, "curie.txt", status="archived")
        report = rag.add({"curie.txt": CURIE})
        assert (report.state, dict(report.documents)) == ("failed", {"curie.txt": "archived"})
