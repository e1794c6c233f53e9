"""An index that stays: what an update reads, what goes, what it is called and how private it is."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import create_index
from aegis_graph.components.documents.files import DocumentSet
from aegis_graph.components.documents.folders import DocumentFile
from aegis_graph.components.documents.readers.content import SourceDocument
from aegis_graph.components.index.index import DocumentIndex
from aegis_graph.errors import ConfigError, DocumentError, InvalidRequestError, StoreError

OLD = 1_700_000_000
"""A time long past: a file of it is not taken for one that is still being written."""


def write(path: Path, text: str, *, mtime: int = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (mtime, mtime))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    write(docs / "budgets.md", "# Budgets\n\nThe monthly limit is 40 dollars.")
    write(docs / "guides" / "holds.md", "# Holds\n\nA hold is settled when the answer comes.")
    write(docs / "notes.md", "# Notizen\n\nDas Monatsbudget der Bibliothek ist knapp.")
    return docs


@pytest.fixture
def index(tmp_path: Path) -> DocumentIndex:
    return create_index(tmp_path / "index.db")


def found(index: DocumentIndex, question: str, **choices: Any) -> list[str]:
    return [one.metadata["source"] for one in index.retriever(**choices).invoke(question)]


def test_a_document_is_found_by_forms_of_its_words_in_both_languages(
    index: DocumentIndex, folder: Path
) -> None:
    assert index.update([folder]).added == 3
    assert found(index, "What limits are there?")[0] == "budgets.md"
    assert found(index, "When are holds settled?")[0] == "guides/holds.md"
    assert found(index, "Wie hoch ist das Budget der Bibliotheken?")[0] == "notes.md"
    assert found(index, "the of and") == []


def test_each_part_of_a_question_is_looked_up(index: DocumentIndex, tmp_path: Path) -> None:
    limit = "The monthly limit of a budget is 40 dollars. It is a limit of dollars by budget."
    for number in range(8):
        write(tmp_path / "a" / f"{number}.md", f"{limit} It has the number {number}.")
    for number in range(40):
        write(
            tmp_path / "a" / f"other{number}.md", f"Penguin {number} begins to read for some weeks."
        )
    write(tmp_path / "a" / "weeks.md", "Weeks begin on Monday.")
    index.update([tmp_path / "a"])
    question = "What is the monthly limit of a budget in dollars, and when do weeks begin?"
    assert "weeks.md" in found(index, question, limit=3)
    result = asyncio.run(index.retriever(limit=3).ainvoke(question))
    assert "weeks.md" in [one.metadata["source"] for one in result]


def test_only_what_changed_is_read_again_and_what_is_gone_goes(
    index: DocumentIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.update([folder])
    write(folder / "budgets.md", "# Budgets\n\nThe weekly limit is 7 dollars.", mtime=OLD + 60)
    (folder / "notes.md").unlink()
    write(folder / "new.md", "# News\n\nA penguin joins the reading room.")
    read: list[str] = []
    whole = DocumentSet.read_one

    def spy(self: DocumentSet, file: DocumentFile) -> SourceDocument:
        read.append(file.path.name)
        return whole(self, file)

    monkeypatch.setattr(DocumentSet, "read_one", spy)
    report = index.update()
    assert (report.added, report.changed, report.removed, report.unchanged) == (1, 1, 1, 1)
    assert sorted(read) == ["budgets.md", "new.md"]
    assert found(index, "weekly limit") == ["budgets.md"]
    assert found(index, "monthly") == []
    assert found(index, "Bibliothek") == []
    assert found(index, "penguin") == ["new.md"]


def test_a_touched_file_is_not_read_again(
    index: DocumentIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.update([folder])
    os.utime(folder / "notes.md", (OLD + 60, OLD + 60))
    monkeypatch.delattr(DocumentSet, "read_one")
    assert index.update().unchanged == 3


def test_a_change_that_keeps_size_and_time_is_seen_when_the_file_was_new(
    index: DocumentIndex, folder: Path
) -> None:
    file = folder / "budgets.md"
    file.write_text("# Budgets\n\nThe monthly limit is 40 dollars.")
    index.update([folder])
    before = file.stat()
    file.write_text("# Budgets\n\nThe monthly limit is 70 dollars.")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert index.update().changed == 1
    [document] = index.retriever(limit=1).invoke("monthly limit")
    assert "70 dollars" in document.page_content


def test_a_file_that_changes_while_it_is_read_is_read_as_it_is_then(
    index: DocumentIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = DocumentSet.read_one
    changes = iter(["# Budgets\n\nThe limit is now 50 euros."])

    def meanwhile(self: DocumentSet, file: DocumentFile) -> SourceDocument:
        document = whole(self, file)
        if file.path.name == "budgets.md" and (text := next(changes, None)):
            write(file.path, text, mtime=OLD + 1)
        return document

    monkeypatch.setattr(DocumentSet, "read_one", meanwhile)
    assert index.update([folder]).skipped == ()
    assert "50 euros" in index.retriever(limit=1).invoke("limit")[0].page_content
    assert index.update().unchanged == 3


def test_a_file_that_never_rests_is_said_and_read_again_next_time(
    index: DocumentIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = DocumentSet.read_one
    count = iter(range(100))

    def meanwhile(self: DocumentSet, file: DocumentFile) -> SourceDocument:
        document = whole(self, file)
        if file.path.name == "budgets.md":
            write(file.path, f"The limit is {next(count)} euros.", mtime=OLD + next(count))
        return document

    monkeypatch.setattr(DocumentSet, "read_one", meanwhile)
    [skipped] = index.update([folder]).skipped
    assert (skipped.source, skipped.reason) == ("budgets.md", "partly")
    monkeypatch.undo()
    report = index.update()
    assert (report.changed, report.skipped) == (1, ())


def test_a_file_that_vanishes_while_it_is_indexed_costs_nothing(
    index: DocumentIndex, folder: Path
) -> None:
    def vanish(path: Path, number: int, count: int) -> None:
        if path.name == "notes.md":
            path.unlink()

    report = index.update([folder], on_file=vanish)
    assert (report.added, report.skipped, report.status.documents) == (2, (), 2)


def test_a_deleted_folder_goes_with_its_documents_and_that_is_said(
    index: DocumentIndex, folder: Path
) -> None:
    index.update([folder])
    (folder / "guides" / "holds.md").unlink()
    (folder / "guides").rmdir()
    assert index.update().removed == 1
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    report = index.update()
    assert (report.removed, report.status.documents) == (2, 0)
    assert [one.message for one in report.skipped] == [
        "no longer there; what was indexed of it was removed"
    ]
    with pytest.raises(DocumentError, match="nothing is indexed yet"):
        index.update()


def test_a_path_that_never_was_is_an_error(index: DocumentIndex, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no such file or folder"):
        index.update([tmp_path / "elsewhere"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_what_cannot_be_seen_for_now_stays(index: DocumentIndex, folder: Path) -> None:
    index.update([folder])
    (folder / "guides").chmod(0)
    try:
        report = index.update()
    finally:
        (folder / "guides").chmod(0o700)
    assert (report.removed, report.status.documents) == (0, 3)


def test_what_was_not_read_is_said_again_without_reading_it(
    index: DocumentIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "broken.pdf", "%PDF-1.7 and no more")
    first = index.update([folder]).skipped
    monkeypatch.delattr(DocumentSet, "read_one")
    again = index.update()
    assert [(one.source, one.reason) for one in first] == [("broken.pdf", "broken")]
    assert again.skipped == first
    assert again.status.documents == 3


def test_two_folders_with_files_of_one_name_keep_their_documents_apart(
    index: DocumentIndex, tmp_path: Path
) -> None:
    one = write(tmp_path / "one" / "a.md", "The penguin swims.")
    other = write(tmp_path / "other" / "a.md", "The zebra runs.")
    index.update([one.parent])
    assert found(index, "penguin") == ["a.md"]
    index.update([other.parent])
    assert found(index, "penguin") == ["one/a.md"]
    assert found(index, "zebra") == ["other/a.md"]


def test_a_folder_stands_for_what_is_below_it(index: DocumentIndex, folder: Path) -> None:
    index.update([folder / "guides"])
    index.update([folder])
    assert index.status().roots == (str(folder),)
    index.update([folder / "guides"])
    assert index.status().roots == (str(folder),)
    assert found(index, "hold") == ["guides/holds.md"]


def test_a_mark_makes_its_folder_private_and_takes_effect_without_a_change_of_documents(
    index: DocumentIndex, folder: Path
) -> None:
    index.update([folder])
    write(folder / "guides" / ".aegis-sensitivity", "hipaa\n")
    assert index.update().unchanged == 3
    [hold] = index.retriever(limit=1).invoke("hold")
    [limit] = index.retriever(limit=1).invoke("limit")
    assert hold.metadata["sensitivity"] == "hipaa"
    assert "sensitivity" not in limit.metadata


@pytest.mark.parametrize(
    ("base", "patterns", "expected"),
    [
        (None, {}, "confidential"),
        ("pii", {}, "pii"),
        ("public", {}, "confidential"),
        (None, {"GUIDES/*": "hipaa"}, "hipaa"),
        (None, {"*/holds.md": "public"}, "confidential"),
    ],
)
def test_of_all_that_is_said_of_a_document_the_strictest_counts(
    folder: Path, tmp_path: Path, base: Any, patterns: Any, expected: str
) -> None:
    write(folder / ".aegis-sensitivity", "Confidential")
    write(folder / "guides" / ".aegis-sensitivity", "internal")
    index = create_index(tmp_path / "i.db", sensitivity=base, sensitivity_patterns=patterns)
    # The mark above the folder that is indexed counts as well.
    index.update([folder / "guides"])
    [document] = index.retriever().invoke("hold")
    assert document.metadata["sensitivity"] == expected


def test_a_mark_that_says_nothing_known_stops_the_update(
    index: DocumentIndex, folder: Path
) -> None:
    mark = write(folder / ".aegis-sensitivity", "secret")
    with pytest.raises(ConfigError, match=f"{mark}: 'secret' is no level; use one of public"):
        index.update([folder])
    assert index.status().documents == 0


def test_a_filter_narrows_what_is_searched(index: DocumentIndex, folder: Path) -> None:
    write(folder / "guides" / ".aegis-sensitivity", "pii")
    write(folder / "guides" / "limits.md", "# Limits\n\nA limit is hard.")
    index.update([folder])
    assert found(index, "limit", where={"source": "guides/*"}) == ["guides/limits.md"]
    assert found(index, "limit", where={"sensitivity": ["public", "internal"]}) == ["budgets.md"]
    assert found(index, "limit", where={"title": "Budgets"}) == ["budgets.md"]
    with pytest.raises(InvalidRequestError, match="cannot filter by 'author'"):
        index.retriever(where={"author": "me"})


def test_a_hit_is_shown_with_its_neighbours_and_each_passage_once(
    index: DocumentIndex, tmp_path: Path
) -> None:
    parts = [f"## Part {n}\n\n" + f"Word{n} penguin. " * 40 for n in range(5)]
    file = write(tmp_path / "long.md", "# Long\n\n" + "\n\n".join(parts))
    index.update([file])
    [first] = index.retriever(limit=1, neighbours=1).invoke("word2")
    assert [f"Word{n} " in first.page_content for n in range(5)] == [False, True, True, True, False]
    shown = index.retriever(limit=5, neighbours=1).invoke("penguin")
    text = "\n".join(one.page_content for one in shown)
    assert [text.count(f"## Part {n}\n") for n in range(5)] == [1] * 5


def test_of_one_document_no_more_is_shown_than_is_wanted(
    index: DocumentIndex, tmp_path: Path
) -> None:
    parts = [f"## Part {n}\n\n" + f"Word{n} penguin. " * 40 for n in range(5)]
    long = write(tmp_path / "long.md", "# Long\n\n" + "\n\n".join(parts))
    other = write(tmp_path / "other.md", "A penguin, and much else that dilutes the word.")
    index.update([long, other])
    assert found(index, "penguin", per_document=1) == ["long.md", "other.md"]


def test_a_passage_is_shown_under_its_title_and_section(
    index: DocumentIndex, tmp_path: Path
) -> None:
    text = "# Guide\n\n## Limits\n\n" + "It is hard. " * 80 + "\n\nThe end of it is blue."
    index.update([write(tmp_path / "a.md", text)])
    [document] = index.retriever(limit=1).invoke("blue")
    assert document.page_content.startswith("# Guide\n## Limits\n\n")
    assert document.metadata["title"] == "Guide"


def test_the_file_is_its_owners_alone(index: DocumentIndex, folder: Path) -> None:
    index.update([folder])
    assert stat.S_IMODE(index.path.stat().st_mode) == 0o600


def test_a_mere_name_is_a_file_in_the_folder_of_indexes(tmp_path: Path) -> None:
    assert create_index("docs", folder=tmp_path).path == tmp_path / "docs.db"
    assert create_index("a.db", folder=tmp_path).path == Path("a.db")


@pytest.mark.parametrize("is_async", [False, True])
def test_an_index_deleted_under_its_retriever_is_a_clear_error(
    index: DocumentIndex, folder: Path, *, is_async: bool
) -> None:
    index.update([folder])
    retriever = index.retriever()
    assert retriever.invoke("limit")
    index.path.unlink()
    with pytest.raises(StoreError, match="there is no index, or no longer; make it with: aegis"):
        asyncio.run(retriever.ainvoke("limit")) if is_async else retriever.invoke("limit")


def test_async_and_sync_searches_find_the_same(index: DocumentIndex, folder: Path) -> None:
    index.update([folder])
    retriever = index.retriever(neighbours=1)
    assert asyncio.run(retriever.ainvoke("limit hold")) == retriever.invoke("limit hold")


def test_an_index_deleted_while_it_is_written_is_a_clear_error(
    index: DocumentIndex, folder: Path
) -> None:
    def delete(path: Path, number: int, count: int) -> None:
        index.path.unlink(missing_ok=True)

    with pytest.raises(StoreError, match="was deleted or replaced while it was written"):
        index.update([folder], on_file=delete)


def test_a_read_only_index_answers_and_is_not_written(
    index: DocumentIndex, folder: Path, tmp_path: Path
) -> None:
    index.update([folder])
    index.path.chmod(0o400)
    assert found(index, "limit") == ["budgets.md"]
    if os.geteuid() != 0:  # root may write it all the same
        with pytest.raises(StoreError, match="may not be written"):
            index.update()


@pytest.mark.parametrize(
    ("layout", "message"),
    [(0, "older version of this package .* delete the file"), (99, "newer version")],
)
def test_an_index_of_another_layout_says_what_to_do(
    index: DocumentIndex, folder: Path, layout: int, message: str
) -> None:
    index.update([folder])
    with closing(sqlite3.connect(index.path)) as connection:
        connection.execute(f"PRAGMA user_version = {layout}")
    for use in (index.status, index.update, lambda: index.retriever().invoke("limit")):
        with pytest.raises(StoreError, match=message):
            use()


def test_a_database_of_another_program_is_left_alone(index: DocumentIndex, folder: Path) -> None:
    with closing(sqlite3.connect(index.path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="is no index of this package; name another file"):
        index.update([folder])


def test_a_damaged_index_says_what_to_do(index: DocumentIndex, folder: Path) -> None:
    index.update([folder])
    whole = index.path.read_bytes()
    index.path.write_bytes(b"x" * 4096 + whole[4096:])
    with pytest.raises(StoreError, match=r"is damaged .* delete the file and index again"):
        index.retriever().invoke("limit")


def test_a_copy_of_a_better_passage_gives_way_to_what_is_new(
    index: DocumentIndex, tmp_path: Path
) -> None:
    text = "The penguin of the museum is called Pingo and is fed at noon."
    for name in ("a.md", "b.md", "copy of a.md"):
        write(tmp_path / "docs" / name, text)
    write(tmp_path / "docs" / "other.md", "A penguin swims, and much else that dilutes the word.")
    index.update([tmp_path / "docs"])
    assert "other.md" not in found(index, "museum penguin", limit=2)
    diverse = found(index, "museum penguin", limit=2, diversity=0.5)
    assert (len(diverse), diverse[1]) == (2, "other.md")
    assert len(found(index, "museum penguin", limit=9, diversity=1.0)) == 4
    with pytest.raises(InvalidRequestError, match="diversity: 2 is not between 0 and 1"):
        index.retriever(diversity=2)
