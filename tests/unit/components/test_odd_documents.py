"""Documents as other programs leave them: odd encodings, hidden parts, merged cells."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import docx
import openpyxl  # type: ignore[import-untyped]
import pptx
import pypdf
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject, TextStringObject

from aegis_graph.components.documents.readers.content import SourceDocument
from aegis_graph.components.documents.readers.reading import DocumentReader
from tests.unit.components.document_samples import pdf, saved

IMAGE = f"data:image/png;base64,{'A' * 8000}"


def read(folder: Path, name: str, data: bytes) -> SourceDocument:
    (folder / name).write_bytes(data)
    return DocumentReader().read(folder / name)


def workbook(fill: Callable[[Any], None]) -> bytes:
    book = openpyxl.Workbook()
    fill(book)
    return saved(book)


def page_with(text: str) -> bytes:
    return pdf([[(72, 700, text)]])


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Größe und Maß.\n", "utf-32-le"),
        ("Größe und Maß.\n", "utf-32-be"),
        ("これは日本語の文書です。\n料金は五百円です。\n", "utf-16-le"),
        ("これは日本語の文書です。\n料金は五百円です。\n", "utf-16-be"),
        ("限额是每月十美元。\n这是一个硬性限制。\n", "utf-16-le"),
        ("Лимит составляет десять долларов.\n", "utf-16-be"),
        ("これは日本語の文書です。\n", "iso2022_jp"),
        ("Größe: „Zürich“ \u2013 schön, 5 €.\n", "mac_roman"),
    ],
)
def test_text_without_a_mark_is_read_in_its_encoding(
    tmp_path: Path, text: str, encoding: str
) -> None:
    assert read(tmp_path, "a.txt", text.encode(encoding)).text == text


def test_a_log_is_read_without_its_colours_and_stray_zeros(tmp_path: Path) -> None:
    line = b"\x1b[31mError\x1b[0m: the limit is 10 USD\n"
    document = read(tmp_path, "a.log", line * 30 + b"\0" * 4000)
    assert document.text == "Error: the limit is 10 USD\n" * 30


def test_a_line_for_excel_names_the_separator_and_is_no_row(tmp_path: Path) -> None:
    document = read(tmp_path, "a.csv", "\ufeffsep=;\nName;Price\nAda;5,5\n".encode())
    assert document.text == "Columns: Name, Price\n\n| Name: Ada | Price: 5,5 |"


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    document = read(tmp_path, "a.csv", b"a,b\n" + b"x" * 200_000 + b",2\n")
    assert "b: 2" in document.text


def test_a_merged_cell_stands_in_each_of_its_rows(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        for row in (["Region", "City"], ["South", "Ulm"], [None, "Bonn"], ["North", "Kiel"]):
            book.active.append(row)
        book.active.merge_cells("A2:A3")

    text = read(tmp_path, "a.xlsx", workbook(fill)).text
    assert "| Region: South | City: Bonn |" in text
    assert "| Region: North | City: Kiel |" in text
    page = "<table><tr><th>Region<th>City<th>Rent<tr><td rowspan=2>South<td>Ulm<td>9"
    text = read(
        tmp_path, "a.html", f"{page}<tr><td>Bonn<td>8<tr><td colspan=2>All<td>17".encode()
    ).text
    assert text.splitlines()[2:] == [
        "| South | Ulm | 9 |",
        "| South | Bonn | 8 |",
        "| All |  | 17 |",
    ]
    document = docx.Document()
    table = document.add_table(rows=3, cols=2)
    for row, cells in zip(
        table.rows, (("Region", "City"), ("South", "Ulm"), ("", "Bonn")), strict=True
    ):
        for cell, value in zip(row.cells, cells, strict=True):
            cell.text = value
    table.cell(1, 0).merge(table.cell(2, 0))
    assert "| South | Bonn |" in read(tmp_path, "a.docx", saved(document)).text


def test_numbers_of_a_workbook_are_shown_with_their_format(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        book.active.append(["Zip", "Fee", "Rent"])
        book.active.append([7, 9.5, 900])
        for place, form in (("A2", "00000"), ("B2", '#,##0.00 "€"'), ("C2", "[$CHF-807] #,##0")):
            book.active[place].number_format = form

    text = read(tmp_path, "a.xlsx", workbook(fill)).text
    assert "| Zip: 00007 | Fee: 9.5 € | Rent: 900 CHF |" in text


def test_what_is_hidden_is_not_read_and_said(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        book.active.append(["a", "b"])
        book.active.append(["shown", "=SUM(B3:B4)"])
        for state in ("hidden", "veryHidden"):
            sheet = book.create_sheet(state)
            sheet.append(["secret", "x"])
            sheet.sheet_state = state

    document = read(tmp_path, "a.xlsx", workbook(fill))
    assert "shown" in document.text
    assert "secret" not in document.text
    assert document.notes == (
        "2 hidden sheets",
        "1 formula without a value; save it in a spreadsheet program",
    )
    deck = pptx.Presentation()
    for title in ("Shown", "Secret"):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        assert slide.shapes.title is not None
        slide.shapes.title.text = title
    slide._element.set("show", "0")
    document = read(tmp_path, "a.pptx", saved(deck))
    assert (document.text, document.notes) == ("# Shown", ("1 hidden slide",))
    word = docx.Document()
    paragraph = word.add_paragraph("Shown ")
    paragraph.add_run("secret").font.hidden = True
    math = "http://schemas.openxmlformats.org/officeDocument/2006/math"
    paragraph._p.append(
        parse_xml(f'<m:oMath {nsdecls("w")} xmlns:m="{math}"><m:r><m:t>E=m</m:t></m:r></m:oMath>')
    )
    assert read(tmp_path, "a.docx", saved(word)).text == "Shown E=m"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.xlsx", b"Name,Fee\nAda,5\n", "| Name: Ada | Fee: 5 |"),
        ("a.xlsx", b"<html><table><tr><td>a<td>b<tr><td>1<td>2</table>", "| 1 | 2 |"),
        ("a.docx", b"{\\rtf1 The limit}", "The limit"),
        ("a.docx", workbook(lambda book: book.active.append(["a", "b"])), "Columns: a, b"),
        ("a.md", page_with("The limit."), "The limit."),
        ("a.md", b"<!doctype html><p>The limit.", "The limit."),
    ],
)
def test_a_file_is_what_its_bytes_say(
    tmp_path: Path, name: str, data: bytes, expected: str
) -> None:
    assert expected in read(tmp_path, name, data).text


def test_a_file_inside_of_a_link_is_no_text(tmp_path: Path) -> None:
    cell = {"cell_type": "markdown", "source": f"![a]({IMAGE}) words"}
    for name, text in (
        ("a.md", f"![a]({IMAGE})\n\nwords"),
        ("a.html", f"<img src='{IMAGE}'><p>words"),
        ("a.ipynb", json.dumps({"cells": [cell], "nbformat": 4})),
    ):
        found = read(tmp_path, name, text.encode()).text
        assert "words" in found
        assert len(found) < 40


def test_a_mail_is_read_as_it_is_shown(tmp_path: Path) -> None:
    mail, inner = EmailMessage(), EmailMessage()
    mail["Subject"], inner["Subject"] = "Outer", "Inner"
    inner.set_content("\n")
    inner.add_alternative("<p>Forwarded <b>words</b></p>", subtype="html")
    mail.set_content("See below.")
    mail.add_attachment(inner)
    mail.add_attachment("left out", filename="a.txt")
    data = b"\xef\xbb\xbf" + mail.as_bytes()
    assert read(tmp_path, "a.eml", data).text == (
        "Subject: Outer\nAttachments, which were not read: a.txt\n\nSee below.\n\nForwarded words"
    )
    parts = "".join(f"--X\nContent-Type: text/plain\n\nPart {n}\n" for n in (1, 2))
    data = f"Received: x\nContent-Type: multipart/mixed; boundary=X\n\n{parts}--X--\n".encode()
    assert read(tmp_path, "b.eml", data).text == "Part 1\n\nPart 2"


def test_a_notebook_with_broken_cells_shows_results_as_they_are_drawn(tmp_path: Path) -> None:
    drawn = {
        "text/plain": ["<IPython.core.display.HTML object>"],
        "text/html": "<table><tr><td>a<td>b<tr><td>1<td>2</table>",
    }
    outputs = [None, {"output_type": "display_data", "data": drawn}]
    cells = [None, "x", {"cell_type": "code", "source": "show(1)", "outputs": outputs}]
    text = read(tmp_path, "a.ipynb", json.dumps({"cells": cells, "nbformat": 4}).encode()).text
    assert "| 1 | 2 |" in text
    assert "IPython" not in text


def test_what_is_filled_into_a_form_belongs_to_its_page(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=pypdf.PdfReader(io.BytesIO(page_with("Order form"))))
    area = ArrayObject([FloatObject(one) for one in (100, 600, 300, 620)])

    def mark(kind: str, **more: str) -> Any:
        texts = {NameObject(f"/{name}"): TextStringObject(text) for name, text in more.items()}
        names = {NameObject("/Subtype"): NameObject(kind), NameObject("/Rect"): area}
        return writer._add_object(DictionaryObject({**names, **texts}))

    marks = [mark("/Widget", T="customer", V="Ada Berg"), mark("/FreeText", Contents="urgent")]
    writer.pages[0][NameObject("/Annots")] = ArrayObject([*marks, mark("/Widget", T="empty")])
    stream = io.BytesIO()
    writer.write(stream)
    text = read(tmp_path, "a.pdf", stream.getvalue()).text
    assert text == "Order form\ncustomer: Ada Berg\nurgent"


def test_a_pdf_without_its_end_is_read(tmp_path: Path) -> None:
    data = page_with("The limit.")
    assert read(tmp_path, "a.pdf", data[: data.rindex(b"startxref")]).text == "The limit."
