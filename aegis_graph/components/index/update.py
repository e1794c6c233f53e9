"""One update of an index: what changed is read again, what is gone goes, the rest stays."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aegis_graph.clock import Clock
from aegis_graph.components.documents.files import DocumentSet, OnFile
from aegis_graph.components.documents.folders import DocumentFile
from aegis_graph.components.documents.skipped import SkippedDocument, as_reason
from aegis_graph.components.documents.sources import shown, source_names
from aegis_graph.components.index.changes import FileReader, ReadFile
from aegis_graph.components.index.contents import (
    KnownDocument,
    fewest,
    is_below,
    is_gone,
    is_hidden,
    known_documents,
    left_out_of,
    root_of,
    roots_of,
    status_of,
)
from aegis_graph.components.index.database import IndexFile
from aegis_graph.components.index.marks import SensitivityMarks
from aegis_graph.components.index.removal import bring_back
from aegis_graph.components.index.report import UpdateReport
from aegis_graph.components.index.vector_store import drop_unused_vectors
from aegis_graph.components.index.writing import DocumentEntry, DocumentWriter
from aegis_graph.errors import DocumentError
from aegis_graph.types import Sensitivity

_BATCH_S = 1.0
"""Seconds after which what was read is written: so much of the work is lost at most."""
_BATCH_CHARS = 4_000_000
"""Characters of text after which it is written: so much is held in memory."""
_BATCH_ROWS = 5_000


@dataclass
class _Batch:
    """What is to be written in one transaction."""

    entries: list[DocumentEntry] = field(default_factory=list)
    facts: list[tuple[object, ...]] = field(default_factory=list)
    """Of documents whose passages stay: source, sensitivity, size, time; and which it is."""
    chars: int = 0
    since: float = field(default_factory=time.monotonic)

    def is_full(self) -> bool:
        return (
            self.chars > _BATCH_CHARS
            or len(self.facts) > _BATCH_ROWS
            or time.monotonic() - self.since > _BATCH_S
        )


class IndexUpdate:
    """One update; ``run`` does it.

    Args:
        file: The index.
        connection: It, opened to be written.
        marks: How private files are.
        clock: Returns the present as an aware datetime in UTC.
    """

    def __init__(
        self,
        file: IndexFile,
        connection: sqlite3.Connection,
        *,
        marks: SensitivityMarks,
        clock: Clock,
    ) -> None:
        self._file = file
        self._connection = connection
        self._marks = marks
        self._clock = clock
        self._writer = DocumentWriter(connection)
        self._batch = _Batch()
        self._added = self._changed = self._unchanged = 0
        self._skipped: list[SkippedDocument] = []

    def run(self, paths: Sequence[Path], *, on_file: OnFile | None = None) -> UpdateReport:
        """Update what is below some paths, or all that the index has where none is given."""
        given = [Path(os.path.abspath(path)) for path in paths]
        left_out = bring_back(self._file, self._connection, given)
        scanned = given or roots_of(self._connection)
        if not scanned:
            raise DocumentError(f"{self._file.path}: nothing is indexed yet; name a folder or file")
        known = known_documents(self._connection, scanned)
        # A path that is not there is a mistake, unless the index has documents from it.
        gone = [
            one for one in scanned if is_gone(one) and any(is_below(path, [one]) for path in known)
        ]
        there = [one for one in scanned if one not in gone]
        found: set[bytes] = set()
        if there:
            documents = DocumentSet(there)
            files = [
                one for one in documents.files if not is_below(os.fsencode(one.path), left_out)
            ]
            found = {os.fsencode(file.path) for file in files}
            self._skipped += documents.skipped
            self._read_all(documents, files, there, known, on_file)
        removed = self._remove([one for path, one in known.items() if self._goes(path, found)])
        self._forget(gone)
        return UpdateReport(
            added=self._added,
            changed=self._changed,
            removed=removed,
            unchanged=self._unchanged,
            skipped=tuple(self._skipped),
            status=status_of(self._connection),
        )

    def _read_all(
        self,
        documents: DocumentSet,
        files: Sequence[DocumentFile],
        there: Sequence[Path],
        known: dict[bytes, KnownDocument],
        on_file: OnFile | None,
    ) -> None:
        # Before anything is written: with a wrong mark, what is private would be taken for public.
        levels = [self._marks.of(file.path) for file in files]
        files = self._named(files, self._keep_roots(there), there)
        reader = FileReader(documents, self._clock)
        for number, (file, level) in enumerate(zip(files, levels, strict=True), start=1):
            if on_file is not None:
                on_file(file.path, number, len(files))
            before = known.get(os.fsencode(file.path))
            read = reader.read(file, before)
            if read is None:
                continue  # It went since it was found, and goes from the index with the others.
            if before is not None and read.is_same:
                self._stays(before, file, level, read)
            else:
                self._add(file, level, read, reader.abilities)
                self._added += before is None
                self._changed += before is not None
            if self._batch.is_full():
                self._flush()
        self._flush()

    def _keep_roots(self, there: Sequence[Path]) -> list[Path]:
        before = roots_of(self._connection)
        roots = fewest([*before, *there])
        if set(roots) != set(before):
            with self._file.transaction(self._connection):
                self._connection.execute("DELETE FROM roots")
                rows = [(os.fsencode(one),) for one in roots]
                self._connection.executemany("INSERT INTO roots VALUES (?)", rows)
        return roots

    def _named(
        self, files: Sequence[DocumentFile], roots: Sequence[Path], scanned: Sequence[Path]
    ) -> list[DocumentFile]:
        """The files with names that no other document of the index has."""
        rows = self._connection.execute("SELECT path, source, id FROM documents").fetchall()
        others = [row for row in rows if not is_below(row[0], scanned)]
        if not others and set(roots) == set(scanned):
            return list(files)  # They have such names already.
        paths = [one.path for one in files] + [Path(os.fsdecode(row[0])) for row in others]
        names = source_names([(path, root_of(path, roots)) for path in paths])
        renamed = [
            (name, row[2])
            for name, row in zip(names[len(files) :], others, strict=True)
            if name != row[1]
        ]
        with self._file.transaction(self._connection):
            self._connection.executemany("UPDATE documents SET source = ? WHERE id = ?", renamed)
        own = zip(files, names[: len(files)], strict=True)
        return [replace(one, source=name) for one, name in own]

    def _stays(
        self, known: KnownDocument, file: DocumentFile, level: Sensitivity | None, read: ReadFile
    ) -> None:
        self._unchanged += 1
        self._skip(file.source, known.reason, known.message)
        facts = (file.source, level, read.stamp)
        if facts != (known.source, known.sensitivity, known.stamp):
            self._batch.facts.append((file.source, level, *read.stamp, known.id, known.hash))

    def _add(
        self, file: DocumentFile, level: Sensitivity | None, read: ReadFile, abilities: str
    ) -> None:
        self._skip(file.source, read.reason, read.message)
        entry = DocumentEntry(
            path=os.fsencode(file.path),
            source=file.source,
            size=read.stamp.size,
            mtime_ns=read.stamp.mtime_ns,
            hash=read.hash,
            sensitivity=level,
            abilities=abilities,
            document=read.document,
            reason=read.reason,
            message=read.message,
        )
        self._batch.entries.append(entry)
        sections = () if read.document is None else read.document.sections
        self._batch.chars += sum(len(section.text) for section in sections)

    def _skip(self, source: str, reason: str | None, message: str | None) -> None:
        if reason is not None:
            one = SkippedDocument(source=source, reason=as_reason(reason), message=message or "")
            self._skipped.append(one)

    def _flush(self) -> None:
        batch, self._batch = self._batch, _Batch()
        if not batch.entries and not batch.facts:
            return
        with self._file.transaction(self._connection):
            # Another process may have read a later state of the file meanwhile.
            self._connection.executemany(
                "UPDATE documents SET source = ?, sensitivity = ?, size = ?, mtime_ns = ?"
                " WHERE id = ? AND hash = ?",
                batch.facts,
            )
            for entry in batch.entries:
                self._writer.write(entry)

    def _goes(self, path: bytes, found: set[bytes]) -> bool:
        # What cannot be seen now, as below a folder that may not be entered, is not gone.
        return path not in found and not is_hidden(path)

    def _remove(self, documents: Sequence[KnownDocument]) -> int:
        with self._file.transaction(self._connection):
            self._writer.remove([one.id for one in documents])
            if documents or self._changed:
                # A vector says much of its text, so it goes with it.
                drop_unused_vectors(self._connection)
        return len(documents)

    def _forget(self, gone: Sequence[Path]) -> None:
        with self._file.transaction(self._connection):
            rows = [(os.fsencode(one),) for one in gone]
            self._connection.executemany("DELETE FROM roots WHERE path = ?", rows)
            out = [os.fsencode(one) for one in left_out_of(self._connection)]
            rows = [(one,) for one in out if is_below(one, gone)]
            self._connection.executemany("DELETE FROM left_out WHERE path = ?", rows)
        for one in gone:
            why = "no longer there; what was indexed of it was removed"
            self._skipped.append(
                SkippedDocument(source=shown(one.name), reason="empty", message=why)
            )
