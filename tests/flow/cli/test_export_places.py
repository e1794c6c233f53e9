"""Where ``aegis ledger export`` writes, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from tests.flow.cli.command import aegis

CONFIG = """
[ledger]
url = "sqlite:///costs.db"

[[providers]]
name = "quotes"
kind = "extractive"
model = "best-sentences"
location = "local"
"""
HEADER = "id,timestamp,"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a ledger that has one row."""
    place = tmp_path_factory.mktemp("made")
    (place / "aegis.toml").write_text(CONFIG)
    (place / "a.md").write_text("A cooldown lasts 30 seconds.")
    asked = "How long does a cooldown last?"
    done = aegis("ask", asked, "--docs", "a.md", "--config", "aegis.toml", cwd=place)
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The same folder, to be changed."""
    return shutil.copytree(made, tmp_path / "here")


def export(folder: Path, output: str, status: int) -> str:
    done = aegis("ledger", "export", "--config", "aegis.toml", "--output", output, cwd=folder)
    assert done.returncode == status, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "name",
    ["costs.db", "./costs.db", "link.db", "costs.db.key", "costs.db-wal", "aegis.toml"],
)
def test_the_ledger_and_what_belongs_to_it_are_not_written_over(folder: Path, name: str) -> None:
    (folder / "link.db").symlink_to("costs.db")
    kept = [folder / one for one in ("costs.db", "costs.db.key", "aegis.toml")]
    before = [path.read_bytes() for path in kept]

    said = export(folder, name, status=2)

    assert said == f"aegis: --output {Path(name)}: is the ledger's own, or its configuration\n"
    assert [path.read_bytes() for path in kept] == before


@pytest.mark.parametrize("name", [".", "", "/", "a.md/x.csv", "x" * 300, "nowhere/x.csv"])
def test_a_place_that_cannot_be_written_is_one_line(folder: Path, name: str) -> None:
    said = export(folder, name, status=2)
    assert said.startswith(f"aegis: --output {Path(name)}: ")
    assert said.count("\n") == 1


def test_a_device_is_written_to_and_not_replaced(folder: Path) -> None:
    (folder / "full").symlink_to("/dev/full")
    (folder / "null").symlink_to("/dev/null")

    assert "No space left" in export(folder, "full", status=2)
    export(folder, "null", status=0)

    assert (folder / "full").is_symlink()
    assert (folder / "null").is_symlink()


def test_a_pipe_gets_the_rows(folder: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()), daemon=True)
    reader.start()

    export(folder, "pipe", status=0)
    reader.join(timeout=60)

    assert heard
    assert heard[0].startswith(HEADER)
    assert pipe.is_fifo()


def test_what_a_link_leads_to_is_written(folder: Path) -> None:
    (folder / "far").mkdir()
    (folder / "link.csv").symlink_to("far/rows.csv")

    export(folder, "link.csv", status=0)

    assert (folder / "link.csv").is_symlink()
    assert (folder / "far" / "rows.csv").read_text().startswith(HEADER)
    assert [path.name for path in (folder / "far").iterdir()] == ["rows.csv"]
