"""Reads Markdown, text and PDF files, and folders of them, into passages with exact offsets."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aegis_graph.components.documents.splitting import split_passages
from aegis_graph.errors import DocumentError
from aegis_graph.text.passages import Passage

TEXT_SUFFIXES = frozenset({".md", ".markdown", ".txt"})
SUFFIXES = TEXT_SUFFIXES | {".pdf"}
logger = logging.getLogger(__name__)

_SUPPORTED = ", ".join(sorted(SUFFIXES))


@dataclass(frozen=True, slots=True)
class _Page:
    start: int
    """Where the page's text begins in the document's text."""
    text: str
    number: int | None


def read_passages(
    paths: Sequence[Path], *, on_file: Callable[[Path, int, int], None] | None = None
) -> list[Passage]:
    r"""Read documents and cut them into passages of a few hundred characters.

    Folders are read with everything below them, in sorted order, without hidden files and without
    following links to folders. A passage's offset counts characters of its document's text: of the
    file, or of a PDF's pages joined by one line break.

    Args:
        paths: Files and folders.
        on_file: Called before each file with its path, its number from 1, and how many there are.

    Raises:
        DocumentError: One line that says what is wrong, with which file, and what to do.

    Example:
        >>> [p.text for p in read_passages([Path("docs")])]  # doctest: +SKIP
        ['# Budgets\n\nA limit is hard.']
    """
    if not paths:
        raise DocumentError("no documents: name at least one file or folder")
    files = _unique(file for path in paths for file in _files(path))
    passages: list[Passage] = []
    for number, file in enumerate(files, start=1):
        if on_file is not None:
            on_file(file, number, len(files))
        for page in _pages(file):
            passages += split_passages(
                page.text, source=str(file), start=page.start, page=page.number
            )
    if not passages:
        named = ", ".join(str(path) for path in paths)
        raise DocumentError(f"{named}: no text in it; name documents that have some")
    return passages


def _files(path: Path) -> list[Path]:
    """The supported files that a path names.

    Raises:
        DocumentError: There are none, or the path cannot be read.
    """
    try:
        # Asking may fail as well: a name can be too long, or its folder closed.
        is_file, is_folder = path.is_file(), path.is_dir()
        there = is_file or is_folder or path.exists()
    except OSError as error:
        raise DocumentError(f"{path}: {_reason(error)}; check the path") from error
    if not there:
        raise DocumentError(f"{path}: no such file or folder; check the path")
    if is_folder:
        found = sorted(_below(path))
        if not found:
            raise DocumentError(f"{path}: no documents in this folder; it needs {_SUPPORTED} files")
        return found
    if not is_file:
        raise DocumentError(f"{path}: neither a file nor a folder; name a {_SUPPORTED} file")
    if path.suffix.lower() not in SUFFIXES:
        raise DocumentError(f"{path}: unsupported kind of file; name a {_SUPPORTED} file")
    return [path]


def _below(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise DocumentError(
            f"{error.filename}: {_reason(error)}; allow reading the folder, or leave it out"
        ) from error

    inside, outside = folder.resolve(), list[Path]()
    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(parent, name)
            supported = file.suffix.lower() in SUFFIXES and not name.startswith(".")
            if not supported or not file.is_file():
                continue
            if file.is_symlink() and not file.resolve().is_relative_to(inside):
                outside.append(file)
                continue
            yield file
    if outside:
        logger.warning(
            "%s: %d links lead out of the folder and are not followed, such as %s",
            folder,
            len(outside),
            outside[0].relative_to(folder),
        )


def _unique(files: Iterator[Path]) -> list[Path]:
    """Each file once, under the first name it was given."""
    first: dict[Path, Path] = {}
    for file in files:
        # A folder and a file in it may both be named, and a link names a file again.
        first.setdefault(file.resolve(), file)
    return list(first.values())


def _pages(file: Path) -> list[_Page]:
    try:
        return _pdf_pages(file) if file.suffix.lower() == ".pdf" else [_text_page(file)]
    except OSError as error:
        raise DocumentError(
            f"{file}: {_reason(error)}; allow reading the file, or leave it out"
        ) from error


def _text_page(file: Path) -> _Page:
    try:
        # Editors on Windows begin a file with a byte order mark, which is no part of its text.
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8, or leave it out"
        ) from error
    # UTF-8 takes a zero byte, but no text has one.
    if "\0" in text:
        raise DocumentError(f"{file}: not a text file; save it as UTF-8 text, or leave it out")
    return _Page(0, text, None)


def _pdf_pages(file: Path) -> list[_Page]:
    try:
        texts = _pdf_texts(file)
    except (DocumentError, OSError):
        raise
    # pypdf says itself that broken files may raise anything.
    except Exception as error:
        raise DocumentError(
            f"{file}: not a readable PDF ({type(error).__name__}); repair it, or leave it out"
        ) from error
    if not any(text.strip() for text in texts):
        raise DocumentError(
            f"{file}: a PDF without text, perhaps a scan; run text recognition on it, "
            "or leave it out"
        )
    pages, start = [], 0
    for number, text in enumerate(texts, start=1):
        pages.append(_Page(start, text, number))
        # The line break between two pages counts as well.
        start += len(text) + 1
    return pages


def _pdf_texts(file: Path) -> list[str]:
    import pypdf  # noqa: PLC0415 - takes a while to import, and most corpora have no PDF

    # What pypdf logs about odd files is for an application that asks for it, not for its terminal.
    logging.getLogger("pypdf").addHandler(_SILENT)
    with file.open("rb") as stream:
        reader = pypdf.PdfReader(stream)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError(
                f"{file}: an encrypted PDF; save it without its password, or leave it out"
            )
        return [page.extract_text() for page in reader.pages]


_SILENT = logging.NullHandler()


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
