"""PDF documents, each page a section. Pages that are pictures go to text recognition."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pypdf

from aegis_graph.components.documents.readers.columns import page_text
from aegis_graph.components.documents.readers.content import (
    Content,
    OcrReader,
    RawDocument,
    Section,
    unfit,
)
from aegis_graph.errors import AegisError

MAX_PAGES = 10_000
MAX_SCANNED_PAGES = 50
"""Pages of one document that are recognised: each takes a second or more of all cores."""
MIN_SCAN_SIDE = 200
"""Smaller pictures are logos and lines. In pixels."""
_INSTALL = "pip install 'aegis-graph[ocr]'"
_SILENT = logging.NullHandler()


def read(raw: RawDocument) -> Content:
    """The text of every page, also of one that an owner's password encrypts."""
    # What pypdf logs about odd files is for an application that asks for it, not for its terminal.
    logging.getLogger("pypdf").addHandler(_SILENT)
    reader = _opened(raw.data)
    if reader.is_encrypted and not reader.decrypt(""):
        raise unfit("password", "an encrypted PDF that needs a password; save it without")
    if not reader.pages:
        raise unfit("broken", "not a readable PDF (no pages); repair it")
    found = _Pages(raw.ocr)
    sections = list(found.sections(reader))
    if not any(section.text.strip() for section in sections):
        raise unfit(*found.why_empty())
    title = reader.metadata.title if reader.metadata is not None else None
    return Content(sections, str(title or "").strip(), list(found.notes()))


def _opened(data: bytes) -> pypdf.PdfReader:
    try:
        return pypdf.PdfReader(io.BytesIO(data))
    except pypdf.errors.PdfReadError:
        # The end of a file that was cut says where its objects are. Without it, they are searched.
        return pypdf.PdfReader(io.BytesIO(data + b"\nstartxref\n0\n%%EOF"))


class _Pages:
    """The pages of one document, and what was wrong with some."""

    def __init__(self, ocr: OcrReader | None) -> None:
        self._ocr = ocr
        self._scanned = 0
        self._unread = 0
        self._broken = 0
        self._cut = False
        self._why = ""

    def sections(self, reader: Any) -> Iterator[Section]:
        count = len(reader.pages)
        self._cut = count > MAX_PAGES
        for number in range(min(count, MAX_PAGES)):
            yield Section(text=self._text(reader, number), page=number + 1)

    def _text(self, reader: Any, number: int) -> str:
        try:
            page = reader.pages[number]
            text = "\n".join(filter(None, [page_text(page), *self._filled_in(page)]))
        # pypdf says itself that broken files may raise anything. The page is counted as broken.
        except Exception:  # noqa: BLE001 - it costs this page only
            self._broken += 1
            return ""
        return text if text.strip() else self._recognised(page)

    def _filled_in(self, page: Any) -> list[str]:
        try:
            return list(_filled_in(page))
        except Exception:  # noqa: BLE001 - a broken field must not cost the page's text
            return []

    def _recognised(self, page: Any) -> str:
        pictures = list(_scans(page))
        # Without a picture it is an empty page.
        if not pictures:
            return ""
        if self._ocr is None or self._scanned >= MAX_SCANNED_PAGES:
            self._unread += 1
            return ""
        self._scanned += 1
        try:
            return "\n\n".join(filter(None, map(self._ocr, pictures)))
        except AegisError as error:
            # Why the engine cannot be used, or what is wrong with this picture.
            self._why = str(error)
            self._unread += 1
            return ""

    def why_empty(self) -> tuple[str, str]:
        if self._broken:
            return "broken", f"none of its pages can be read ({self._broken} broken)"
        if self._unread and self._ocr is None:
            return "needs_extra", f"a PDF without text, perhaps a scan; reading it needs {_INSTALL}"
        if self._why:
            return "unreadable", f"a PDF without text, perhaps a scan; {self._why}"
        return "empty", "a PDF without text"

    def notes(self) -> Iterator[str]:
        if self._unread and self._ocr is None:
            yield f"{_pages(self._unread)} without text; reading them needs {_INSTALL}"
        elif self._why:
            yield f"{_pages(self._unread)} without text; {self._why}"
        elif self._unread:
            yield f"{_pages(self._unread)} without text, beyond the first {MAX_SCANNED_PAGES}"
        if self._broken:
            yield f"{_pages(self._broken)} broken"
        if self._cut:
            yield f"only its first {MAX_PAGES:,} pages were read"


def _pages(count: int) -> str:
    return f"{count} page{'' if count == 1 else 's'}"


def _filled_in(page: Any) -> Iterator[str]:
    """What was typed into the fields of a form, and onto the page."""
    for reference in page.get("/Annots") or ():
        mark = reference.get_object()
        kind, above = mark.get("/Subtype"), mark.get("/Parent")
        parent = {} if above is None else above.get_object()
        if kind == "/FreeText":
            yield str(mark.get("/Contents") or "").strip()
        elif kind == "/Widget":
            name = str(mark.get("/T") or parent.get("/T") or "").strip()
            value = mark.get("/V", parent.get("/V"))
            # A box that is ticked has the name of its state.
            text = str(value).removeprefix("/").strip() if isinstance(value, str) else ""
            if text and text != "Off":
                yield f"{name}: {text}" if name else text


def _scans(page: Any) -> Iterator[bytes]:
    """The pictures of a page that may be a scan."""
    names = page.images.keys()
    for name in names:
        try:
            picture = page.images[name]
            large = picture.image is not None and min(picture.image.size) >= MIN_SCAN_SIDE
        except Exception:  # noqa: BLE001 - a broken picture must not cost the page's others
            continue
        if large:
            yield picture.data
