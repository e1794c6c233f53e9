"""Files that lead elsewhere, answers that stay private, and pictures that unpack to too much."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from aegis_graph import read_passages
from aegis_graph.components.relation_extractor.store import AnswerStore, StoredAnswer
from aegis_graph.types import LOCAL_ONLY


def test_a_link_out_of_the_folder_is_not_followed_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "secret.md").write_text("The password is swordfish.")
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "own.md").write_text("Ada was born in Ulm.")
    (folder / "same.md").symlink_to(folder / "own.md")
    for name in ("a.md", "b.md"):
        (folder / name).symlink_to(tmp_path / "secret.md")
    with caplog.at_level(logging.WARNING, "aegis_graph"):
        passages = read_passages([folder])
    assert [passage.text for passage in passages] == ["Ada was born in Ulm."]
    (line,) = [record.message for record in caplog.records]
    assert "2 links lead out of the folder" in line
    # Named by the caller itself, it is read.
    assert read_passages([folder / "a.md"])[0].text == "The password is swordfish."


@pytest.mark.parametrize("level", sorted(LOCAL_ONLY))
def test_a_file_of_answers_keeps_none_of_a_private_level(tmp_path: Path, level: str) -> None:
    path = tmp_path / "answers.db"
    store = AnswerStore(path)
    store.keep("private", StoredAnswer("078-05-1120"), task="extract", sensitivity=level)
    store.keep("open", StoredAnswer("Ulm"), task="extract", sensitivity="internal")
    assert store.find("private") is None
    assert store.find("open") == StoredAnswer("Ulm")
    assert b"078-05-1120" not in path.read_bytes()


SHRINK = """
import resource, sys
from pathlib import Path
from aegis_graph import image_part
import PIL.Image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
image_part(Path(sys.argv[1]), shrink=True)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_picture_that_unpacks_to_much_is_made_small_first(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("RGB", (9400, 9400), "red").save(path)
    command = [sys.executable, "-c", SHRINK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # Megabytes: 265 for the picture itself, and some for what it is made into; it was 2,200.
    assert int(done.stdout) < 700
