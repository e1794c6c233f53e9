"""Documents whose readers are not installed: the others answer, and the install lines are said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.cli.command import aegis
from tests.programs import ROOT
from tests.unit.components.document_samples import SAMPLES

ABSENT = ("docx", "docutils", "markitdown", "openpyxl", "pptx", "rapidocr", "striprtf")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which no extra can be imported."""
    (tmp_path / "absent").mkdir()
    for name in ABSENT:
        (tmp_path / "absent" / f"{name}.py").write_text(
            f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n"
        )
    return {"PYTHONPATH": f"{tmp_path / 'absent'}:{ROOT}"}


def test_what_an_extra_would_read_is_named_with_its_install_line(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("policy.docx", "deck.pptx", "staff.xlsx", "guide.rst", "letter.pdf"):
        (folder / name).write_bytes(SAMPLES[name]())
    (folder / "feed.rss").write_text("<rss/>")
    done = aegis("ask", "Where is the office?", "--docs", "docs", cwd=tmp_path, environ=environ)
    assert "The office is in Berlin." in done.stdout
    assert done.stderr.splitlines() == [
        "5 files were not read:",
        "  deck.pptx: needs pip install 'aegis-graph[documents]'",
        "  feed.rss: needs pip install 'aegis-graph[markitdown]'",
        "  guide.rst: needs pip install 'aegis-graph[documents]'",
        "  policy.docx: needs pip install 'aegis-graph[documents]'",
        "  staff.xlsx: needs pip install 'aegis-graph[documents]'",
    ]
