"""Which reader reads what: the one table of them, by a file's ending and by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from aegis_graph.components.documents.readers.archive import OLE, member_names

_READERS = "aegis_graph.components.documents.readers"


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """A kind of document and its reader."""

    name: str
    """For people, after "not a readable"."""
    module: str
    """Where its function ``read`` is; imported when the first document of the kind is read."""
    suffixes: frozenset[str]
    extra: str | None = None
    """The extra of this package that its reader needs."""
    max_bytes: int = 50_000_000
    """Larger files are not read: how long that takes grows with them."""

    @property
    def path(self) -> str:
        """The module's full name."""
        return f"{_READERS}.{self.module}"


def _suffixes(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


TEXT = DocumentKind(
    "text file", "plain", _suffixes("txt text log org tex textile srt vtt"), max_bytes=100_000_000
)
PDF = DocumentKind("PDF", "pdf", _suffixes("pdf"), max_bytes=500_000_000)
HTML = DocumentKind("HTML page", "html", _suffixes("html htm xhtml"), max_bytes=20_000_000)
DOCX = DocumentKind("Word document", "docx", _suffixes("docx docm"), "documents", 200_000_000)
ODT = DocumentKind("OpenDocument text", "odt", _suffixes("odt ott"), max_bytes=200_000_000)
RTF = DocumentKind("RTF file", "rtf", _suffixes("rtf"), "documents", 20_000_000)
PPTX = DocumentKind("presentation", "pptx", _suffixes("pptx pptm ppsx"), "documents", 500_000_000)
XLSX = DocumentKind("workbook", "xlsx", _suffixes("xlsx xlsm"), "documents", 100_000_000)
EPUB = DocumentKind("e-book", "epub", _suffixes("epub"), max_bytes=200_000_000)
MAIL = DocumentKind("e-mail", "mail", _suffixes("eml mbox"), max_bytes=200_000_000)
MARKITDOWN = DocumentKind(
    "document", "converted", _suffixes("xls msg rss atom"), "markitdown", 50_000_000
)
MARKDOWN = DocumentKind(
    "Markdown file",
    "markdown",
    _suffixes("md markdown mdown mkd mdx rmd qmd"),
    max_bytes=100_000_000,
)
TABLE = DocumentKind("table", "delimited", _suffixes("csv tsv tab"), max_bytes=100_000_000)
ARCHIVES = (DOCX, ODT, PPTX, XLSX, EPUB)

KINDS = (
    TEXT,
    MARKDOWN,
    DocumentKind("AsciiDoc file", "asciidoc", _suffixes("adoc asciidoc asc")),
    DocumentKind(
        "reStructuredText file", "restructured_text", _suffixes("rst rest"), "documents", 1_000_000
    ),
    HTML,
    DOCX,
    ODT,
    RTF,
    PPTX,
    XLSX,
    TABLE,
    EPUB,
    DocumentKind("notebook", "notebook", _suffixes("ipynb"), max_bytes=100_000_000),
    MAIL,
    PDF,
    DocumentKind(
        "text file",
        "code",
        _suffixes(
            "py pyi js mjs cjs jsx ts tsx vue svelte java kt kts scala groovy c h cc cpp cxx hpp hh"
            " cs go rs rb php pl pm swift m mm r jl lua sh bash zsh fish ps1 bat cmd sql graphql"
            " proto ex exs erl hs ml fs fsx clj lisp el vim dart zig nim css scss less"
            " json jsonl yaml yml toml ini cfg conf properties xml tf gradle cmake mk"
        ),
        max_bytes=10_000_000,
    ),
    MARKITDOWN,
)
"""Every kind, in the order of ``docs/documents.md``."""

_BY_SUFFIX = {suffix: kind for kind in KINDS for suffix in kind.suffixes}
# What follows the last dot of "notes 2024.11" or "v1.2 draft" is no kind of file.
_SUFFIX = re.compile(r"\.(?=\w*[a-z])\w{1,10}")
SNIFFED_BYTES = 4096


def suffix_of(path: Path) -> str:
    """The ending that says what a file is, in lower case; empty where the name has none."""
    suffix = path.suffix.lower()
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def kind_by_name(path: Path, *, converted: Collection[str] = ()) -> DocumentKind | None:
    """The kind that a file's name says.

    Args:
        path: The file.
        converted: Endings that markitdown is to read instead of the reader here.
    """
    suffix = suffix_of(path)
    return MARKITDOWN if suffix in converted else _BY_SUFFIX.get(suffix)


def kind_by_content(start: bytes) -> DocumentKind | None:
    """The kind that a file's first bytes say, where its name says none; ``None`` for a binary."""
    if start.startswith(b"%PDF-"):
        return PDF
    if start.startswith((b"PK\x03\x04", OLE)):
        return None
    if start.startswith(b"{\\rtf"):
        return RTF
    if re.match(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!doctype\s+html|<html)", start, re.IGNORECASE):
        return HTML
    if re.match(rb"From \S+ .*\n(?:[\w-]+: |>)", start):
        return MAIL
    if start.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        return TEXT
    return None if b"\0" in start else TEXT


def kind_of_archive(data: bytes) -> DocumentKind | None:
    """The kind of an archive whose name says none, by what is in it."""
    names = member_names(data)
    inside = {
        "word/document.xml": DOCX,
        "ppt/presentation.xml": PPTX,
        "xl/workbook.xml": XLSX,
        "META-INF/container.xml": EPUB,
    }
    return next((kind for name, kind in inside.items() if name in names), None)
