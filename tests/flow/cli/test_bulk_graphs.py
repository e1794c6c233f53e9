"""The graphs that ``aegis bulk`` knows by a name, over what each of them takes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.cli.command import aegis
from tests.flow.cli.test_bulk import CONFIG
from tests.flow.components.extraction_support import EMPTY
from tests.flow.support import drawn

ANSWER = '{"description": "Ein Bild.", "text": "", "objects": ["cat"], "colours": ["grey"]}'


@pytest.fixture
def folder(tmp_path: Path, server: LoopbackServer) -> Path:
    (tmp_path / "aegis.toml").write_text(CONFIG.format(openai=server.openai_url))
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("Ada was born in London.")
    (docs / "b.md").write_text("The library's cat is called Minka.")
    return tmp_path


def run(folder: Path, graph: str, *arguments: str) -> Any:
    command = ("bulk", "run", "--graph", graph, "--results", "out", "--config", "aegis.toml")
    return aegis(*command, *arguments, cwd=folder)


def outputs(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / "out" / "results.jsonl").read_text().splitlines()
    return {row["key"]: row["output"] for row in map(json.loads, lines)}


def test_each_document_is_an_item_of_the_relation_extractor(
    folder: Path, server: LoopbackServer
) -> None:
    (folder / "docs" / "broken.pdf").write_text("%PDF-1.7")
    server.always("openai", Reply(EMPTY, output_tokens=10))
    given = ("--input", "docs", "--key", "source", "--tag", "team=search", "--user", "ada")
    done = run(folder, "relations", *given)
    assert done.returncode == 0, done.stderr
    assert "broken.pdf: not a readable PDF" in done.stderr
    assert outputs(folder).keys() == {"a.md", "b.md"}
    calls = len(server.calls())
    assert run(folder, "relations", *given).returncode == 0
    assert len(server.calls()) == calls
    [(tags, user)] = sqlite3.connect(folder / "costs.db").execute(
        "SELECT DISTINCT tags, user_id FROM requests"
    )
    assert (json.loads(tags), user) == ({"bulk": "out", "team": "search"}, "ada")


def test_each_image_is_an_item_of_the_image_describer(folder: Path, server: LoopbackServer) -> None:
    (folder / "pictures").mkdir()
    for name, side in (("one.png", 40), ("two.png", 50)):
        (folder / "pictures" / name).write_bytes(drawn(side, side))
    server.always("openai", Reply(ANSWER, output_tokens=10))
    given = ("--input", "pictures", "--key", "source", "--field", "language=de")
    done = run(folder, "describe", *given)
    assert done.returncode == 0, done.stderr
    described = {key.partition("@")[0]: output for key, output in outputs(folder).items()}
    assert described.keys() == {"one.png", "two.png"}
    assert described["two.png"]["results"][0]["description"] == "Ein Bild."
    assert len(server.calls()) == 2
    (folder / "pictures" / "two.png").write_bytes(drawn(60, 60))
    changed = run(folder, "describe", *given)
    assert changed.returncode == 3
    assert changed.stderr.startswith("aegis: two.png: ")


def test_each_row_is_a_question_over_the_same_documents(
    folder: Path, server: LoopbackServer
) -> None:
    questions = ["What is the cat called?", "Where was Ada born?"]
    (folder / "q.csv").write_text(
        "n,question\n" + "".join(f"{n},{q}\n" for n, q in enumerate(questions))
    )
    server.always("openai", Reply("Minka [1].", output_tokens=10))
    done = run(folder, "ask", "--docs", "docs", "--input", "q.csv", "--key", "n")
    assert done.returncode == 0, done.stderr
    assert outputs(folder)["0"]["answer"].startswith("Minka")
    wrong = run(folder, "ask", "--docs", "docs", "--input", "docs")
    assert wrong.returncode == 2
    assert "docs: the graph takes no documents; name a file of rows" in wrong.stderr


def test_what_a_graph_needs_is_said_in_a_line(folder: Path) -> None:
    (folder / "q.jsonl").write_text('{"question": "?"}')
    for graph, arguments, why in (
        ("ask", (), "--graph ask: name either --docs PATH or --index NAME"),
        (
            "app:graph",
            ("--sensitivity", "pii"),
            "sensitivity: bind it to the router of app:graph, by router.with_options",
        ),
        ("relations", ("--field", "kind=text"), "kind: the graph takes documents, "),
    ):
        done = run(folder, graph, "--input", "q.jsonl", *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith(f"aegis: {why}")
