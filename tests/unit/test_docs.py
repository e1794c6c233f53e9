"""The pages of the documentation have one form, and what they say of the code is there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests import programs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.stem != "architecture")

ORDER = ["What it takes", "What it gives", "What it costs", "How it degrades"]
MAX_PARAGRAPH = 350
"""Characters of a paragraph of the README."""

SNIPPETS = [
    pytest.param(page, snippet, id=f"{page}-{number}")
    for page in PAGES
    for number, snippet in enumerate(
        re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.M | re.S)
    )
]
SHOWN = {
    "answer_generator.md": "a.md The limit is 10 USD a month.",
    "query_decomposer.md": "What is the limit of OpenAI, and when do weeks begin? None 1",
    "rag.md": "[('routing.md', 'A cooldown lasts 30 seconds.')]",
    "vision.md": "receipt.png ocr Total 10.50",
}
"""What a page's snippet prints where there is no model and no key."""

INSTALLED = {
    "from langchain.": "pip install 'aegis-graph[langchain]'",
    "RoutedLightRAG": "pip install 'aegis-graph[lightrag]'",
    "load_vision": "pip install 'aegis-graph[ocr]'",
    "_suite import": "pip install pytest",
}
"""What a snippet needs that the wheel does not bring, and the line that brings it."""


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_the_same_order(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    before, _, _ = text.partition("\n## ")
    title, purpose, program = before.split("\n\n")[:3]
    assert title.startswith("# ")
    assert re.match(r"`|[A-Z]", purpose)
    assert program.startswith("```python\n")
    assert [name for name in re.findall(r"^## (.*)$", text, re.M) if name in ORDER] == ORDER


@pytest.mark.parametrize(("page", "snippet"), SNIPPETS)
def test_every_snippet_runs_in_an_empty_folder(page: str, snippet: str, tmp_path: Path) -> None:
    # A closed port: whether this machine has an Ollama must not matter.
    alone = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "OLLAMA_BASE_URL": "http://127.0.0.1:9",
    }
    done = programs.run_text(snippet, cwd=tmp_path, environ=alone)
    assert (done.returncode, done.stderr) == (0, "")
    assert SHOWN.get(page, "") in done.stdout


@pytest.mark.parametrize(("page", "snippet"), SNIPPETS)
def test_a_page_says_what_its_snippets_need_besides_the_wheel(page: str, snippet: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    needed = [line for name, line in INSTALLED.items() if name in snippet]
    assert [line for line in needed if line not in text] == []


def test_no_paragraph_of_the_readme_is_long() -> None:
    prose = re.sub(r"^```.*?^```", "", README, flags=re.M | re.S)
    paragraphs = [
        line
        for paragraph in re.split(r"\n\n+", prose)
        for line in (paragraph.split("\n") if paragraph.startswith(("* ", "|")) else [paragraph])
    ]
    assert [text for text in paragraphs if len(text) > MAX_PARAGRAPH] == []


def test_the_architecture_fits_on_one_screen_and_names_what_is_there() -> None:
    assert ARCHITECTURE.count("\n") < 55
    rooms = re.findall(r"^\| (`[^|]+`) \|", ARCHITECTURE, re.M)
    named = [name for row in rooms for name in re.findall(r"`([\w./]+)`", row)]
    places = [ROOT / name if name == "graphs/" else ROOT / "aegis_graph" / name for name in named]
    assert [str(place) for place in places if not place.exists()] == []
    package = ROOT / "aegis_graph"
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert folders <= {name.rstrip("/") for name in named}


def test_every_file_that_the_architecture_names_exists() -> None:
    files = set(re.findall(r"`((?:[\w]+/)+[\w]+\.py|tests/[\w/]+\.py)`", ARCHITECTURE))
    _, way = ARCHITECTURE.split("## One request's way")
    routing = {path.name for path in (ROOT / "aegis_graph" / "routing").rglob("*.py")}
    assert set(re.findall(r"`(\w+\.py)`", way)) - {"graph.py"} <= routing
    for name in files | set(re.findall(r"`(routing/\w+)/`", way)):
        home = ROOT if name.startswith(("tests/", "aegis_graph/")) else ROOT / "aegis_graph"
        assert (home / name).exists(), name
