"""Reads documents of many kinds, and folders of them, into passages; one bad file costs no other.

``DocumentSet`` reads one document after the other and says what it could not read; what is kept on
disk can be built on it. ``read_passages`` is the short way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from aegis_graph.components.documents.folders import DocumentFile, find_documents
from aegis_graph.components.documents.readers.content import SourceDocument
from aegis_graph.components.documents.readers.reading import DocumentReader
from aegis_graph.components.documents.skipped import (
    SkippedDocument,
    as_reason,
    one_line,
    summary,
)
from aegis_graph.components.documents.sources import shown
from aegis_graph.errors import DocumentError
from aegis_graph.text.passages import Passage

OnFile = Callable[[Path, int, int], None]
logger = logging.getLogger(__name__)

_MAX_REASONS = 3


def read_passages(
    paths: Sequence[Path],
    *,
    on_file: OnFile | None = None,
    on_skipped: Callable[[SkippedDocument], None] | None = None,
) -> list[Passage]:
    r"""Read documents and cut them into passages of a few hundred characters.

    Folders are read with everything below them, in sorted order, without hidden files and without
    following links to folders. A passage's offset counts characters of its document's text: of the
    file, or of what its reader makes of it, with one line break between pages.

    Args:
        paths: Files and folders.
        on_file: Called before each file with its path, its number from 1, and how many there are.
        on_skipped: Called for each file that was not read; a warning is logged when absent.

    Raises:
        DocumentError: Nothing at all could be read; one line says why.

    Example:
        >>> [p.text for p in read_passages([Path("docs")])]  # doctest: +SKIP
        ['# Budgets\n\nA limit is hard.']
    """
    documents = DocumentSet(paths)
    passages = documents.passages(on_file=on_file)
    if on_skipped is not None:
        for one in documents.skipped:
            on_skipped(one)
    elif documents.skipped:
        logger.warning("%s", summary(documents.skipped))
    return passages


class DocumentSet:
    """The documents below some paths, read when they are asked for, one after the other.

    Args:
        paths: Files and folders.
        converted: Endings, such as ``.docx``, that markitdown is to read instead of the reader
            here; it has to be installed.

    Raises:
        DocumentError: A path that was named is not there, or none was named.

    Example:
        >>> documents = DocumentSet([Path("docs")])  # doctest: +SKIP
        >>> [document.title for document in documents.read()]  # doctest: +SKIP
        ['Budgets']
        >>> documents.skipped  # doctest: +SKIP
        []
    """

    def __init__(self, paths: Sequence[Path], *, converted: Collection[str] = ()) -> None:
        self._reader = DocumentReader(converted=frozenset(converted))
        found = find_documents(paths, self._reader)
        self._named = ", ".join(shown(str(path)) for path in paths)
        self._not_found = found.skipped
        self.files: tuple[DocumentFile, ...] = tuple(found.files)
        """The files of kinds that are read, each with the source that its passages will have."""
        self.skipped: list[SkippedDocument] = list(found.skipped)
        """What was not read: complete once ``read`` has come to its end."""

    def path_of(self, source: str) -> Path | None:
        """The file that a passage or a citation names; this never leaves the machine."""
        named = (file.path for file in self.files if file.source == source)
        return next(named, None)

    def read_one(self, file: DocumentFile) -> SourceDocument:
        """Read one of the files.

        Raises:
            DocumentError: In one line why it cannot be read; ``reason`` is the case.
        """
        return self._reader.read(file.path, source=file.source)

    def read(self, *, on_file: OnFile | None = None) -> Iterator[SourceDocument]:
        """Each document that can be read, one at a time; the others are in ``skipped``.

        Args:
            on_file: Called before each file with its path, its number from 1, and how many there
                are.
        """
        self.skipped = list(self._not_found)
        for number, file in enumerate(self.files, start=1):
            if on_file is not None:
                on_file(file.path, number, len(self.files))
            try:
                document = self.read_one(file)
            except DocumentError as error:
                why = str(error).removeprefix(f"{file.source}: ")
                self._skip(file, error.reason, why)
                continue
            if document.notes:
                self._skip(file, "partly", "; ".join(document.notes))
            yield document

    def passages(self, *, on_file: OnFile | None = None) -> list[Passage]:
        """The passages of all documents.

        Raises:
            DocumentError: Nothing at all could be read; one line says why.
        """
        passages = [one for document in self.read(on_file=on_file) for one in document.passages()]
        if not passages:
            raise self.nothing_read()
        return passages

    def nothing_read(self) -> DocumentError:
        """The error of a set of which nothing could be read, with the reasons."""
        if len(self.skipped) == 1 and not self.skipped[0].source.startswith("*"):
            [only] = self.skipped
            return DocumentError.because(only.reason, f"{only.source}: {only.message}")
        listed = self.skipped[:_MAX_REASONS]
        rest = len(self.skipped) - len(listed)
        more = f"; and {rest} more" if rest > 0 else ""
        return DocumentError(f"{self._named}: no document could be read: {summary(listed)}{more}")

    def _skip(self, file: DocumentFile, reason: str, message: str) -> None:
        self.skipped.append(
            SkippedDocument(source=file.source, reason=as_reason(reason), message=one_line(message))
        )
