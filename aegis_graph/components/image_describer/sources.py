"""Finds images: files, folders of them, the pictures in a PDF, and parts of a message."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from typing_extensions import TypedDict

from aegis_graph.components.documents.sources import shown
from aegis_graph.errors import DocumentError, InvalidRequestError
from aegis_graph.request.images import image_bytes, is_image

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"}
    | {".heic", ".heif", ".jxl"}
)
"""What a folder is searched for, and ``.pdf``: pictures, also those that are not read, which is
said. A file that is named itself may have any name."""

LEAST_PDF_SIDE = 32
"""Smaller pictures of a PDF are lines, bullets and shadows, and are left out. In pixels."""

MAX_FILE_BYTES = 200_000_000
"""A larger file is surely a mistake: no provider takes an image of a tenth of it."""


@final
class ImageRef(TypedDict):
    """Where an image is, and what it is; JSON, so that any checkpointer can store it."""

    source: str
    """For people: a path, with page and number for a picture of a PDF."""
    path: str | None
    """``None`` for a part of a message."""
    page: int | None
    """From 1, for a picture of a PDF."""
    number: int | None
    """From 1 on its page, or among the parts."""
    sha256: str
    size: int
    """In bytes."""


@final
class BadImage(TypedDict):
    """A file that cannot be used, and why, in one line."""

    source: str
    error: str


FoundImage = ImageRef | BadImage


def find_images(
    paths: Sequence[Path], parts: Sequence[Mapping[str, Any]] = (), *, root: Path | None = None
) -> list[FoundImage]:
    """Every image that the paths and parts name, in order; what cannot be used says why.

    Folders are read with everything below them, in sorted order, without hidden files and without
    following links to folders. Files are read once here, one at a time, for their hash.

    Args:
        paths: Files, PDFs and folders.
        parts: Image parts of a message.
        root: Where every path must be below, links resolved; anywhere when absent.

    Raises:
        DocumentError: Nothing is named at all.

    Example:
        >>> [one["source"] for one in find_images([Path("scans")])]  # doctest: +SKIP
        ['scans/1.png', 'scans/contract.pdf, page 2, image 1']
    """
    if not paths and not parts:
        raise DocumentError("no images: name at least one file, PDF or folder")
    found: list[FoundImage] = []
    for path in paths:
        found += _of_path(path, root)
    found += [_of_part(part, number) for number, part in enumerate(parts, start=1)]
    return found


def image_files(path: Path) -> list[Path]:
    """The images and PDFs that a path names, by their endings, without reading one.

    Args:
        path: A file, whatever its ending is, or a folder, which is read as by ``find_images``.

    Raises:
        DocumentError: It is not there, or has no image.
    """
    try:
        if path.is_file():
            return [path]
        if not path.exists():
            raise DocumentError(f"{shown(str(path))}: no such file or folder; check the path")
        files = sorted(_files_below(path))
    except OSError as error:
        raise DocumentError(f"{shown(str(error.filename or path))}: {_reason(error)}") from error
    if not files:
        raise DocumentError(f"{shown(str(path))}: no images in this folder")
    return files


def load_image(ref: ImageRef, parts: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """The image's bytes.

    Raises:
        DocumentError: It is not there any more, or is another one by now.
    """
    number = ref["number"] or 0
    if ref["path"] is None:
        data = image_bytes(parts[number - 1]) or b""
    elif ref["page"] is None:
        data = _read(Path(ref["path"]))
    else:
        with _opened_pdf(Path(ref["path"])) as reader:
            # By its number: another picture of the page may be broken.
            data = reader.pages[ref["page"] - 1].images[number - 1].data
    # A result is kept under the hash, so another image must not be asked about in its place.
    if hashlib.sha256(data).hexdigest() != ref["sha256"]:
        raise DocumentError(f"{ref['source']}: has changed since it was found; start again")
    return data


def _of_path(path: Path, root: Path | None) -> list[FoundImage]:
    try:
        # A folder outside of the root is not even listed.
        if not path.is_dir() or not _is_below(path, root):
            return list(_of_file(path, root))
        files = sorted(_files_below(path))
    except OSError as error:
        return [_bad(error.filename or path, _reason(error))]
    if not files:
        return [_bad(path, "no images in this folder")]
    return [one for file in files for one in _of_file(file, root)]


def _files_below(folder: Path) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        # In place, which is how os.walk is kept out of a folder.
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            suffix = Path(name).suffix.lower()
            if (suffix in SUFFIXES or suffix == ".pdf") and not name.startswith("."):
                yield Path(parent, name)


def _is_below(path: Path, root: Path | None) -> bool:
    # Resolved, because a link may lead out of the root.
    return root is None or path.resolve().is_relative_to(root.resolve())


def _of_file(file: Path, root: Path | None) -> Iterator[FoundImage]:
    if not _is_below(file, root):
        yield _bad(file, "outside of the folder that images may be in")
        return
    try:
        data = _read(file)
    except DocumentError as error:
        yield _bad(file, str(error).removeprefix(f"{file}: "))
        return
    if data.startswith(b"%PDF"):
        yield from _of_pdf(file)
    elif not data:
        yield _bad(file, "an empty file, not an image")
    else:
        yield _ref(shown(str(file)), data, path=str(file))


def _read(file: Path) -> bytes:
    try:
        if not file.exists():
            raise DocumentError(f"{file}: no such file or folder; check the path")
        if not file.is_file():
            raise DocumentError(f"{file}: neither a file nor a folder")
        # Before it is read into memory.
        if file.stat().st_size > MAX_FILE_BYTES:
            raise DocumentError(f"{file}: over {MAX_FILE_BYTES:,} bytes; no provider takes it")
        return file.read_bytes()
    except OSError as error:
        raise DocumentError(f"{file}: {_reason(error)}") from error


def _of_pdf(file: Path) -> Iterator[FoundImage]:
    count = 0
    try:
        with _opened_pdf(file) as reader:
            for number in range(1, 1 + len(reader.pages)):
                for found in _pictures_of(file, number, reader):
                    count += 1
                    yield found
    except DocumentError as error:
        count += 1
        yield _bad(file, str(error).removeprefix(f"{file}: "))
    if not count:
        yield _bad(file, "a PDF without images; its text is for `aegis ask`")


def _pictures_of(file: Path, number: int, reader: Any) -> Iterator[FoundImage]:
    try:
        yield from _of_page(file, number, reader.pages[number - 1])
    # A broken page costs itself only; see below.
    except Exception as error:  # noqa: BLE001
        source = f"{shown(str(file))}, page {number}"
        yield _bad(source, f"a page that cannot be read ({type(error).__name__})")


def _of_page(file: Path, page: int, content: Any) -> Iterator[FoundImage]:
    for number in range(1, 1 + len(content.images)):
        source = f"{shown(str(file))}, page {page}, image {number}"
        try:
            picture = content.images[number - 1]
            size, data = picture.image and picture.image.size, picture.data
        # pypdf says itself that broken files may raise anything; the other pictures go on.
        except Exception as error:  # noqa: BLE001
            yield _bad(source, f"a picture that cannot be read ({type(error).__name__})")
            continue
        if size is None or min(size) >= LEAST_PDF_SIDE:
            yield _ref(source, data, path=str(file), page=page, number=number)


@contextmanager
def _opened_pdf(file: Path) -> Iterator[Any]:
    import pypdf  # noqa: PLC0415  takes a while to import, and most images are no PDF

    # What pypdf logs about odd files is for an application that asks for it, not for its terminal.
    logging.getLogger("pypdf").addHandler(_SILENT)
    try:
        with file.open("rb") as stream:
            reader = pypdf.PdfReader(stream)
            if reader.is_encrypted and not reader.decrypt(""):
                raise DocumentError(f"{file}: an encrypted PDF; save it without its password")
            yield reader
    except DocumentError:
        raise
    # pypdf says itself that broken files may raise anything.
    except Exception as error:
        raise DocumentError(
            f"{file}: not a readable PDF ({type(error).__name__}); repair it"
        ) from error


_SILENT = logging.NullHandler()


def _of_part(part: Mapping[str, Any], number: int) -> FoundImage:
    source = f"image {number}"
    if not is_image(part):
        return _bad(source, "not an image part; make it with image_part")
    try:
        data = image_bytes(part)
    except InvalidRequestError as error:
        return _bad(source, str(error))
    if data is None:
        return _bad(source, "an image at an address; give its data")
    return _ref(source, data, number=number)


def _ref(
    source: str,
    data: bytes,
    *,
    path: str | None = None,
    page: int | None = None,
    number: int | None = None,
) -> ImageRef:
    digest = hashlib.sha256(data).hexdigest()
    return ImageRef(
        source=shown(source), path=path, page=page, number=number, sha256=digest, size=len(data)
    )


def _bad(source: object, why: str) -> BadImage:
    return BadImage(source=shown(str(source)), error=shown(why))


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
