"""LightRAG's files, damaged: a line that names the file, and it opens again when mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aegis_graph.components.lightrag import library
from aegis_graph.errors import ConfigError, StoreError
from aegis_graph.testing import LoopbackServer
from tests.flow.components.lightrag_support import (
    DOCUMENTS,
    QUESTION,
    bought,
    lightrag_config,
    open_rag,
    operation,
    play,
    vectors,
)

KEPT = [
    "graph_chunk_entity_relation.graphml",
    "kv_store_doc_status.json",
    "kv_store_full_docs.json",
    "kv_store_llm_response_cache.json",
    "kv_store_text_chunks.json",
    "vdb_chunks.json",
    "vdb_entities.json",
]


@pytest.fixture
def folder(server: LoopbackServer, db: Path, tmp_path: Path) -> Path:
    """The working directory of the workspace ``w``, with three documents in it, closed."""
    play(server)
    with open_rag(lightrag_config(server, db), tmp_path / "rag", workspace="w") as rag:
        rag.add(DOCUMENTS)
    return tmp_path / "rag"


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def no_object(file: Path) -> None:
    file.write_text("[1]")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def without_a_vector(file: Path) -> None:
    file.write_text('{"embedding_dim": 64, "data": [{"__id__": "a"}], "matrix": "AAAA"}')


DAMAGE: list[tuple[str, Callable[[Path], None]]] = [
    *((name, cut) for name in KEPT),
    ("graph_chunk_entity_relation.graphml", empty),
    ("vdb_chunks.json", empty),
    ("kv_store_doc_status.json", no_object),
    ("kv_store_text_chunks.json", a_folder),
    ("vdb_chunks.json", without_a_vector),
]


def test_a_damaged_file_is_named_and_the_mended_workspace_opens_in_the_same_process(
    folder: Path, server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    config = lightrag_config(server, db)
    for name, damage in DAMAGE:
        damaged = tmp_path / "damaged"
        shutil.copytree(folder, damaged)
        damage(damaged / "w" / name)
        with (
            open_rag(config, damaged, workspace="w") as rag,
            pytest.raises(StoreError) as caught,
        ):
            rag.retrieve(QUESTION, "naive")
        message = str(caught.value)
        assert message.startswith(f"{damaged / 'w' / name}: "), (name, damage)
        assert "\n" not in message
        assert "what was paid for is kept in w.answers.db" in message
        shutil.rmtree(damaged)
        shutil.copytree(folder, damaged)
        with open_rag(config, damaged, workspace="w") as rag:
            assert rag.retrieve(QUESTION, "naive").chunks, (name, damage)
        shutil.rmtree(damaged)


def test_the_same_object_opens_the_workspace_once_its_file_is_mended(
    folder: Path, server: LoopbackServer, db: Path
) -> None:
    status = folder / "w" / "kv_store_doc_status.json"
    sound = status.read_bytes()
    with open_rag(lightrag_config(server, db), folder, workspace="w") as rag:
        cut(status)
        for _ in range(2):
            with pytest.raises(StoreError, match="kv_store_doc_status"):
                rag.retrieve(QUESTION, "naive")
        status.write_bytes(sound)
        assert rag.retrieve(QUESTION, "naive").chunks


def test_what_was_paid_for_is_there_after_the_damaged_folder_was_deleted(
    folder: Path, server: LoopbackServer, db: Path
) -> None:
    shutil.rmtree(folder / "w")
    before = len(server.calls())
    with open_rag(lightrag_config(server, db), folder, workspace="w") as rag:
        assert rag.add(DOCUMENTS).state == "done"
        # A summary lists its descriptions in the order in which their documents ended.
        asked = {operation(call) for call in server.calls()[before:]}
        assert not asked & {"extract", "glean"}
    assert set(bought(server).values()) == {1}


def test_vectors_of_another_length_are_a_line_that_says_both(
    folder: Path, server: LoopbackServer, db: Path
) -> None:
    other = lightrag_config(server, db, embeddings=[vectors(server, dimensions=128)])
    with (
        open_rag(other, folder, workspace="w") as rag,
        pytest.raises(ConfigError, match=r"vdb_chunks\.json: holds vectors of 64 numbers, .* 128;"),
    ):
        rag.retrieve(QUESTION, "naive")
    with open_rag(lightrag_config(server, db), folder, workspace="w") as rag:
        assert rag.retrieve(QUESTION, "naive").chunks


def test_a_workspace_that_cannot_be_written_at_its_end_is_let_go_of(
    folder: Path, server: LoopbackServer, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(rag: object) -> None:
        raise OSError(28, "No space left on device")

    rag = open_rag(lightrag_config(server, db), folder, workspace="w")
    rag.retrieve(QUESTION, "naive")
    with monkeypatch.context() as broken:
        broken.setattr(library.load().LightRAG, "finalize_storages", full)
        with pytest.raises(OSError, match="No space left"):
            rag.close()
    with open_rag(lightrag_config(server, db), folder, workspace="w") as again:
        assert again.retrieve(QUESTION, "naive").chunks
