"""LightRAG with models that cannot do what it asks: it is said, and asked of a better one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lightrag import QueryParam  # type: ignore[import-untyped]

from aegis_graph import create_lightrag_insert, create_lightrag_query
from aegis_graph.components.lightrag.query import MODES
from aegis_graph.testing import LoopbackServer, Received, Reply
from tests.flow.components.lightrag_support import (
    DOCUMENTS,
    PRICE,
    QUESTION,
    SETTINGS,
    graph_of,
    lightrag_config,
    model,
    open_rag,
    operation,
    play,
)
from tests.flow.support import provider

REFUSAL = "I am sorry, but I cannot help with that."
CURIE = {"curie.txt": DOCUMENTS["curie.txt"]}


def but(server: LoopbackServer, **answers: Reply | str) -> None:
    """Have some operations answered by these, and the others by the model."""

    def moody(call: Received) -> Reply:
        given = answers.get(operation(call))
        return Reply(given) if isinstance(given, str) else given or model(call)

    server.always("ollama", moody)


@pytest.mark.parametrize(
    "keywords",
    [
        "The question is about radium, I would say.",
        '{"high_level_keywords": [], "low_level_keywords": []}',
        '{"high_level_keywords": null, "low_level_keywords": 7}',
        '["radium", "Curie"]',
        "[" * 20_000,
    ],
)
@pytest.mark.parametrize("question", [QUESTION, "Who found radium?"])
def test_keywords_that_cannot_be_read_make_it_a_naive_search_that_says_so(
    server: LoopbackServer, db: Path, tmp_path: Path, keywords: str, question: str
) -> None:
    but(server, keywords=keywords)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.add(DOCUMENTS)
        before = len(server.calls())
        for mode in MODES:
            found = rag.retrieve(question, mode)
            assert (found.mode, bool(found.chunks)) == ("naive", True), mode
            assert bool(found.degraded_reason) == (mode != "naive")
        asked = [operation(call) for call in server.calls()[before:]]
        assert (asked.count("keywords"), asked.count("embed")) == (4, 5)
        result = create_lightrag_query(rag).invoke({"question": question})
        assert result["answer"].startswith("Answer to:")
        assert result["degraded"]
        assert "searched without keywords" in str(result["degraded_reason"])


def test_an_answer_without_keywords_is_paid_once(
    server: LoopbackServer, db: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    but(server, keywords="About radium.")
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.add(DOCUMENTS)
        before = len(server.calls())
        asked = QueryParam(mode="mix", enable_rerank=False)
        assert rag.query("Who found radium?", asked).startswith("Answer to:")
    assert [operation(call) for call in server.calls()[before:]] == ["keywords", "embed", "answer"]
    assert "searched without keywords" in caplog.text


def test_keywords_without_themes_leave_the_mode_global_to_a_naive_search(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    but(server, keywords='```json\n{"low_level_keywords": "Radium"}\n```')
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        rag.add(DOCUMENTS)
        assert rag.retrieve(QUESTION, "global").mode == "naive"
        found = rag.retrieve(QUESTION, "local")
        assert (found.mode, found.degraded_reason) == ("local", None)
        assert found.entities


async def test_a_better_model_is_asked_for_what_another_could_not_extract(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    but(server, extract=REFUSAL, glean=REFUSAL)
    async with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        poor = await rag.aadd(CURIE)
        await rag.adelete("curie.txt")
        before = len(server.calls())
        # The same model would say the same.
        again = await rag.aadd(CURIE)
        assert operation(server.calls()[-1]) == "embed" or len(server.calls()) == before
        await rag.adelete("curie.txt")
    play(server)
    better = [provider(server, "ollama", price=PRICE, temperature=0.5)]
    async with open_rag(lightrag_config(server, db, providers=better), tmp_path / "rag") as rag:
        good = await rag.aadd(CURIE)
        assert (await rag.aretrieve(QUESTION, "local")).entities
    assert (poor.state, good.state) == ("done", "done")
    assert "no entity was found in it" in poor.warnings["curie.txt"]
    assert set(again.by_operation) <= {"embed"}
    assert good.by_operation["extract"]["calls"] == 1
    assert not good.warnings
    assert graph_of(tmp_path / "rag")["nodes"]


def test_a_document_that_nothing_was_extracted_from_says_so_now_and_later(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    def moody(call: Received) -> Reply:
        refused = "Irene" in str(call.body) and operation(call) in {"extract", "glean"}
        return Reply(REFUSAL) if refused else model(call)

    server.always("ollama", moody)
    with open_rag(lightrag_config(server, db), tmp_path / "rag") as rag:
        report = rag.add(DOCUMENTS)
        assert report.state == "done"
        assert set(report.warnings) == {"institute.txt"}
        assert set(rag.add(DOCUMENTS).warnings) == {"institute.txt"}
        found = create_lightrag_insert(rag).invoke({"documents": DOCUMENTS})
        assert found["insert"]["warnings"] == dict(report.warnings)
        assert (found["degraded"], found["degraded_reason"][:13]) == (True, "institute.txt")


def test_a_piece_without_entities_and_an_answer_that_was_cut_are_said(
    server: LoopbackServer, db: Path, tmp_path: Path
) -> None:
    def moody(call: Received) -> Reply:
        prompt = call.body["messages"][-1]["content"]
        if operation(call) == "extract" and "Radium is a" in prompt:
            return Reply(REFUSAL)
        if operation(call) == "extract" and "founded" in prompt:
            return Reply(model(call).text, finish_reason="length")
        return model(call)

    server.always("ollama", moody)
    settings: Any = {"settings": SETTINGS.__class__(chunk_tokens=60, chunk_overlap_tokens=0)}
    whole = {"all.txt": "\n".join(DOCUMENTS.values()), "cut.txt": DOCUMENTS["institute.txt"]}
    with open_rag(lightrag_config(server, db), tmp_path / "rag", **settings) as rag:
        report = rag.add(whole)
    assert report.state == "done"
    assert "no entity was found in 1 of its 2 pieces" in report.warnings["all.txt"]
    assert "cut at the cap of output tokens" in report.warnings["cut.txt"]
    assert "output_tokens['extract']" in report.warnings["cut.txt"]
