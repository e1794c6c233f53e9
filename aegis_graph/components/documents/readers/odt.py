"""OpenDocument texts, as LibreOffice writes them: headings, paragraphs, lists and tables."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from aegis_graph.components.documents.readers.archive import open_archive
from aegis_graph.components.documents.readers.content import Content, RawDocument, Section, unfit
from aegis_graph.components.documents.readers.rows import cell_text, markdown_table

_NAMESPACE = "urn:oasis:names:tc:opendocument:xmlns"
_TEXT, _TABLE = f"{{{_NAMESPACE}:text:1.0}}", f"{{{_NAMESPACE}:table:1.0}}"
_OFFICE, _MANIFEST = f"{{{_NAMESPACE}:office:1.0}}", f"{{{_NAMESPACE}:manifest:1.0}}"
_LISTED = "META-INF/manifest.xml"
_GONE = frozenset(
    {
        f"{_TEXT}tracked-changes",
        f"{_TEXT}table-of-content",
        f"{_TEXT}note-citation",
        f"{_OFFICE}annotation",
    }
)
"""What was deleted, headings once more, the signs of notes, and remarks beside the text."""
_NOTE = f"{_TEXT}note"
_MOST_NESTING = 20
_MOST_REPEATED = 64
"""Cells and spaces that may be said to be alike."""


def read(raw: RawDocument) -> Content:
    """The text of the document's body, with its notes where their signs stand."""
    with open_archive(raw.data) as archive:
        # A password leaves the archive open, and encrypts what is in it.
        if _LISTED in archive.namelist() and any(
            one.tag == f"{_MANIFEST}encryption-data"
            for one in ElementTree.fromstring(archive.read(_LISTED)).iter()
        ):
            raise unfit("password", "has a password; save it without")
        root = ElementTree.fromstring(archive.read("content.xml"))
    body = root.find(f"{_OFFICE}body/{_OFFICE}text")
    if body is None:
        raise unfit("broken", "an OpenDocument file without a text")
    blocks = list(_blocks(body, 0))
    title = next((text.lstrip("# ") for text in blocks if text.startswith("#")), "")
    return Content([Section(text="\n\n".join(blocks))], title)


def _blocks(parent: ElementTree.Element, depth: int) -> Iterator[str]:
    # A document may be nested on purpose, deeper than Python follows.
    if depth > _MOST_NESTING:
        return
    for child in parent:
        if child.tag == f"{_TEXT}h":
            level = child.get(f"{_TEXT}outline-level", "1")
            marks = "#" * min(int(level) if level.isdigit() else 1, 6)
            if text := " ".join(_text(child).split()):
                yield f"{marks} {text}"
        elif child.tag == f"{_TEXT}p":
            if text := _text(child).strip():
                yield text
        elif child.tag == f"{_TEXT}list":
            if items := "\n".join(_items(child, depth)):
                yield items
        elif child.tag == f"{_TABLE}table":
            if table := markdown_table(_rows(child, depth)):
                yield table
        elif child.tag not in _GONE:
            yield from _blocks(child, depth + 1)


def _items(parent: ElementTree.Element, depth: int, level: int = 0) -> Iterator[str]:
    if depth > _MOST_NESTING:
        return
    for item in parent:
        for child in item:
            if child.tag == f"{_TEXT}list":
                yield from _items(child, depth + 1, level + 1)
            elif text := " ".join(_text(child).split()):
                yield f"{'  ' * min(level, 6)}- {text}"


def _rows(parent: ElementTree.Element, depth: int) -> Iterator[list[str]]:
    for child in parent:
        if child.tag == f"{_TABLE}table-row":
            yield list(_cells(child, depth))
        # Groups of rows, among them those that are the table's head.
        elif child.tag.startswith(f"{_TABLE}table-"):
            yield from _rows(child, depth)


def _cells(row: ElementTree.Element, depth: int) -> Iterator[str]:
    empty = 0
    for cell in row:
        again = cell.get(f"{_TABLE}number-columns-repeated", "1")
        count = min(int(again) if again.isdigit() else 1, _MOST_REPEATED)
        text = cell_text("\n".join(_blocks(cell, depth + 1)))
        if not text:
            empty += count
            continue
        # Empty ones at the end of a row are the rest of the sheet.
        yield from [""] * min(empty, _MOST_REPEATED) + [text] * count
        empty = 0


def _text(element: ElementTree.Element) -> str:
    """What a reader sees of a paragraph: with spaces, tabs and line breaks, and its notes."""
    parts = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            again = child.get(f"{_TEXT}c", "1")
            parts.append(" " * min(int(again) if again.isdigit() else 1, _MOST_REPEATED))
        elif child.tag == f"{_TEXT}tab":
            parts.append("\t")
        elif child.tag == f"{_TEXT}line-break":
            parts.append("\n")
        elif child.tag == _NOTE:
            parts.append(f" ({' '.join(_text(child).split())})")
        elif child.tag not in _GONE:
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
