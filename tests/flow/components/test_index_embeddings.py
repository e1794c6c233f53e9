"""Vectors in an index: bought once, for the eyes that may see them, and compared in two ways."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from typing_extensions import override

from aegis_graph import RouterConfig, create_embeddings, create_index
from aegis_graph.components.index.index import DocumentIndex
from aegis_graph.embeddings import RoutedEmbeddings
from aegis_graph.testing import LoopbackServer
from tests.flow.support import KEYS, Row, rows

OLD = 1_700_000_000


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (OLD, OLD))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(6):
        write(tmp_path / "docs", f"f{number}.md", f"# File {number}\n\nWord{number} of a penguin.")
    return tmp_path / "docs"


def routed(server: LoopbackServer, db: Path, *, location: str = "local") -> RoutedEmbeddings:
    row: Row = {
        "name": "embedder",
        "kind": "openai",
        "model": "text-embedding-3-small",
        "dimensions": 1024,
        "base_url": server.openai_url,
        "location": location,
        "api_key_env": "LOOPBACK_KEY",
        "price": {"input_usd_per_mtok": "1", "output_usd_per_mtok": "0"},
        "retry_wait_s": 0,
        "max_retries": 0,
        "batch_size": 2,
    }
    config = RouterConfig.model_validate(
        {"ledger": {"url": f"sqlite:///{db}"}, "embeddings": [row], "budgets": []}
    )
    return create_embeddings(config, environ=KEYS)


def index_of(folder: Path, embeddings: Embeddings, **more: Any) -> DocumentIndex:
    return create_index(folder.parent / "index.db", embeddings=embeddings, **more)


def test_each_text_is_paid_for_once(server: LoopbackServer, folder: Path, tmp_path: Path) -> None:
    index = index_of(folder, routed(server, tmp_path / "l.db"))
    index.update([folder])
    first = index.embed({"run_id": "one"})
    assert (first.embedded, first.left, first.reason) == (6, 0, None)
    assert len(first.attempts) == 3
    write(folder, "f0.md", "# File 0\n\nNow it speaks of zebras.")
    write(folder, "copy.md", "# File 1\n\nWord1 of a penguin.")
    os.utime(folder / "f0.md", (OLD + 9, OLD + 9))
    index.update()
    # The copy has the text of another file, and the rest was embedded before.
    assert index.embed().embedded == 1
    assert index.embed().attempts == ()
    ledger = rows(tmp_path / "l.db")
    assert {row["task"] for row in ledger} == {"embed"}
    assert sum(row["run_id"] == "one" for row in ledger) == 3


def test_what_is_removed_takes_its_vector_with_it(
    server: LoopbackServer, folder: Path, tmp_path: Path
) -> None:
    index = index_of(folder, routed(server, tmp_path / "l.db"))
    index.update([folder])
    index.embed()
    (folder / "f0.md").unlink()
    assert index.update().status.spaces == {"text-embedding-3-small/1024": 5}


def test_a_failure_keeps_what_was_embedded_and_the_next_run_goes_on(
    server: LoopbackServer, folder: Path, tmp_path: Path
) -> None:
    embeddings = routed(server, tmp_path / "l.db").with_options(concurrency=1)
    index = index_of(folder, embeddings)
    index.update([folder])
    poor = index.embed({"max_cost_usd": "0.00018"})
    assert 0 < poor.embedded < 6
    assert poor.left == 6 - poor.embedded
    assert poor.reason is not None
    # Found by its words all the same, and by its vector where it has one.
    assert len(index.retriever().invoke("penguin")) == 6
    rest = index.embed()
    assert (rest.embedded, rest.left) == (poor.left, 0)


def test_private_passages_are_shown_to_no_cloud_and_still_found(
    server: LoopbackServer, folder: Path, tmp_path: Path
) -> None:
    write(folder, "hr/.aegis-sensitivity", "pii")
    write(folder, "hr/pay.md", "# Pay\n\nThe penguin earns 40 dollars.")
    index = index_of(folder, routed(server, tmp_path / "l.db", location="cloud"))
    index.update([folder])
    report = index.embed()
    assert (report.embedded, report.left) == (6, 1)
    assert report.reason is not None
    assert "pii" in report.reason
    assert "earns" not in str([call.body for call in server.journal])
    found = index.retriever(limit=7).find("What does the penguin earn?")
    assert "hr/pay.md" in [one.metadata["source"] for one in found["documents"]]


class Counted(Embeddings):
    """Embeddings that are not routed, of words in the text, and count what they are shown."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.seen += texts
        return [self._vector(text) for text in texts]

    @override
    def embed_query(self, text: str) -> list[float]:
        self.seen.append(text)
        return self._vector(text)

    def _vector(self, text: str) -> list[float]:
        numbers = np.random.default_rng(sum(text.encode())).normal(size=16)
        vector: list[float] = numbers.tolist()
        return vector


def test_embeddings_that_may_be_in_a_cloud_see_nothing_private(folder: Path) -> None:
    embeddings = Counted()
    index = index_of(folder, embeddings, sensitivity="hipaa")
    index.update([folder])
    report = index.embed()
    assert (report.embedded, report.left, embeddings.seen) == (0, 6, [])
    assert report.reason == "hipaa is not embedded in a cloud"
    found = index.retriever().find("penguin", {"sensitivity": "pii"})
    assert found["degraded_reason"] == "searched by words alone: pii is not embedded in a cloud"
    assert embeddings.seen == []


def test_a_question_is_not_embedded_where_there_is_nothing_to_compare_it_with(
    folder: Path,
) -> None:
    embeddings = Counted()
    index = index_of(folder, embeddings)
    index.update([folder])
    reason = index.retriever().find("penguin")["degraded_reason"]
    assert reason is not None
    assert reason.startswith("searched by words alone: the index has no vectors of ")
    assert embeddings.seen == []


async def test_async_and_sync_searches_by_meaning_find_the_same(
    server: LoopbackServer, folder: Path, tmp_path: Path
) -> None:
    index = index_of(folder, routed(server, tmp_path / "l.db"))
    index.update([folder])
    index.embed()
    retriever = index.retriever(limit=3)
    here = await retriever.afind("word3 penguin", {"run_id": "asked"})
    there = retriever.find("word3 penguin")
    assert here["documents"] == there["documents"]
    assert len(here["attempts"]) == 1
    assert here["degraded_reason"] is None


def test_the_nearest_vectors_are_those_that_numpy_finds(folder: Path) -> None:
    embeddings = Counted()
    index = index_of(folder, embeddings, embeddings_location="local")
    index.update([folder])
    index.embed()
    question = "no word that any of them has"
    asked = np.asarray(embeddings.embed_query(question))
    texts = {
        text.split()[2]: np.asarray(embeddings.embed_query(text)) for text in embeddings.seen[:6]
    }
    scores = {
        name: float(vector @ asked / np.linalg.norm(vector)) for name, vector in texts.items()
    }
    best = sorted((name for name in scores if scores[name] > 0), key=lambda name: -scores[name])
    found = index.retriever(limit=6).invoke(question)
    assert [one.metadata["source"].removesuffix(".md")[1:] for one in found] == best
