"""The files of the stores of answers: their owner's alone, and their locks kept."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from aegis_graph.components.lightrag.paid_answers import PaidAnswer, PaidAnswers
from aegis_graph.components.private_store import make_private

ASK_FOR_THE_LOCK = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_a_new_file_is_the_owners_alone_and_one_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "answers.db"
    make_private(path)
    assert path.stat().st_mode & 0o777 == 0o600

    path.write_text("kept")
    make_private(path)

    assert path.read_text() == "kept"
    assert list(path.parent.iterdir()) == [path]


def test_making_it_again_drops_no_lock_that_sqlite_holds_on_it(tmp_path: Path) -> None:
    path = tmp_path / "answers.db"
    make_private(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        make_private(path)
        command = [sys.executable, "-c", ASK_FOR_THE_LOCK, str(path)]
        asked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert asked.stdout == "database is locked\n"


def test_what_lightrag_was_answered_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "workspace.answers.db"
    with closing(PaidAnswers(path)) as answers:
        answers.keep_answer("k", "extract", PaidAnswer("a piece of a document"))
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {path.name: 0o600, f"{path.name}-wal": 0o600}
