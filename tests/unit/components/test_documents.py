"""Documents become passages with exact offsets; rubbish becomes one line that says what to do."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_graph.components.documents.files import read_passages
from aegis_graph.components.documents.splitting import MAX_PASSAGE_CHARS, split_passages
from aegis_graph.errors import DocumentError

DOCUMENTS = Path(__file__).parents[3] / "examples" / "documents"
PDF = DOCUMENTS / "privacy.pdf"


def check_refused(paths: list[Path], *parts: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_passages(paths)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_sample_documents_are_read_with_exact_offsets() -> None:
    passages = read_passages([DOCUMENTS])
    sources = list(dict.fromkeys(passage.source for passage in passages))
    assert sources == sorted(path.name for path in DOCUMENTS.iterdir())
    for passage in passages:
        if passage.page is None:
            text = (DOCUMENTS / passage.source).read_text(encoding="utf-8")
        else:
            pages = pypdf.PdfReader(DOCUMENTS / passage.source).pages
            text = "\n".join(page.extract_text() for page in pages)
        assert text[passage.start : passage.start + len(passage.text)] == passage.text
        assert 0 < len(passage.text) <= MAX_PASSAGE_CHARS


def test_pdf_passages_know_their_page() -> None:
    assert [passage.page for passage in read_passages([PDF])] == [1, 2]


PARAGRAPHS = st.lists(
    st.sampled_from(
        ["# Heading", "## Deeper\n", "Word. " * 40, "x" * 1000, "- item\n- item", "| a |\n|---|"]
    )
    | st.text(max_size=200),
    max_size=12,
)


@given(PARAGRAPHS)
def test_passages_are_exact_ordered_and_lose_nothing(paragraphs: list[str]) -> None:
    text = "\n\n".join(paragraphs)
    passages = split_passages(text, source="a.md", start=5)
    end, kept = 0, ""
    for passage in passages:
        start = passage.start - 5
        assert text[start : start + len(passage.text)] == passage.text
        assert start >= end
        assert 0 < len(passage.text) <= MAX_PASSAGE_CHARS
        end = start + len(passage.text)
        kept += passage.text
    assert sorted("".join(kept.split())) == sorted("".join(text.split()))


def test_passages_are_cut_at_headings_and_know_them() -> None:
    sections = [f"## Part {n}\n\n" + f"This is sentence {n}. " * 20 for n in range(3)]
    passages = split_passages("\n\n".join(sections), source="a.md")
    assert [passage.heading for passage in passages] == ["Part 0", "Part 1", "Part 2"]
    assert all(passage.text.startswith("## Part") for passage in passages)


def test_heading_stays_with_what_it_heads() -> None:
    text = f"{'One. ' * 150}\n\n## Two\n\n{'Two. ' * 150}"
    assert [passage.text[:6] for passage in split_passages(text, source="a")] == [
        "One. O",
        "## Two",
    ]


def test_folders_are_read_in_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.md", "a/z.txt", "a/.hidden.md", ".git/x.md", "c.MD", "d.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"This is {name}.")
    seen: list[tuple[str, int, int]] = []
    passages = read_passages(
        [tmp_path, tmp_path / "b.md"],
        on_file=lambda path, number, total: seen.append((path.name, number, total)),
    )
    names = ["a/z.txt", "b.md", "c.MD"]
    assert [passage.source for passage in passages] == names
    assert seen == [("z.txt", 1, 3), ("b.md", 2, 3), ("c.MD", 3, 3)]


def test_windows_files_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOne.\r\n\r\nTwo.\r\n")
    [passage] = read_passages([tmp_path / "a.txt"])
    assert (passage.text, passage.start) == ("One.\n\nTwo.", 0)


def test_missing_and_empty_places_are_refused(tmp_path: Path) -> None:
    check_refused([], "no documents")
    check_refused([tmp_path / "no.md"], "no.md", "no such file")
    check_refused([tmp_path], tmp_path.name, "no documents in this folder")
    (tmp_path / "a.heic").write_text("x")
    check_refused([tmp_path], "1 file of other kinds was not read (.heic 1)")
    check_refused([tmp_path / "a.heic"], "a.heic", "unsupported")
    (tmp_path / "empty.md").write_text(" \n")
    check_refused([tmp_path / "empty.md"], "empty.md", "no text")
    os.mkfifo(tmp_path / "pipe.md")
    check_refused([tmp_path / "pipe.md"], "pipe.md", "neither")
    check_refused([tmp_path / ("x" * 5000)], "name too long")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a pdf", b"%PDF-1.4\n%%EOF", PDF.read_bytes()[:700], PDF.read_bytes()[900:]],
)
def test_broken_pdf_is_refused_quietly(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pdf").write_bytes(content)
    check_refused([tmp_path], "a.pdf", "PDF")
    assert capfd.readouterr() == ("", "")


def test_encrypted_pdf_is_refused_unless_it_opens_without_a_password(tmp_path: Path) -> None:
    for name, password in (("closed.pdf", "secret"), ("open.pdf", "")):
        writer = pypdf.PdfWriter(PDF)
        writer.encrypt(password, owner_password="owner", algorithm="AES-256")
        writer.write(tmp_path / name)
    check_refused([tmp_path / "closed.pdf"], "closed.pdf", "encrypted")
    assert read_passages([tmp_path / "open.pdf"])


def test_pdf_without_text_is_refused(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.write(tmp_path / "scan.pdf")
    check_refused([tmp_path], "scan.pdf", "without text")


@pytest.fixture
def private() -> Iterator[Path]:
    """A folder and a file in it that this process may not read, root or not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "locked").mkdir()
        (folder / "a.md").write_text("Hello.")
        (folder / "locked").chmod(0)
        (folder / "a.md").chmod(0)
        me = os.geteuid()
        if me == 0:
            os.seteuid(65534)
        yield folder
        os.seteuid(me)
        (folder / "locked").chmod(0o700)


def test_unreadable_places_are_refused(private: Path) -> None:
    check_refused([private / "a.md"], "a.md", "permission denied")
    check_refused([private], "locked", "permission denied")
    check_refused([private / "locked"], "locked", "permission denied")
    check_refused([private / "locked" / "b.md"], "permission denied")
