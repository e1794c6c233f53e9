"""What is taken out of an index is gone from it, and stays out until it is named again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from aegis_graph import create_index
from aegis_graph.components.index.index import DocumentIndex
from aegis_graph.errors import DocumentError, StoreError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    (docs / "hr").mkdir(parents=True)
    (docs / "room.md").write_text("# Room\n\nThe limit of the reading room is 40 dollars.")
    (docs / "hr" / "pay.md").write_text("# Pay\n\nMinkowski earns 4711 dollars.")
    (docs / "hr" / "more.md").write_text("# More\n\nZimtstern is on leave.")
    return docs


@pytest.fixture
def index(tmp_path: Path, folder: Path) -> DocumentIndex:
    made = create_index(
        tmp_path / "index.db",
        embeddings=DeterministicFakeEmbedding(size=8),
        embeddings_location="local",
    )
    made.update([folder])
    made.embed()
    return made


def names(index: DocumentIndex) -> set[str]:
    found = index.retriever(limit=9).invoke("limit dollars leave Minkowski Zimtstern")
    return {one.metadata["source"] for one in found}


def bytes_of(index: DocumentIndex) -> bytes:
    files = index.path.parent.glob(f"{index.path.name}*")
    return b"".join(one.read_bytes() for one in files)


def test_a_folder_goes_with_its_words_and_vectors(index: DocumentIndex, folder: Path) -> None:
    assert b"Minkowski" in bytes_of(index)
    report = index.remove([folder / "hr"])
    assert (report.documents, report.passages, report.vectors) == (2, 2, 2)
    assert (report.status.documents, report.status.passages) == (1, 1)
    assert names(index) == {"room.md"}
    # Not even in pages of the file that are free.
    left = bytes_of(index).lower()
    assert not [one for one in (b"minkowski", b"zimtstern", b"4711") if one in left]
    assert b"reading" in left


def test_it_stays_out_until_it_is_named(index: DocumentIndex, folder: Path) -> None:
    index.remove([folder / "hr" / "pay.md"])
    assert (index.update().added, index.update([folder]).added) == (0, 0)
    assert names(index) == {"room.md", "hr/more.md"}
    assert index.update([folder / "hr" / "pay.md"]).added == 1
    assert index.update().unchanged == 3
    index.remove([folder / "hr"])
    # What is in it brings all of it back.
    assert index.update([folder / "hr" / "more.md", folder]).added == 2


def test_a_whole_root_and_files_that_are_no_longer_there_can_be_named(
    index: DocumentIndex, folder: Path
) -> None:
    shutil.rmtree(folder / "hr")
    assert index.remove([folder / "hr"]).documents == 2
    report = index.remove([folder])
    assert (report.documents, report.status.roots, report.status.documents) == (1, (), 0)
    (folder / "hr").mkdir()
    (folder / "hr" / "new.md").write_text("New.")
    # The root was forgotten, and what was left out below it as well.
    assert index.update([folder]).added == 2


def test_a_path_that_is_not_in_the_index_leaves_everything(
    index: DocumentIndex, folder: Path, tmp_path: Path
) -> None:
    for wrong in (tmp_path / "other", folder / "hr" / "no.md", folder / "h"):
        with pytest.raises(DocumentError, match=r"is not in the index, which is of .*docs"):
            index.remove([folder / "room.md", wrong])
    assert index.status().documents == 3
    missing = create_index(tmp_path / "none.db")
    with pytest.raises(StoreError, match="there is no index"):
        missing.remove([folder])
    assert not missing.path.exists()


async def test_a_vector_of_a_text_that_another_document_has_stays(
    index: DocumentIndex, folder: Path
) -> None:
    shutil.copy(folder / "room.md", folder / "hr" / "copy.md")
    index.update()
    report = await index.aremove([folder / "hr" / "copy.md"])
    assert (report.documents, report.passages, report.vectors) == (1, 1, 0)
    assert (report.status.documents, *report.status.spaces.values()) == (3, 3)
