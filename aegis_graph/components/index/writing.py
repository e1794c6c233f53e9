"""Documents on their way into an index: a batch of them in one transaction, each whole or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aegis_graph.components.documents.readers.content import SourceDocument
from aegis_graph.components.index.stems import Stemmer, endings
from aegis_graph.components.index.texts import digest_of
from aegis_graph.text.passages import Passage, text_in_place
from aegis_graph.text.words import language_of
from aegis_graph.types import Sensitivity

_LANGUAGE_CHARS = 4000
"""Characters of a document that tell its language."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentEntry:
    """A document as the index is to have it."""

    path: bytes
    source: str
    size: int
    mtime_ns: int
    hash: bytes
    sensitivity: Sensitivity | None
    abilities: str
    document: SourceDocument | None
    """``None`` where it cannot be read."""
    reason: str | None = None
    message: str | None = None


class DocumentWriter:
    """Writes documents into an index, inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._stemmer = Stemmer()

    def write(self, entry: DocumentEntry) -> None:
        """Put a document in the place of what the index has of its file."""
        document = entry.document
        if document is None:
            self._document_row(entry, title="")
            return
        passages = [one for one in document.passages() if one.text.strip()]
        # Most files name themselves by their first heading only.
        title = document.title or next((one.heading for one in passages[:1]), "")
        row = self._document_row(entry, title=title)
        found = self._connection.execute("SELECT coalesce(max(id), 0) + 1 FROM passages")
        start = int(found.fetchone()[0])
        texts = [text_in_place(title, one) for one in passages]
        self._passages(passages, texts, document=row, start=start)
        language = language_of(document.text[:_LANGUAGE_CHARS])
        name = Path(entry.source).stem
        words = []
        for number, (passage, text) in enumerate(zip(passages, texts, strict=True), start=start):
            stems = self._stemmer.stems(f"{name}\n{text}", language)
            words.append((number, passage.text, " ".join(stems), endings(stems)))
        self._connection.executemany(
            "INSERT INTO words (rowid, text, stems, endings) VALUES (?, ?, ?, ?)", words
        )

    def remove(self, documents: Sequence[int]) -> None:
        """Take documents out, with their passages."""
        for document in documents:
            self._clear(document)
            self._connection.execute("DELETE FROM documents WHERE id = ?", (document,))

    def _document_row(self, entry: DocumentEntry, *, title: str) -> int:
        found = self._connection.execute(
            "SELECT id FROM documents WHERE path = ?", (entry.path,)
        ).fetchone()
        if found is not None:
            self._clear(found[0])
        facts = (entry.source, title, entry.size, entry.mtime_ns, entry.hash, entry.sensitivity)
        reading = (entry.reason, entry.message, entry.abilities)
        row = self._connection.execute(
            "INSERT INTO documents (path, source, title, size, mtime_ns, hash, sensitivity, reason,"
            " message, abilities) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (path) DO UPDATE SET source = excluded.source, title = excluded.title,"
            " size = excluded.size, mtime_ns = excluded.mtime_ns, hash = excluded.hash,"
            " sensitivity = excluded.sensitivity, reason = excluded.reason,"
            " message = excluded.message, abilities = excluded.abilities RETURNING id",
            (entry.path, *facts, *reading),
        ).fetchone()
        return int(row[0])

    def _passages(
        self, passages: Sequence[Passage], texts: Sequence[str], *, document: int, start: int
    ) -> None:
        rows = []
        for place, (one, text) in enumerate(zip(passages, texts, strict=True)):
            first, last = one.lines or (None, None)
            where = (one.start, one.heading, one.page, one.slide, one.sheet, first, last)
            rows.append((start + place, document, place, *where, digest_of(text)))
        self._connection.executemany(
            "INSERT INTO passages (id, document, place, start, heading, page, slide, sheet,"
            " first_line, last_line, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def _clear(self, document: int) -> None:
        self._connection.execute(
            "DELETE FROM words WHERE rowid IN (SELECT id FROM passages WHERE document = ?)",
            (document,),
        )
        self._connection.execute("DELETE FROM passages WHERE document = ?", (document,))
