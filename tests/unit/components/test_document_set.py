"""One bad file costs no answer from the others, and what was not read is said with the reason."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from aegis_graph import DocumentSet, read_passages
from aegis_graph.components.documents.skipped import SkippedDocument, skipped_lines
from aegis_graph.components.documents.sources import source_names
from aegis_graph.errors import DocumentError
from aegis_graph.text.passages import format_passages
from tests.unit.components.document_samples import SAMPLES


def write(folder: Path, **files: bytes) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)


def test_bad_files_are_skipped_with_their_reasons(tmp_path: Path) -> None:
    good = SAMPLES["letter.pdf"]()
    write(
        tmp_path, a_pdf=good, b_pdf=b"%PDF-1.4", c_txt=b"\0\1\2", d_md=b" ", e_heic=b"", f_zip=b""
    )
    write(tmp_path, g_docx=b"PK\3\4", h_md=b"It is blue.")
    documents = DocumentSet([tmp_path])
    read = [document.source for document in documents.read()]
    assert read == ["a.pdf", "h.md"]
    assert [(one.source, one.reason) for one in documents.skipped] == [
        ("*.heic", "other_kind"),
        ("*.zip", "other_kind"),
        ("b.pdf", "broken"),
        ("c.txt", "binary"),
        ("d.md", "empty"),
        ("g.docx", "broken"),
    ]
    lines = list(skipped_lines(documents.skipped))
    assert lines[0] == "4 files were not read:"
    assert lines[-1] == "2 files of other kinds were not read (.heic 1, .zip 1)"


def test_what_is_no_file_is_named_below_its_folder_and_costs_no_other(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    write(docs, a_md=b"It is blue.")
    (docs / "~$a.docx").write_bytes(b"x")
    os.symlink("itself.md", docs / "itself.md")
    os.symlink("nowhere.md", docs / "gone.md")
    os.symlink(docs, docs / "again")
    os.mkfifo(docs / "pipe.md")
    documents = DocumentSet([docs, docs, tmp_path, docs / "a.md"])
    assert [document.text for document in documents.read()] == ["It is blue."]
    assert [(one.source, one.message) for one in documents.skipped] == [
        ("gone.md", "a link that leads nowhere"),
        ("itself.md", "a link that leads nowhere"),
        ("pipe.md", "neither a file nor a folder"),
    ]


def test_a_name_that_is_far_too_long_is_named_in_one_line() -> None:
    with pytest.raises(DocumentError) as caught:
        DocumentSet([Path("x" * 5000)])
    assert len(str(caught.value)) < 400


def test_what_is_read_again_is_counted_once(tmp_path: Path) -> None:
    write(tmp_path, a_md=b"It is blue.", b_txt=b"\0\1")
    documents = DocumentSet([tmp_path])
    assert [len(list(documents.read())) for _ in range(2)] == [1, 1]
    assert len(documents.skipped) == 1


def test_nothing_at_all_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    write(tmp_path, **{f"{n}_txt": b"\0\1" for n in "abcde"})
    with pytest.raises(DocumentError) as caught:
        read_passages([tmp_path])
    message = str(caught.value)
    assert "\n" not in message
    assert "no document could be read: 3 files were not read: a.txt: not a text file;" in message
    assert message.endswith("and 2 more")


def test_without_a_listener_a_line_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, a_md=b"It is blue.", b_txt=b"\0\1")
    seen: list[SkippedDocument] = []
    with caplog.at_level(logging.WARNING, "aegis_graph"):
        read_passages([tmp_path], on_skipped=seen.append)
        assert caplog.messages == []
        read_passages([tmp_path])
    assert caplog.messages == ["1 file was not read: b.txt: not a text file"]
    assert [one.source for one in seen] == ["b.txt"]


def test_a_long_list_is_counted_by_reason() -> None:
    some = [SkippedDocument(source=f"{n}", reason="broken", message="cut off") for n in range(14)]
    some.append(SkippedDocument(source="x", reason="password", message="locked"))
    lines = list(skipped_lines(some))
    assert len(lines) == 12
    assert lines[0] == "15 files were not read:"
    assert lines[-1] == "  and 5 more: 4 broken, 1 need a password"


def test_sources_say_nothing_about_the_machine(tmp_path: Path) -> None:
    for folder in ("one", "two", "one/deep"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.md").write_text(f"This is {folder}.")
    passages = read_passages([tmp_path])
    assert {one.source for one in passages} == {"one/same.md", "two/same.md", "one/deep/same.md"}
    documents = DocumentSet([tmp_path / "one", tmp_path / "two"])
    assert [file.source for file in documents.files] == [
        "deep/same.md",
        "one/same.md",
        "two/same.md",
    ]
    assert documents.path_of("two/same.md") == tmp_path / "two" / "same.md"
    assert documents.path_of("no.md") is None
    assert str(tmp_path) not in format_passages(passages)
    assert [one.source for one in read_passages([tmp_path / "one" / "same.md"])] == ["same.md"]


def test_names_that_are_told_apart_by_their_folders_stay_short() -> None:
    files = [(Path("/r/a/x/1.md"), Path("/r/a/x")), (Path("/r/b/x/1.md"), Path("/r/b/x"))]
    assert source_names([*files, (Path("/r/2.md"), Path("/r"))]) == [
        "a/x/1.md",
        "b/x/1.md",
        "2.md",
    ]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes UTF-8 names only")
def test_a_name_that_is_no_text_is_shown_with_its_bytes(tmp_path: Path) -> None:
    for name in (b"caf\xe9.md", b"line\nbreak.md", b"right\xe2\x80\xaeleft.md"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"It is blue.")
    sources = [one.source for one in read_passages([tmp_path])]
    assert sorted(sources) == [r"caf\xe9.md", r"line\nbreak.md", r"right\u202eleft.md"]
    format_passages(read_passages([tmp_path])).encode()


def test_a_document_read_in_part_is_said(tmp_path: Path) -> None:
    rows = b"a,b\n" + b"1,2\n" * 500_001
    write(tmp_path, t_csv=rows)
    documents = DocumentSet([tmp_path])
    assert len(list(documents.read())) == 1
    assert list(skipped_lines(documents.skipped)) == [
        "1 file was read in part:",
        "  t.csv: only its first 500,000 rows were read",
    ]


def test_a_file_that_is_too_large_is_skipped_unread(tmp_path: Path) -> None:
    write(tmp_path, a_md=b"It is blue.")
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(5_000_000_000)
    documents = DocumentSet([tmp_path])
    assert [document.source for document in documents.read()] == ["a.md"]
    assert documents.skipped[0].reason == "too_large"


def test_markitdown_reads_what_it_is_asked_to(tmp_path: Path) -> None:
    items = b"<title>News</title><item><title>Rain</title></item>"
    feed = b'<rss version="2.0"><channel>' + items + b"</channel></rss>"
    write(tmp_path, a_rss=feed, b_html=b"<h1>Own</h1><p>It is blue.", c_xls=b"rubbish")
    documents = DocumentSet([tmp_path], converted={".html"})
    texts = {document.source: document.text for document in documents.read()}
    assert "## Rain" in texts["a.rss"]
    assert "It is blue." in texts["b.html"]
    assert [one.source for one in documents.skipped] == ["c.xls"]
