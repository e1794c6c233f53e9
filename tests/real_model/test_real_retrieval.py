"""LightRAG and ``aegis ask`` on a real model and real embeddings; see ``test_real_model``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aegis_graph import create_embeddings
from aegis_graph.components.lightrag.rag import RoutedLightRAG
from aegis_graph.components.lightrag.settings import LightRAGSettings
from tests.flow.cli.command import aegis
from tests.flow.support import rows
from tests.real_model.servers import RealModels

DOCUMENT = "Mirel Tanaquist works for Orbeck Shipping in Lower Fennick. She founded the yard."


def test_vectors_have_the_length_that_the_row_says(
    real: RealModels, vectors: dict[str, Any]
) -> None:
    embeddings = create_embeddings(real.config(embeddings=[vectors]))
    assert [len(one) for one in embeddings.embed_documents(["A boat.", "Ein Boot."])] == [384, 384]
    assert rows(real.ledger)[0]["input_tokens"] > 0


def test_lightrag_takes_a_document_in_and_answers_from_it(
    real: RealModels, vectors: dict[str, Any], tmp_path: Path
) -> None:
    config = real.config(real.row(max_output_tokens=300), embeddings=[vectors])
    caps: Any = {"extract": 300, "summary": 100, "answer": 100, "keywords": 100}
    settings = LightRAGSettings(gleaning=0, output_tokens=caps)
    with RoutedLightRAG(
        config, working_dir=tmp_path / "rag", workspace=tmp_path.name[-40:], settings=settings
    ) as rag:
        report = rag.add({"yard.txt": DOCUMENT})
        assert (report.state, report.documents) == ("done", {"yard.txt": "processed"})
        answer = rag.query("Where does Mirel Tanaquist work?")
    assert isinstance(answer, str)
    assert answer
    booked = rows(real.ledger)
    assert {"extract", "embed"} <= {row["task"] for row in booked}
    assert {row["status"] for row in booked} == {"answered"}


def test_ask_cites_what_is_there(real: RealModels, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "yard.md").write_text(f"# The yard\n\n{DOCUMENT}\n", encoding="utf-8")
    (tmp_path / "aegis.toml").write_text(
        f"""
[ledger]
url = "sqlite:///{real.ledger}"

[[providers]]
name = "real"
kind = "openai"
model = "{real.model}"
base_url = "{real.url}"
location = "local"
price = "free"
max_output_tokens = 64
""",
        encoding="utf-8",
    )
    asked = ("ask", "Where does Mirel Tanaquist work?", "--docs", "docs")
    done = aegis(*asked, "--config", "aegis.toml", "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    # A tiny model may give a number and no word: that is no answer, and the documents are quoted.
    assert (done.returncode, result["degraded"]) in {(0, False), (0, True), (4, True)}, done.stderr
    for citation in result["citations"]:
        assert citation["source"].startswith("yard.md")
        assert citation["quote"] in DOCUMENT
    (row,) = rows(real.ledger)
    assert row["status"] == ("answered" if done.returncode == 0 else "failed")
    assert row["input_tokens"] > 0
