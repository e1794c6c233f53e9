"""Reads one document, whatever its kind: the boundary at which foreign errors become one line."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from aegis_graph.components.documents.readers.archive import OLE
from aegis_graph.components.documents.readers.content import (
    MAX_TEXT_CHARS,
    Content,
    OcrReader,
    RawDocument,
    Section,
    SourceDocument,
)
from aegis_graph.components.documents.readers.kinds import (
    ARCHIVES,
    MARKDOWN,
    SNIFFED_BYTES,
    TABLE,
    TEXT,
    XLSX,
    DocumentKind,
    kind_by_content,
    kind_by_name,
    kind_of_archive,
    suffix_of,
)
from aegis_graph.components.documents.readers.markup import without_embedded
from aegis_graph.components.documents.sources import shown
from aegis_graph.errors import AegisError, DocumentError
from aegis_graph.text.foreign import whole_characters


@dataclass(frozen=True)
class DocumentReader:
    """Reads documents; what takes long to build is built once, for all of them.

    Example:
        >>> DocumentReader().readable(Path("README"))  # doctest: +SKIP
        True
    """

    converted: Collection[str] = field(default_factory=frozenset)
    """Endings, such as ``.docx``, that markitdown is to read instead of the reader here."""

    def readable(self, path: Path) -> bool:
        """Whether a file is of a kind that is read: by its ending, without one by what is in it.

        Raises:
            OSError: It cannot be opened.
        """
        if kind_by_name(path, converted=self.converted) is not None:
            return True
        return not suffix_of(path) and self._sniffed(path) is not None

    def read(self, path: Path, *, source: str | None = None) -> SourceDocument:
        """Read a document.

        Args:
            path: The file.
            source: Its name in passages and prompts; the file's name when absent.

        Raises:
            DocumentError: In one line why it cannot be read; ``reason`` is the case.
        """
        source = shown(path.name) if source is None else source
        try:
            return self._read(path, source)
        except DocumentError as error:
            raise DocumentError.because(error.reason, f"{source}: {error}") from error
        except OSError as error:
            why = f"{(error.strerror or type(error).__name__).lower()}; allow reading it"
            raise DocumentError.because("unreadable", f"{source}: {why}") from error

    def _read(self, path: Path, source: str) -> SourceDocument:
        kind = kind_by_name(path, converted=self.converted)
        if kind is None and not suffix_of(path):
            kind = self._sniffed(path)
        if kind is None:
            raise DocumentError.because("other_kind", f"{suffix_of(path) or 'no'} kind of document")
        size = path.stat().st_size
        if size > kind.max_bytes:
            most = f"{kind.max_bytes // 1_000_000} MB"
            raise DocumentError.because(
                "too_large", f"{size:,} bytes, and a {kind.name} is read up to {most}"
            )
        data = path.read_bytes()
        raw = RawDocument(data=data, suffix=suffix_of(path), ocr=self._ocr)
        content, sections = _read_as(_true_kind(kind, data), raw)
        return SourceDocument(
            path=path,
            source=source,
            title=" ".join(content.title.split())[:_MAX_TITLE_CHARS],
            sections=sections,
            notes=tuple(content.notes),
        )

    def _sniffed(self, path: Path) -> DocumentKind | None:
        with path.open("rb") as file:
            start = file.read(SNIFFED_BYTES)
        if start.startswith(b"PK\x03\x04"):
            return kind_of_archive(path.read_bytes())
        return kind_by_content(start)

    @cached_property
    def _ocr(self) -> OcrReader | None:
        # Only found here, and loaded by the first picture: most documents are no scans.
        found = all(importlib.util.find_spec(name) for name in ("rapidocr", "onnxruntime"))
        return _LazyOcr() if found else None


_MAX_TITLE_CHARS = 300


class _LazyOcr:
    """The engine of the ``ocr`` extra, on this machine."""

    def __init__(self) -> None:
        self._engine: Any = None

    def __call__(self, picture: bytes) -> str:
        if self._engine is None:
            module = importlib.import_module("aegis_graph.providers.ocr.engine")
            self._engine = module.OcrEngine()
        return str(self._engine.read(picture).text)


def _true_kind(kind: DocumentKind, data: bytes) -> DocumentKind:
    """What a file is whose first bytes say something else than its ending."""
    start = data[:SNIFFED_BYTES]
    if kind in ARCHIVES and not start.startswith(OLE):
        # Programs write tables as text or HTML, and call them workbooks.
        is_archive = start.startswith(b"PK")
        found = kind_of_archive(data) if is_archive else kind_by_content(start)
        return TABLE if kind is XLSX and found is TEXT else found or kind
    if kind is TEXT or kind is MARKDOWN:
        found = kind_by_content(start)
        return found if found is not None and found is not TEXT else kind
    return kind


def _read_as(kind: DocumentKind, raw: RawDocument) -> tuple[Content, tuple[Section, ...]]:
    if not raw.data:
        raise DocumentError.because("empty", f"an empty file, not a {kind.name}")
    try:
        content: Content = importlib.import_module(kind.path).read(raw)
        sections = _bounded(content)
    except DocumentError:
        raise
    except AegisError as error:
        raise DocumentError.because("unreadable", str(error)) from error
    # What libraries raise over broken and hostile files is anything, also that Python nests no
    # deeper and that memory ends: none of it may cost the answer from the other documents.
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and kind.extra is not None:
            install = f"needs pip install 'aegis-graph[{kind.extra}]'"
            raise DocumentError.because("needs_extra", install) from error
        why = f"not a readable {kind.name} ({type(error).__name__}); repair it"
        raise DocumentError.because("broken", why) from error
    if not any(section.text.strip() for section in sections):
        raise DocumentError.because("empty", "no text in it")
    return content, sections


def _bounded(content: Content) -> tuple[Section, ...]:
    left = MAX_TEXT_CHARS
    sections: list[Section] = []
    for section in content.sections:
        if len(section.text) > left:
            content.notes.append(f"only its first {MAX_TEXT_CHARS:,} characters were read")
            break
        left -= len(section.text)
        sections.append(replace(section, text=_valid(section.text)))
    return tuple(sections)


def _valid(text: str) -> str:
    """A text that any prompt, file and database takes."""
    # Some PDFs have halves of characters.
    return whole_characters(without_embedded(text.replace("\0", "")))
