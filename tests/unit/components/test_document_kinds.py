"""Every kind of document that people have becomes text that says what a reader sees in it."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import docx
import openpyxl  # type: ignore[import-untyped]
import pypdf
import pytest
from docx.oxml import OxmlElement
from PIL import Image, ImageDraw, ImageFont

from aegis_graph.components.documents.files import read_passages
from aegis_graph.components.documents.langchain import document_of, passages_of
from aegis_graph.components.documents.readers.content import SourceDocument
from aegis_graph.components.documents.readers.kinds import KINDS
from aegis_graph.components.documents.readers.reading import DocumentReader
from aegis_graph.components.documents.splitting import MAX_PASSAGE_CHARS
from aegis_graph.errors import DocumentError
from tests.unit.components import document_samples
from tests.unit.components.document_samples import SAMPLES, pdf, saved


def read(folder: Path, name: str, data: bytes | None = None) -> SourceDocument:
    (folder / name).write_bytes(SAMPLES[name]() if data is None else data)
    return DocumentReader().read(folder / name)


def refused(folder: Path, name: str, data: bytes) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read(folder, name, data)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", SAMPLES)
def test_every_kind_is_read(tmp_path: Path, name: str) -> None:
    passages = read(tmp_path, name).passages()
    assert any("Berlin" in passage.text for passage in passages)
    assert all(0 < len(passage.text) <= MAX_PASSAGE_CHARS for passage in passages)
    assert {passage.source for passage in passages} == {name}
    assert DocumentReader().readable(tmp_path / name)
    assert passages_of([document_of(one) for one in passages]) == passages


def test_every_kind_has_a_sample() -> None:
    ours = {kind.module for kind in KINDS} - {"converted"}
    covered = {
        kind.module for kind in KINDS for name in SAMPLES if Path(name).suffix in kind.suffixes
    }
    assert covered == ours


def test_word_keeps_headings_lists_and_tables(tmp_path: Path) -> None:
    document = read(tmp_path, "policy.docx")
    assert document.title == "Travel policy"
    assert document.text == (
        "# Travel policy\n\n# Flights\n\nEconomy class is booked for flights of up to six hours."
        "\n\n- first\n- second\n\n| City | Rate |\n|---|---|\n| Berlin | 120 EUR |"
    )


def test_word_shows_what_was_inserted_and_not_what_was_deleted(tmp_path: Path) -> None:
    document = docx.Document()
    paragraph = document.add_paragraph("The fee is ")
    new, old = paragraph.add_run("20 EUR."), paragraph.add_run("15 EUR.")
    for run, tag in ((new, "w:ins"), (old, "w:del")):
        wrapper = OxmlElement(tag)
        run._r.addprevious(wrapper)
        wrapper.append(run._r)
    assert read(tmp_path, "a.docx", saved(document)).text == "The fee is 20 EUR."


def test_an_open_document_is_read_as_a_reader_sees_it(tmp_path: Path) -> None:
    document = read(tmp_path, "minutes.odt")
    assert document.title == "Minutes"
    assert document.text == (
        "# Minutes\n\nWe  met in Berlin. (By rail.)\n\n- first\n  - deep\n\n"
        "| City | Rate |\n|---|---|\n| Ulm | Ulm |\n\nIn a box."
    )
    nested = "<text:list><text:list-item>" * 2_000 + "</text:list-item></text:list>" * 2_000
    assert refused(tmp_path, "a.odt", document_samples.open_document(nested)).reason == "empty"
    space = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    secret = f'<m:x xmlns:m="{space}"><m:encryption-data/></m:x>'
    locked = document_samples.open_document("<text:p>x</text:p>", manifest=secret)
    assert refused(tmp_path, "b.odt", locked).reason == "password"
    assert refused(tmp_path, "c.odt", b"PK\x03\x04").reason == "broken"


def test_rich_text_has_its_characters_and_its_tables(tmp_path: Path) -> None:
    assert read(tmp_path, "letter.rtf").text == (
        "Die Gebühr beträgt 5 € in Berlin.\nZahlbar bald\U0001f600\n\n"
        "| City | Rate |\n|---|---|\n| Ulm | 120 EUR |\n\nEnde."
    )
    assert read(tmp_path, "letter", SAMPLES["letter.rtf"]()).text.startswith("Die Gebühr")
    assert refused(tmp_path, "a.rtf", b"Just words.").reason == "broken"


def test_slides_are_numbered_and_have_their_notes(tmp_path: Path) -> None:
    first, second = read(tmp_path, "deck.pptx").passages()
    assert (first.slide, first.location) == (1, "deck.pptx, slide 1")
    assert first.text == "# Roadmap\n\n- Ship in May\n- Test in June\n\nNotes: Thank the team."
    assert (second.slide, second.heading) == (2, "Places")


def test_a_row_of_a_workbook_is_understood_alone(tmp_path: Path) -> None:
    staff, offices = read(tmp_path, "staff.xlsx").passages()
    assert "| Name: Ada | Joined: 2020-12-10 | Share: 19% |" in staff.text
    assert offices.location == "staff.xlsx, sheet Offices"
    assert "| City: Berlin | Desks: 12 |" in offices.text


def test_a_long_table_has_the_names_of_its_columns_in_every_passage(tmp_path: Path) -> None:
    rows = "\n".join(f"| item {n} | {n} EUR, per piece and month |" for n in range(80))
    text = f"# Prices\n\n| Product | Price |\n|---|---|\n{rows}\n"
    passages = read(tmp_path, "a.md", text.encode()).passages()
    assert len(passages) > 3
    assert all("| Product | Price |" in one.text for one in passages)
    assert all(len(one.text) <= MAX_PASSAGE_CHARS for one in passages)
    lines = text.split("\n")
    for one in passages:
        assert one.lines is not None
        assert one.text.endswith(lines[one.lines[1] - 1])


def test_csv_finds_its_delimiter_and_encoding(tmp_path: Path) -> None:
    text = read(tmp_path, "cities.csv").text
    assert "| Name: Jörg | Stadt: Köln |\n| Name: Meier; Anna | Stadt: Berlin |" in text
    prices = b'item,price\ntea,"1,50"\n"cake, small",3\n'
    assert "| item: cake, small | price: 3 |" in read(tmp_path, "b.csv", prices).text
    assert "| a: 1 | b: 2 |" in read(tmp_path, "c.tsv", b"a\tb\n1\t2\n").text


def test_years_name_columns_and_a_table_without_names_is_read_as_it_is(tmp_path: Path) -> None:
    years = read(tmp_path, "a.csv", b"Office,2023,2024\nBerlin,12,14\n").text
    assert "| Office: Berlin | 2023: 12 | 2024: 14 |" in years
    titled = read(tmp_path, "b.csv", b"Desks by office,\n,\nOffice,Desks\nBerlin,12\n").text
    assert titled.startswith("Desks by office\n")
    assert "| Office: Berlin | Desks: 12 |" in titled
    assert "| Berlin | 12 |" in read(tmp_path, "c.csv", b"Berlin,12\nUlm,3\n").text


def test_a_wide_row_is_cut_between_cells(tmp_path: Path) -> None:
    names = ",".join(f"column {n}" for n in range(200))
    values = ",".join(f"value {n}" for n in range(200))
    passages = read(tmp_path, "wide.csv", f"{names}\n{values}\n".encode()).passages()
    assert all(len(one.text) <= MAX_PASSAGE_CHARS for one in passages)
    joined = "\n".join(one.text for one in passages)
    assert [n for n in range(200) if f"column {n}: value {n} |" not in joined] == []


def test_html_is_what_a_browser_shows(tmp_path: Path) -> None:
    document = read(tmp_path, "page.html")
    assert document.title == "Büro"
    assert document.text == (
        "# Öffnung\n\nIn Berlin ab neun Uhr.\n\nUnd:\n\n1. erstens\n2. zweitens\n  - tief\n\n"
        "| Tag | Zeit |\n|---|---|\n| Montag | 9 Uhr |\n\n```python\nx = 1\n\ny = 2\n```"
    )


def test_a_book_is_read_in_the_order_of_its_chapters(tmp_path: Path) -> None:
    document = read(tmp_path, "book.epub")
    assert document.title == "A Journey"
    assert document.text == "# One\n\nIt began in Berlin.\n# Two\n\nIt ended in Ulm."


def test_a_notebook_has_its_cells_and_what_they_printed(tmp_path: Path) -> None:
    assert read(tmp_path, "study.ipynb").text == (
        "# Study\nWe measured in Berlin.\n\n```python\nprint(6 * 7)\n```\n\nOutput:\n```\n42\n```"
    )


def test_a_mail_has_its_headers_and_names_what_is_attached(tmp_path: Path) -> None:
    document = read(tmp_path, "invoice.eml")
    assert document.title == "Rechnung für März"
    assert "From: Ada <ada@example.org>\nTo: office@example.org\nDate: Mon, 01 Jan" in document.text
    assert "Subject: Rechnung für März\nAttachments, which were not read: r.pdf" in document.text
    assert document.text.endswith("Der Betrag ist 15 EUR, zahlbar in Berlin.")
    only_html = b"From: a@example.org\nContent-Type: text/html\n\n<p>Hello <b>you</b>.</p>"
    assert read(tmp_path, "h.eml", only_html).text.endswith("\n\nHello you.")


def test_a_mailbox_has_every_message(tmp_path: Path) -> None:
    one, two = read(tmp_path, "box.mbox").passages()
    assert (one.heading, two.heading) == ("One", "Two")
    assert one.text.endswith("We meet in Berlin.\nFrom there we go on.")


def test_restructured_text_includes_no_file(tmp_path: Path) -> None:
    text = read(tmp_path, "guide.rst").text
    assert "root:" not in text
    assert "/etc/passwd" not in text
    assert "raw" not in text
    for part in ("# Guide", "See the office in Berlin.", "## Install", "```python\nx = 1\n```"):
        assert part in text
    for part in ("New in version 2.0:\n\nIt is new.", "foo(a)\n\nIt does a thing."):
        assert part in text
    assert "| City | Desks |\n|---|---|\n| Ulm | 3 |" in text


def test_asciidoc_is_read_by_its_marks(tmp_path: Path) -> None:
    document = read(tmp_path, "manual.adoc")
    assert document.title == "Manual"
    assert "include" not in document.text
    for part in ("# Manual", "## Place\n\nWe are in Berlin.", "```python\nx = 1\n\n== y\n```"):
        assert part in document.text
    assert "| City | Desks |\n|---|---|\n| Ulm | 3 |" in document.text
    assert document.text.count("\n") == document_samples.asciidoc().count(b"\n")


def test_front_matter_and_directives_are_no_prose(tmp_path: Path) -> None:
    document = read(tmp_path, "notes.md")
    assert document.title == "Berlin notes"
    [passage] = document.passages()
    assert passage.heading == "Berlin notes"
    for part in ("secret-tag", "badge", "docs_src", "hidden remark"):
        assert part not in passage.text
    # A line that leads to code stands with it, and a comment in code is no heading.
    assert "Install with pip:\n\n```sh\npip install berlin\n\n# a comment\n```" in passage.text
    assert passage.lines == (8, 19)


def test_a_rule_at_the_top_is_no_front_matter(tmp_path: Path) -> None:
    text = "---\n\nIt begins here.\n\n---\n\nIt ends here."
    assert "It begins here." in read(tmp_path, "a.md", text.encode()).text


def test_mdx_is_read_without_its_modules_and_components(tmp_path: Path) -> None:
    text = read(tmp_path, "page.mdx").text
    assert text.split() == ["#", "Berlin", "The", "office", "is", "open."]


def test_code_is_cut_between_functions(tmp_path: Path) -> None:
    passages = read(tmp_path, "tool.py").passages()
    assert len(passages) > 2
    lines = document_samples.code().decode().split("\n")
    for passage in passages:
        assert passage.text.startswith(("import os", "def step_"))
        assert passage.lines is not None
        first, last = passage.lines
        assert "\n".join(lines[first - 1 : last]) == passage.text


def test_a_part_of_a_long_class_says_which_class_it_is(tmp_path: Path) -> None:
    methods = [f"    def step_{n}(self):\n        return {n}  # {'x' * 300}\n" for n in range(9)]
    data = "class Journey:\n" + "\n".join(methods)
    passages = read(tmp_path, "a.py", data.encode()).passages()
    assert len(passages) > 3
    assert all(one.text.startswith("class Journey:\n    def step_") for one in passages)
    assert "".join(one.text for one in passages).count("def step_") == 9


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Grüße aus Köln.", "utf-8-sig"),
        ("Grüße aus Köln.", "utf-16"),
        ("Grüße aus Köln.", "utf-32"),
        ("Grüße aus Köln und Bonn.", "utf-16-le"),
        ("Gebühr", "latin-1"),
        ("café", "latin-1"),
        ("Der Preis beträgt 15 € (\u201ebillig\u201c).", "cp1252"),
        ("Привет, как дела? Это простой текст, чтобы угадать кодировку.", "cp1251"),
        ("Привет, как дела? Это простой текст, чтобы угадать кодировку.", "koi8-r"),
        ("Größe, Übergröße und Straße", "cp850"),
        ("Größe, Übergröße und Straße", "mac_roman"),
        ("한국어 텍스트입니다. 인코딩을 감지합니다.", "euc_kr"),
        ("これは日本語のテキストです。文字コードを判定します。", "shift_jis"),
        ("这是一个中文文本文件,用来测试编码的检测是否正确。", "gb18030"),
        ("Zażółć gęślą jaźń. Opłata wynosi piętnaście złotych miesięcznie.", "cp1250"),
    ],
)
def test_text_is_read_in_any_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    assert read(tmp_path, "a.txt", text.encode(encoding)).text == text


def test_a_page_says_its_encoding_itself(tmp_path: Path) -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251"><p>Мир'
    assert read(tmp_path, "a.html", page.encode("cp1251")).text == "Мир"
    # What is UTF-8 is that, whatever it says of itself.
    page = '<meta charset="iso-8859-1"><p>Köln'
    assert read(tmp_path, "a.html", page.encode()).text == "Köln"


@pytest.mark.parametrize("data", [b"a\0b\1\2", bytes(range(256)) * 8, b"\x89PNG\r\n\x1a\n\0\0\0"])
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes) -> None:
    assert refused(tmp_path, "a.txt", data).reason == "binary"


def test_a_file_without_an_ending_is_what_its_bytes_say(tmp_path: Path) -> None:
    for name in ("letter.pdf", "policy.docx", "staff.xlsx", "book.epub", "page.html"):
        document = read(tmp_path, "unnamed", SAMPLES[name]())
        assert "Berlin" in document.text
    (tmp_path / "program").write_bytes(b"\x7fELF\0\0")
    assert not DocumentReader().readable(tmp_path / "program")


def test_columns_of_a_pdf_are_read_one_after_the_other(tmp_path: Path) -> None:
    left = _lines("The mill stands at the upper ford and grinds rye for five villages")
    right = _lines("while its wheel was built anew after the flood, as the parish book has it")
    mixed = [
        text
        for n in range(8)
        for text in ((72.0, 680 - 14.0 * n, left[n]), (320.0, 680 - 14.0 * n, right[n]))
    ]
    text = read(tmp_path, "a.pdf", pdf([[(150, 720, "A paper in two columns"), *mixed]])).text
    assert text.split("\n") == ["A paper in two columns", *left, *right]


def _lines(prose: str) -> list[str]:
    """Eight lines of a column, each going on from the one before."""
    words = prose.split() * 8
    return [" ".join(words[6 * n : 6 * n + 6]) for n in range(8)]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="prints with Chromium")
@pytest.mark.parametrize("count", [2, 3])
def test_columns_that_a_browser_prints_are_read_one_after_the_other(
    tmp_path: Path, count: int
) -> None:
    prose = [f"Sentence {n} tells of a mill whose wheel turns {n} times." for n in range(1, 60)]
    page = "".join(f"<p>{one}</p>" for one in prose)
    (tmp_path / "a.html").write_text(
        f"<h1>Mills</h1><div style='column-count:{count};text-align:justify'>{page}</div>"
    )
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu"]
    made = f"--print-to-pdf={tmp_path / 'a.pdf'}"
    run = [*command, made, str(tmp_path / "a.html")]
    subprocess.run(run, check=True, capture_output=True, timeout=120, env={"HOME": str(tmp_path)})
    text = " ".join(DocumentReader().read(tmp_path / "a.pdf").text.split())
    places = [text.find(one) for one in prose]
    assert -1 not in places
    assert places == sorted(places)


def test_rows_of_a_table_with_long_cells_stay_rows(tmp_path: Path) -> None:
    rows = [
        text
        for n in range(9)
        for text in (
            (72.0, 680 - 14.0 * n, f"Article {n} of the long catalogue"),
            (320.0, 680 - 14.0 * n, f"costs {n} EUR with all taxes included"),
        )
    ]
    text = read(tmp_path, "a.pdf", pdf([rows])).text
    assert "4 of the long catalogue" in text.split("costs 4 EUR")[0].split("costs 3 EUR")[1]


def test_rows_of_a_table_in_a_pdf_stay_rows(tmp_path: Path) -> None:
    rows = [
        text
        for n in range(9)
        for text in ((72.0, 680 - 14.0 * n, f"item {n}"), (320.0, 680 - 14.0 * n, f"{n} EUR"))
    ]
    text = read(tmp_path, "a.pdf", pdf([rows])).text
    assert [line.split() for line in text.split("\n")][4] == ["item", "4", "4", "EUR"]


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_a_pdf_that_only_its_owner_may_change_is_read(tmp_path: Path, algorithm: str) -> None:
    for password, name in (("", "open.pdf"), ("secret", "closed.pdf")):
        writer = pypdf.PdfWriter(io.BytesIO(SAMPLES["letter.pdf"]()))
        writer.encrypt(password, owner_password="owner", algorithm=algorithm)
        writer.write(tmp_path / name)
    assert "Berlin" in DocumentReader().read(tmp_path / "open.pdf").text
    error = refused(tmp_path, "a.pdf", (tmp_path / "closed.pdf").read_bytes())
    assert (error.reason, "password" in str(error)) == ("password", True)


def test_scanned_pages_are_recognised_on_this_machine(tmp_path: Path) -> None:
    scan = Image.new("RGB", (900, 300), "white")
    font = ImageFont.load_default(60)
    ImageDraw.Draw(scan).text((40, 100), "Invoice 4711 Berlin", "black", font)
    scan.save(tmp_path / "scan.pdf")
    writer = pypdf.PdfWriter(tmp_path / "scan.pdf")
    writer.append(io.BytesIO(SAMPLES["letter.pdf"]()))
    writer.write(tmp_path / "scan.pdf")
    document = DocumentReader().read(tmp_path / "scan.pdf")
    assert "4711" in document.sections[0].text
    assert [section.page for section in document.sections] == [1, 2, 3]
    assert document.notes == ()


def test_office_files_behind_a_password_are_said(tmp_path: Path) -> None:
    old = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600)
    for name in ("a.docx", "a.xlsx", "a.pptx"):
        assert refused(tmp_path, name, old).reason == "password"


@pytest.mark.parametrize("name", ["bomb.docx", "bomb.xlsx", "bomb.pptx", "bomb.epub"])
def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, name: str
) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"word/{number}.xml", bytes(50_000_000))
    assert refused(tmp_path, name, stream.getvalue()).reason == "too_large"


def test_a_page_may_be_nested_as_deeply_as_it_likes(tmp_path: Path) -> None:
    for tag in ("div", "li", "b", "table"):
        page = f"<{tag}>" * 20_000 + "Berlin"
        read(tmp_path, "deep.html", page.encode())
    deep = b'{"cells": ' + b"[" * 100_000
    assert refused(tmp_path, "deep.ipynb", deep).reason == "broken"


def test_a_workbook_that_claims_a_million_rows_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["City", "Desks"])
    book.active.append(["Berlin", 12])
    book.active["A1048576"].number_format = "0.00"
    book.active["A1048576"] = " "
    assert "| City: Berlin | Desks: 12 |" in read(tmp_path, "a.xlsx", saved(book)).text


def test_markdown_on_disk_keeps_exact_lines(tmp_path: Path) -> None:
    text = "\n\n".join(f"## Part {n}\n\n{'It is a sentence. ' * 20}" for n in range(9))
    (tmp_path / "a.md").write_text(text)
    lines = text.split("\n")
    for one in read_passages([tmp_path]):
        assert one.lines is not None
        first, last = one.lines
        assert one.text in "\n".join(lines[first - 1 : last])
