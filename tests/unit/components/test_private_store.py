"""The file of a store of results: its owner's alone, its locks kept, its faults of one class."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from aegis_graph.components.lightrag.paid_answers import PaidAnswer, PaidAnswers
from aegis_graph.components.private_store import PrivateStore
from aegis_graph.errors import StoreError
from aegis_graph.ledger.private_file import make_private

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


TABLE = "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
ADD = "INSERT INTO facts VALUES (?, ?)"
ALL = "SELECT name, value FROM facts ORDER BY name"


def test_a_store_makes_its_file_when_it_is_first_used(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "facts.db"
    with closing(PrivateStore(path, TABLE)) as store:
        assert not path.exists()
        assert store.read(ALL) == []
        store.write(ADD, ("a", "1"), ("b", "2"))
    with closing(PrivateStore(path, TABLE)) as again:
        assert again.read(ALL) == [("a", "1"), ("b", "2")]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_of_the_rows_of_one_write_all_are_kept_or_none(tmp_path: Path) -> None:
    with closing(PrivateStore(tmp_path / "facts.db", TABLE)) as store:
        store.write(ADD, ("b", "2"))
        with pytest.raises(StoreError, match="UNIQUE"):
            store.write(ADD, ("a", "1"), ("b", "3"))
        assert store.read(ALL) == [("b", "2")]


def test_threads_share_a_store_in_memory() -> None:
    store = PrivateStore(None, TABLE)
    threads = [threading.Thread(target=store.write, args=(ADD, (str(n), "x"))) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.read(ALL)) == 16


def test_an_exclusive_store_is_refused_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "facts.db"
    with closing(PrivateStore(path, TABLE, exclusive=True)) as first:
        first.open()
        with pytest.raises(StoreError, match="locked"):
            PrivateStore(path, TABLE, exclusive=True).open()
    with closing(PrivateStore(path, TABLE, exclusive=True)) as second:
        second.write(ADD, ("a", "1"))


def test_what_cannot_be_used_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, where a folder is needed")
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database, but some bytes" * 40)
    for path in (tmp_path / "file" / "facts.db", broken):
        with pytest.raises(StoreError, match=f"{path}: cannot be used as a store of results"):
            PrivateStore(path, TABLE).read(ALL)
    closed = PrivateStore(tmp_path / "facts.db", TABLE)
    closed.open()
    closed.close()
    with pytest.raises(StoreError, match="closed"):
        closed.read(ALL)
