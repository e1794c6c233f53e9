"""The first program of every page runs, without a key, a model or a network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aegis_graph.components import rag
from aegis_graph.components.answer_generator import graph as answer_generator
from aegis_graph.components.query_decomposer import graph as query_decomposer
from aegis_graph.components.relation_extractor import state as relation_state
from tests import programs

ROOT = Path(__file__).parents[3]
PAGES = {
    "answer_generator": answer_generator,
    "query_decomposer": query_decomposer,
    "rag": rag,
    "relation_extractor": relation_state,
}
OTHERS = ("embeddings", "index", "ledger", "lightrag", "privacy", "providers", "vision")
SILENT = {"relation_extractor", "embeddings"}
"""Their programs print nothing where there is no model."""


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_the_program_of_a_page_runs(page: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    program = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    # A closed port: whether this machine has an Ollama must not matter.
    environ = programs.bare(tmp_path, OLLAMA_BASE_URL="http://127.0.0.1:9")
    done = programs.run(program, cwd=tmp_path, environ=environ)
    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) != (page in SILENT)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_every_key_of_the_input_and_the_output(page: str) -> None:
    pages = [(ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")]
    if page == "rag":
        pages += [(ROOT / "docs" / f"{other}.md").read_text(encoding="utf-8") for other in PAGES]
    names = {"answer_generator": "Answer", "query_decomposer": "Decomposer", "rag": "Rag"}
    names["relation_extractor"] = "Relation"
    keys = {
        key
        for side in ("Input", "Output")
        for key in getattr(PAGES[page], f"{names[page]}{side}").__annotations__
    }
    named = set(re.findall(r"`(\w+)`", "".join(pages)))
    assert keys - named == set()


@pytest.mark.parametrize("page", [*PAGES, *OTHERS, "architecture"])
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([\w/]+\.md)\)", text):
        assert (ROOT / "docs" / target).is_file()
