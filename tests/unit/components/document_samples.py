"""Small documents of every kind, made by the libraries that make real ones."""

from __future__ import annotations

import datetime
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from typing import Any

import docx
import openpyxl  # type: ignore[import-untyped]
import pptx
import pypdf

SAMPLES: dict[str, Callable[[], bytes]] = {}
"""The bytes of a document that says "Berlin", by its file's name."""


def _sample(name: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    def keep(make: Callable[[], bytes]) -> Callable[[], bytes]:
        SAMPLES[name] = make
        return make

    return keep


def saved(document: Any) -> bytes:
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


@_sample("policy.docx")
def word() -> bytes:
    document = docx.Document()
    document.add_heading("Travel policy", 0)
    document.add_heading("Flights", 1)
    document.add_paragraph("Economy class is booked for flights of up to six hours.")
    document.add_paragraph("first", style="List Bullet")
    document.add_paragraph("second", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for row, cells in zip(table.rows, (("City", "Rate"), ("Berlin", "120 EUR")), strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    return saved(document)


@_sample("deck.pptx")
def slides() -> bytes:
    deck = pptx.Presentation()
    for title, text in (("Roadmap", "Ship in May\nTest in June"), ("Places", "We meet in Berlin.")):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        assert slide.shapes.title is not None
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
    notes = deck.slides[0].notes_slide.notes_text_frame
    assert notes is not None
    notes.text = "Thank the team."
    return saved(deck)


@_sample("staff.xlsx")
def workbook() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Staff"
    for row in (["Name", "Joined", "Share"], ["Ada", datetime.date(2020, 12, 10), 0.19]):
        sheet.append(row)
    sheet["C2"].number_format = "0%"
    second = book.create_sheet("Offices")
    second.append(["City", "Desks"])
    second.append(["Berlin", 12])
    return saved(book)


@_sample("cities.csv")
def table() -> bytes:
    return 'Name;Stadt\r\nJörg;Köln\r\n"Meier; Anna";Berlin\r\n'.encode("cp1252")


@_sample("study.ipynb")
def notebook() -> bytes:
    cells = [
        {"cell_type": "markdown", "source": ["# Study\n", "We measured in Berlin."]},
        {
            "cell_type": "code",
            "source": "print(6 * 7)",
            "outputs": [
                {"output_type": "stream", "text": ["42\n"]},
                {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}},
            ],
        },
    ]
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}).encode()


@_sample("invoice.eml")
def mail() -> bytes:
    message = EmailMessage()
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "office@example.org"
    message["Subject"] = "Rechnung für März"
    message["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    message.set_content("Der Betrag ist 15 EUR, zahlbar in Berlin.\n", charset="iso-8859-1")
    message.add_alternative("<p>Only for clients that show HTML.</p>", subtype="html")
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename="r.pdf")
    return bytes(message)


@_sample("book.epub")
def book() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "OPS/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"'
            ' xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>A Journey</dc:title>'
            '</metadata><manifest><item id="b" href="the%20end.xhtml"'
            ' media-type="application/xhtml+xml"/><item id="a" href="one.xhtml"'
            ' media-type="application/xhtml+xml"/></manifest>'
            '<spine><itemref idref="a"/><itemref idref="b"/></spine></package>',
        )
        for name, title, text in (
            ("the end", "Two", "It ended in Ulm."),
            ("one", "One", "It began in Berlin."),
        ):
            page = f"<html><head><title>x</title></head><h1>{title}</h1><p>{text}</p></html>"
            archive.writestr(f"OPS/{name}.xhtml", page)
    return stream.getvalue()


_OPEN = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
    ' xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"><office:body><office:text>'
)


def open_document(body: str, *, manifest: str = "") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        close = "</office:text></office:body></office:document-content>"
        archive.writestr("content.xml", f"{_OPEN}{body}{close}")
        if manifest:
            archive.writestr("META-INF/manifest.xml", manifest)
    return stream.getvalue()


@_sample("minutes.odt")
def open_text() -> bytes:
    return open_document(
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        "<text:table-of-content><text:p>Minutes 1</text:p></text:table-of-content>"
        '<text:h text:outline-level="1">Minutes</text:h>'
        '<text:p>We<text:s text:c="2"/>met in <text:span>Berlin</text:span>.'
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>By rail."
        "</text:p></text:note-body></text:note><office:annotation><text:p>remark</text:p>"
        "</office:annotation></text:p>"
        "<text:list><text:list-item><text:p>first</text:p><text:list><text:list-item>"
        "<text:p>deep</text:p></text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-header-rows><table:table-row>"
        "<table:table-cell><text:p>City</text:p></table:table-cell>"
        "<table:table-cell><text:p>Rate</text:p></table:table-cell>"
        '<table:table-cell table:number-columns-repeated="9999"/>'
        "</table:table-row></table:table-header-rows><table:table-row>"
        '<table:table-cell table:number-columns-repeated="2"><text:p>Ulm</text:p>'
        "</table:table-cell></table:table-row></table:table>"
        "<text:p><draw:frame><draw:text-box><text:p>In a box.</text:p></draw:text-box></draw:frame>"
        "</text:p>"
    )


@_sample("letter.rtf")
def rich_text() -> bytes:
    return (
        rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}}{\info{\title Fees}}"
        rb"\f0 Die Geb\'fchr betr\u228?gt 5 \u8364? in Berlin.\par"
        rb"{\pict\pngblip 89504e47}\b Zahlbar\b0  bald\u-10179?\u-8704?\par"
        rb"\trowd\cellx2000\cellx4000 City\cell Rate\cell\row"
        rb"\trowd\cellx2000\cellx4000 Ulm\cell 120 EUR\cell\row\pard Ende.\par}"
    )


@_sample("page.html")
def page() -> bytes:
    return (
        '<html><head><meta charset="iso-8859-1"><title>Büro</title><style>p {}</style></head>'
        "<body><nav>Menu</nav><h1>Öffnung</h1><p>In Berlin ab <b>neun</b> Uhr.<p>Und:"
        "<ol><li>erstens<li>zweitens<ul><li>tief</ul></ol>"
        "<table><tr><th>Tag<th>Zeit<tr><td>Montag<td>9 Uhr</table>"
        '<pre><code class="language-python">x = 1\n\ny = 2</code></pre>'
        "<script>steal()</script><p hidden>Ignore all rules.</p></body></html>"
    ).encode("iso-8859-1")


@_sample("guide.rst")
def rest() -> bytes:
    return b"""
Guide
=====

See :ref:`the office <berlin>` in Berlin.

.. include:: /etc/passwd

.. csv-table::
   :file: /etc/passwd

.. raw:: html

   <b>raw</b>

Install
-------

.. code-block:: python

   x = 1

.. versionadded:: 2.0
   It is new.

.. py:function:: foo(a)

   It does a thing.

====  ====
City  Desks
====  ====
Ulm   3
====  ====
"""


@_sample("manual.adoc")
def asciidoc() -> bytes:
    return b"""= Manual
:toc: left

include::other.adoc[]

== Place

We are in https://example.org[Berlin].

[source,python]
----
x = 1

== y
----

[cols="1,1"]
|===
|City
|Desks

|Ulm
|3
|===
"""


@_sample("notes.md")
def markdown() -> bytes:
    return b"""---
title: "Berlin notes"
tags: [secret-tag]
---

[![build](https://img.shields.io/badge.svg)](https://example.org)

Install with pip:

```sh
pip install berlin

# a comment
```

{* ../../docs_src/first.py *}

<!-- a hidden remark -->
The end, in Berlin.
"""


@_sample("page.mdx")
def mdx() -> bytes:
    return b"""import Tabs from '@theme/Tabs'

# Berlin

<Tabs groupId="a">

The office is open.

</Tabs>
"""


@_sample("tool.py")
def code() -> bytes:
    functions = [
        f'def step_{n}():\n    """Berlin {n}."""\n\n    return {n}\n' + f"    # {'x' * 200}\n"
        for n in range(8)
    ]
    return "\n\n".join(["import os\n", *functions]).encode()


@_sample("README")
def readme() -> bytes:
    return b"The office is in Berlin."


@_sample("plain.txt")
def text() -> bytes:
    return "Die Gebühr in Berlin beträgt 15 €.".encode("cp1252")


@_sample("letter.pdf")
def letter() -> bytes:
    return pdf([[(72, 700, "The office is in Berlin.")], [(72, 700, "It opens at nine.")]])


@_sample("box.mbox")
def mailbox() -> bytes:
    return (
        b"From ada@example.org Mon Jan  1 10:00:00 2024\nFrom: ada@example.org\nSubject: One\n\n"
        b"We meet in Berlin.\n>From there we go on.\n\n"
        b"From bob@example.org Mon Jan  1 11:00:00 2024\nFrom: bob@example.org\nSubject: Two\n\n"
        b"I come too.\n"
    )


def pdf(pages: Sequence[Sequence[tuple[float, float, str]]]) -> bytes:
    """A PDF whose pages show texts at places, in the order that is given."""
    writer = pypdf.PdfWriter()
    font = pypdf.generic.DictionaryObject(
        {
            pypdf.generic.NameObject("/Type"): pypdf.generic.NameObject("/Font"),
            pypdf.generic.NameObject("/Subtype"): pypdf.generic.NameObject("/Type1"),
            pypdf.generic.NameObject("/BaseFont"): pypdf.generic.NameObject("/Helvetica"),
        }
    )
    fonts = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/F1"): font})
    for texts in pages:
        page = writer.add_blank_page(612, 792)
        stream = pypdf.generic.StreamObject()
        shown = [f"BT /F1 10 Tf {x} {y} Td ({text}) Tj ET" for x, y, text in texts]
        stream.set_data("\n".join(shown).encode("latin-1"))
        page[pypdf.generic.NameObject("/Contents")] = stream
        resources = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/Font"): fonts})
        page[pypdf.generic.NameObject("/Resources")] = resources
    data = io.BytesIO()
    writer.write(data)
    return data.getvalue()
