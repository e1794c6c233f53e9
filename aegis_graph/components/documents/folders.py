"""Finds the documents that paths name: files, and folders with everything below them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aegis_graph.components.documents.readers.kinds import suffix_of
from aegis_graph.components.documents.readers.reading import DocumentReader
from aegis_graph.components.documents.skipped import SkippedDocument, SkipReason, one_line
from aegis_graph.components.documents.sources import shown, source_names
from aegis_graph.errors import DocumentError

_NO_FILE = "neither a file nor a folder"


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A file that is of a kind that is read."""

    path: Path
    source: str
    """What its passages name as their source: no two files have the same."""


@dataclass
class FoundDocuments:
    """What was found below some paths."""

    files: list[DocumentFile] = field(default_factory=list)
    skipped: list[SkippedDocument] = field(default_factory=list)


def find_documents(paths: Sequence[Path], reader: DocumentReader) -> FoundDocuments:
    """The documents that paths name, each once, in sorted order within a folder.

    Hidden files are left out, and links to folders or out of a folder are not followed.

    Raises:
        DocumentError: A path that was named is not there, or none was named.
    """
    if not paths:
        raise DocumentError("no documents: name at least one file or folder")
    search = _Search(reader)
    for path in paths:
        search.add(path)
    return search.found()


class _Search:
    def __init__(self, reader: DocumentReader) -> None:
        self._reader = reader
        self._files: dict[Path, tuple[Path, Path]] = {}
        """Each file and the folder it was found below, by where it really is: a folder and a file
        in it may both be named, and a link names a file again."""
        self._skipped: list[SkippedDocument] = []
        self._others: Counter[str] = Counter()
        self._seen: set[Path] = set()
        """What was found in folders, by where it really is."""

    def found(self) -> FoundDocuments:
        files = list(self._files.values())
        named = zip(files, source_names(files), strict=True)
        skipped = [
            _skip(f"*{suffix}", "other_kind", "files of another kind", count=count)
            for suffix, count in self._others.most_common()
        ]
        documents = [DocumentFile(path, source) for (path, _), source in named]
        return FoundDocuments(documents, [*self._skipped, *skipped])

    def add(self, path: Path) -> None:
        try:
            # Asking may fail as well: a name can be too long, or its folder closed.
            is_file, is_folder = path.is_file(), path.is_dir()
            there = is_file or is_folder or path.exists()
        except OSError as error:
            raise DocumentError(f"{_name(path)}: {_reason(error)}; check the path") from error
        if not there:
            raise DocumentError(f"{_name(path)}: no such file or folder; check the path")
        if is_folder:
            self._add_folder(path)
        elif not is_file:
            self._skip(path, "unreadable", _NO_FILE)
        elif (readable := self._is_readable(path, path)) is True:
            self._files.setdefault(_real(path), (path, path.parent))
        elif readable is False:
            self._skip(path, "other_kind", "an unsupported kind of file")

    def _add_folder(self, folder: Path) -> None:
        outside: list[Path] = []
        inside, before = _real(folder), len(self._skipped)
        files = sorted(self._below(folder))
        for file in files:
            own = inside / file.relative_to(folder)
            # A file that is no link is where it seems to be, and asking takes time.
            real = _real(file) if file.is_symlink() else own
            leads_out = not real.is_relative_to(inside)
            # A folder may be named twice, or with one above it.
            place = own if leads_out else real
            if place in self._seen:
                continue
            self._seen.add(place)
            if leads_out:
                outside.append(file)
            else:
                self._add_found(file, real, folder)
        if outside:
            many = "links lead" if len(outside) > 1 else "link leads"
            example = shown(str(outside[0].relative_to(folder)))
            why = f"{len(outside)} {many} out of the folder, not followed"
            self._skipped.append(_skip(example, "outside_link", why, count=len(outside)))
        if not files and before == len(self._skipped):
            self._skip(folder, "empty", "no documents in this folder")

    def _add_found(self, file: Path, real: Path, folder: Path) -> None:
        below = file.relative_to(folder)
        if not real.is_file():
            why = "a link that leads nowhere" if file.is_symlink() else _NO_FILE
            self._skip(below, "unreadable", why)
        elif (readable := self._is_readable(file, below)) is True:
            self._files.setdefault(real, (file, folder))
        elif readable is False:
            self._others[suffix_of(file)] += 1

    def _below(self, folder: Path) -> Iterator[Path]:
        def unreadable(error: OSError) -> None:
            self._skip(Path(str(error.filename)), "unreadable", f"{_reason(error)}; a folder")

        for parent, folders, names in os.walk(folder, onerror=unreadable):
            # In place, which is how os.walk is kept out of a folder.
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                # Office keeps a file of such a name beside one that is open.
                if not name.startswith((".", "~$")):
                    yield Path(parent, name)

    def _is_readable(self, file: Path, name: Path) -> bool | None:
        """Whether a file is of a kind that is read; ``None`` where it cannot be opened to see."""
        try:
            return file.is_file() and self._reader.readable(file)
        except OSError as error:
            self._skip(name, "unreadable", _reason(error))
            return None

    def _skip(self, path: Path, reason: SkipReason, message: str) -> None:
        self._skipped.append(_skip(_name(path), reason, message))


def _skip(source: str, reason: SkipReason, message: str, *, count: int = 1) -> SkippedDocument:
    return SkippedDocument(source=source, reason=reason, message=message, count=count)


def _name(path: Path) -> str:
    return one_line(shown(str(path)))


def _real(path: Path) -> Path:
    # Unlike ``Path.resolve``, it takes a link that leads to itself.
    return Path(os.path.realpath(path))


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
