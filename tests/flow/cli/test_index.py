"""``aegis index`` and ``aegis ask --index``, run as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aegis_graph import create_index
from aegis_graph.testing import LoopbackServer
from tests.flow.cli.command import aegis

CONFIG = """
[ledger]
url = "sqlite:///{folder}/costs.db"

[[providers]]
name = "extractive"
kind = "extractive"
model = "best-sentences"
location = "local"

[[embeddings]]
name = "ollama"
kind = "ollama"
model = "bge-m3"
base_url = "{ollama}"
location = "local"
dimensions = 64
batch_size = 1
price = {{ input_usd_per_mtok = "1000", output_usd_per_mtok = "0" }}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "room.md").write_text("# Room\n\nThe limit of the reading room is 40 dollars.")
    (docs / "cats.md").write_text("# Cats\n\nThe library's cat is called Minka.")
    (docs / "broken.pdf").write_text("%PDF-1.7")
    return tmp_path


def test_documents_are_indexed_once_and_asked_often(folder: Path, server: LoopbackServer) -> None:
    (folder / "aegis.toml").write_text(CONFIG.format(folder=folder, ollama=server.ollama_url))
    place = ("--index-dir", ".", "--config", "aegis.toml")
    first = aegis("index", "docs", "--name", "mine", *place, cwd=folder)
    assert first.returncode == 0, first.stderr
    assert "mine.db: 2 documents, 2 passages" in first.stdout
    assert "3 added, 0 changed, 0 removed, 0 unchanged" in first.stdout
    assert "broken.pdf: not a readable PDF" in first.stderr
    again = aegis("index", "--name", "mine", "--json", *place, cwd=folder)
    assert json.loads(again.stdout)["unchanged"] == 3
    asked = aegis("ask", "What is the cat called?", "--index", "mine", *place, cwd=folder)
    assert "Minka" in asked.stdout
    assert "[1] cats.md" in asked.stdout


def test_what_is_removed_is_said_with_counts(folder: Path) -> None:
    (folder / "aegis.toml").write_text(CONFIG.format(folder=folder, ollama="http://127.0.0.1:9"))
    common = ("--name", "i.db", "--config", "aegis.toml")
    assert aegis("index", "docs", *common, cwd=folder).returncode == 0
    done = aegis("index", "docs/cats.md", "--remove", *common, cwd=folder)
    assert done.stdout == (
        "Index    i.db: 1 document, 1 passage\nRemoved  1 document, 1 passage, 0 vectors\n"
    )
    again = aegis("index", "docs/cats.md", "--remove", *common, cwd=folder)
    assert (again.returncode, again.stdout) == (2, "")
    [line] = again.stderr.splitlines()
    assert line.endswith(f"docs/cats.md: is not in the index, which is of {folder / 'docs'}")
    left = aegis("index", "--json", *common, cwd=folder)
    assert json.loads(left.stdout)["status"]["documents"] == 1
    gone = aegis("index", "docs", "--remove", "--json", *common, cwd=folder)
    assert json.loads(gone.stdout)["documents"] == 1
    bare = aegis("index", "--remove", *common, cwd=folder)
    assert (bare.returncode, bare.stderr) == (
        2,
        "aegis: --remove: name what to take out, and nothing else to do\n",
    )


def test_when_money_ends_the_rest_is_left_said_and_embedded_by_the_next_run(
    folder: Path, server: LoopbackServer
) -> None:
    (folder / "aegis.toml").write_text(CONFIG.format(folder=folder, ollama=server.ollama_url))
    command = ("index", "docs", "--name", "i.db", "--embed", "--config", "aegis.toml", "--json")
    poor = aegis(*command, "--max-cost-usd", "0.00001", cwd=folder)
    assert poor.returncode == 3, poor.stderr
    vectors = json.loads(poor.stdout)["vectors"]
    assert (vectors["embedded"], vectors["left"]) == (0, 2)
    assert vectors["reason"]
    rich = aegis(*command, cwd=folder)
    assert rich.returncode == 0, rich.stderr
    vectors = json.loads(rich.stdout)["vectors"]
    assert (vectors["embedded"], vectors["left"], vectors["reason"]) == (2, 0, None)
    asked = ("ask", "Minka", "--index", "i.db", "--no-plan", "--config", "aegis.toml", "--json")
    costs = json.loads(aegis(*asked, cwd=folder).stdout)["costs"]
    assert [one["task"] for one in costs][:1] == ["embed"]


def test_patterns_of_the_configuration_say_how_private_documents_are(
    folder: Path, server: LoopbackServer
) -> None:
    text = CONFIG.format(folder=folder, ollama=server.ollama_url)
    (folder / "aegis.toml").write_text(
        f'{text}\n[index]\nsensitivity = {{ "*/cats.md" = "pii" }}\n'
    )
    done = aegis("index", "docs", "--name", "i.db", "--config", "aegis.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = create_index(folder / "i.db").retriever().invoke("cat room limit")
    levels = {one.metadata["source"]: one.metadata.get("sensitivity") for one in found}
    assert levels == {"cats.md": "pii", "room.md": None}


def test_an_index_that_is_not_there_is_one_clear_line(folder: Path) -> None:
    done = aegis("ask", "x", "--index", "none", "--index-dir", ".", cwd=folder)
    assert done.returncode == 3
    assert (
        done.stderr
        == "aegis: none.db: there is no index, or no longer; make it with: aegis index PATH\n"
    )


def test_documents_and_an_index_at_once_are_refused(folder: Path) -> None:
    done = aegis("ask", "x", "--index", "none", "--docs", "docs", cwd=folder)
    assert (done.returncode, done.stderr) == (
        2,
        "aegis: ask: name either --docs PATH or --index NAME\n",
    )
