"""A workspace that is kept as a folder is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aegis_graph.errors import DocumentError
from aegis_graph.testing import LoopbackServer
from tests.flow.components.lightrag_support import (
    DOCUMENTS,
    bought,
    lightrag_config,
    open_rag,
    operation,
    play,
)

CURIE, RADIUM, INSTITUTE = DOCUMENTS.values()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "sub").mkdir(parents=True)
    (tmp_path / "docs" / "a.txt").write_text(CURIE)
    (tmp_path / "docs" / "sub" / "a.txt").write_text(RADIUM)
    (tmp_path / "docs" / "bad.pdf").write_bytes(b"no pdf")
    (tmp_path / "docs" / "photo.heic").write_bytes(b"x")
    return tmp_path / "docs"


def test_a_folder_is_added_updated_and_deleted_from(
    server: LoopbackServer, db: Path, tmp_path: Path, folder: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.add({"own.txt": INSTITUTE})
        forecast = rag.forecast(folder)
        assert (forecast.documents, forecast.known) == (2, 0)
        first = rag.sync_folder(folder)
        assert (first.insert.state, sorted(first.added)) == ("done", ["a.txt", "sub/a.txt"])
        assert {one.source for one in first.skipped} == {"bad.pdf", "*.heic"}
        assert first.insert.cost_usd <= forecast.most_usd

        (folder / "a.txt").write_text(f"{CURIE} She was born in Warsaw.")
        (folder / "sub" / "a.txt").unlink()
        (folder / "new.md").write_text("Paris is in France.")
        assert rag.forecast(folder).documents == 2
        second = rag.sync_folder(str(folder))
        assert (second.added, second.updated) == (["new.md"], ["a.txt"])
        assert (second.deleted, second.unchanged) == (["sub/a.txt"], [])

        before = len(server.calls())
        third = rag.sync_folder(folder)
        assert (third.added, third.updated, third.deleted) == ([], [], [])
        assert sorted(third.unchanged) == ["a.txt", "new.md"]
        assert len(server.calls()) == before
        assert set(third.insert.documents) == {"own.txt", "a.txt", "new.md"}


def test_what_is_there_and_cannot_be_read_is_not_deleted(
    server: LoopbackServer, db: Path, tmp_path: Path, folder: Path
) -> None:
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.sync_folder(folder)
        (folder / "a.txt").write_bytes(b"\x00\x01\x02" * 50)
        broken = rag.sync_folder(folder)
        assert (broken.deleted, broken.updated) == ([], [])
        assert "a.txt" in {one.source for one in broken.skipped}
        assert "a.txt" in broken.insert.documents
        # Such as a drive that is not there.
        shutil.rmtree(folder)
        with pytest.raises(DocumentError, match="no such folder"):
            rag.sync_folder(folder)
        folder.mkdir()
        with pytest.raises(DocumentError, match="the workspace has 2 of it"):
            rag.sync_folder(folder)


async def test_two_folders_leave_each_other_alone_and_a_stopped_one_goes_on(
    server: LoopbackServer, db: Path, tmp_path: Path, folder: Path
) -> None:
    play(server)
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.txt").write_text(INSTITUTE)
    poor = lightrag_config(server, db, budgets={"task:extract": "0"})
    async with open_rag(poor, tmp_path / "rag") as rag:
        stopped = await rag.async_folder(folder)
        assert (stopped.insert.state, sorted(stopped.added)) == ("stopped", ["a.txt", "sub/a.txt"])
    rich = lightrag_config(server, db, budgets={"task:extract": "1"})
    async with open_rag(rich, tmp_path / "rag") as rag:
        assert (await rag.async_folder(other)).added == ["b.txt"]
        report = await rag.async_folder(folder, run_id="job", max_cost_usd="1")
        assert (report.insert.state, sorted(report.unchanged)) == ("done", ["a.txt", "sub/a.txt"])
        (other / "b.txt").rename(other / "c.txt")
        moved = await rag.async_folder(other)
        # The same text under another name: its pieces are not bought again.
        assert (moved.added, moved.deleted) == (["c.txt"], ["b.txt"])
        assert set(await rag.adocuments()) == {"a.txt", "sub/a.txt", "c.txt"}
    assert set(bought(server).values()) == {1}
    assert "extract" in {operation(call) for call in server.calls()}
