"""E-books: the chapters in the order in which they are read."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree import ElementTree

from aegis_graph.components.documents.readers.archive import open_archive
from aegis_graph.components.documents.readers.content import (
    Content,
    RawDocument,
    Section,
    path_within,
    unfit,
)
from aegis_graph.components.documents.readers.encoding import decode
from aegis_graph.components.documents.readers.html import html_text

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html")
# Fonts are often obfuscated; a book whose pages are encrypted says another algorithm.
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def read(raw: RawDocument) -> Content:
    """The chapters, each a section."""
    with open_archive(raw.data) as archive:
        _refuse_protected(archive)
        container = ElementTree.fromstring(archive.read(_CONTAINER))
        package = next(
            (one.get("full-path") for one in container.iter() if _name(one) == "rootfile"), None
        )
        if package is None:
            raise unfit("broken", "an e-book without a list of its contents")
        root = ElementTree.fromstring(archive.read(package))
        title = next((one.text or "" for one in root.iter() if _name(one) == "title"), "").strip()
        return Content(list(_chapters(archive, root, posixpath.dirname(package), title)), title)


def _chapters(
    archive: zipfile.ZipFile, root: ElementTree.Element, folder: str, title: str
) -> Iterator[Section]:
    names = frozenset(archive.namelist())
    pages = {
        one.get("id"): path_within(folder, unquote(one.get("href") or ""))
        for one in root.iter()
        if _name(one) == "item" and one.get("media-type") in _PAGES
    }
    spine = [one.get("idref") for one in root.iter() if _name(one) == "itemref"] or list(pages)
    # A spine that names one page over and over would unpack it as often.
    for page in dict.fromkeys(pages[one] for one in spine if one in pages):
        if page in names:
            text, heading = html_text(decode(archive.read(page), declared=True))
            yield Section(text=text, heading=heading or title)


def _refuse_protected(archive: zipfile.ZipFile) -> None:
    if _ENCRYPTION not in archive.namelist():
        return
    for one in ElementTree.fromstring(archive.read(_ENCRYPTION)).iter():
        if _name(one) == "EncryptionMethod" and one.get("Algorithm") not in _FONTS:
            raise unfit("password", "an e-book under copy protection")


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
