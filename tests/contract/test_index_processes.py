"""Several processes and one index: kill -9 at many moments, and two that index at once."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from aegis_graph.clock import utc_now
from aegis_graph.components.index.database import IndexFile
from aegis_graph.components.index.index import DocumentIndex, create_index
from aegis_graph.components.index.marks import SensitivityMarks
from aegis_graph.components.index.update import IndexUpdate
from tests.contract.processes import ended, heard, start

ALL = os.environ.get("AEGIS_TEST_KILLS") == "all"
KILLS = 60 if ALL else 12
FILES = 30
STEPS = 1_500
"""Statements of an update of all files, about."""


def fill(folder: Path, version: int) -> None:
    """Documents of which each passage says which version of its file it is of."""
    folder.mkdir(exist_ok=True)
    for number in range(FILES):
        parts = [f"## Part {part}\n\nword{number} v{version}. " * 30 for part in range(3)]
        (folder / f"f{number}.md").write_text(f"# File {number}\n\n" + "\n\n".join(parts))


def index_step_by_step(path: Path, folder: Path, pipe: Connection) -> None:
    """Index one version after the other, and wait at each statement to be told to go on."""

    def step(statement: str) -> None:
        pipe.send(statement)
        pipe.recv()

    file = IndexFile(path)
    version = 0
    while True:
        version += 1
        fill(folder, version)
        with file.writing() as connection:
            connection.set_trace_callback(step)
            marks = SensitivityMarks()
            IndexUpdate(file, connection, marks=marks, clock=utc_now).run([folder])


def index_once(path: Path, folder: Path, pipe: Connection) -> None:
    pipe.send("ready")
    pipe.recv()
    report = create_index(path).update([folder])
    pipe.send((report.added, report.changed, report.unchanged))


def assert_sound(index: DocumentIndex) -> None:
    """Each document is whole, of one version, and is found by its words."""
    with closing(sqlite3.connect(index.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        rows = connection.execute(
            "SELECT p.document, w.text FROM passages AS p"
            " LEFT JOIN words AS w ON w.rowid = p.id ORDER BY p.document, p.place"
        ).fetchall()
        words = connection.execute("SELECT count(*) FROM words").fetchone()[0]
    assert words == len(rows)
    versions: dict[int, set[str]] = {}
    counts: dict[int, int] = {}
    for document, text in rows:
        said = {word.rstrip(".") for word in text.split() if word.startswith("v")}
        versions.setdefault(document, set()).update(said)
        counts[document] = counts.get(document, 0) + 1
    assert all(len(said) == 1 for said in versions.values())
    assert len(set(counts.values())) <= 1


def test_killed_at_any_moment_each_document_is_as_before_or_as_after(tmp_path: Path) -> None:
    path, folder = tmp_path / "index.db", tmp_path / "docs"
    fill(folder, 0)
    index = create_index(path)
    index.update([folder])
    moments = random.Random(7)
    stopped: list[str] = []
    for _ in range(KILLS):
        process, pipe = start(index_step_by_step, path, folder)
        for _ in range(moments.randrange(1, STEPS)):
            heard(pipe)
            pipe.send("go")
        stopped.append(heard(pipe))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        ended(process)
        assert_sound(index)
    # Also in the middle of a document, and not only between two.
    assert any("passages" in statement or "words" in statement for statement in stopped)
    fill(folder, 1_000)
    report = index.update()
    assert report.status.documents == FILES
    assert_sound(index)
    assert "v1000" in index.retriever(limit=1).invoke("word7")[0].page_content


def test_two_processes_that_index_at_once_both_end_and_the_index_is_whole(tmp_path: Path) -> None:
    path, folder = tmp_path / "index.db", tmp_path / "docs"
    fill(folder, 1)
    workers = [start(index_once, path, folder) for _ in range(2)]
    for _, pipe in workers:
        assert heard(pipe) == "ready"
    for _, pipe in workers:
        pipe.send("go")
    reports = [heard(pipe) for _, pipe in workers]
    assert [ended(process) for process, _ in workers] == [0, 0]
    assert all(sum(report) == FILES for report in reports)
    index = create_index(path)
    assert_sound(index)
    assert index.status().documents == FILES


def test_a_reader_sees_the_index_while_another_process_writes_it(tmp_path: Path) -> None:
    path, folder = tmp_path / "index.db", tmp_path / "docs"
    fill(folder, 0)
    index = create_index(path)
    index.update([folder])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM passages")
        assert len(index.retriever(limit=1).invoke("word7")) == 1
        writer.execute("ROLLBACK")
