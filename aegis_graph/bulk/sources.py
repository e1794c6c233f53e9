"""What a job's items are read from: files of rows, documents and images."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aegis_graph.bulk.items import checked_key, item_key
from aegis_graph.bulk.records import BulkItem
from aegis_graph.bulk.row_files import ROW_SUFFIXES, SourceRow, read_rows
from aegis_graph.components.documents.files import DocumentSet
from aegis_graph.components.documents.skipped import SkippedDocument
from aegis_graph.components.documents.sources import shown, source_names
from aegis_graph.components.image_describer.sources import image_files
from aegis_graph.errors import DocumentError, InvalidRequestError

SOURCE = "source"
"""The field that a document and an image have of themselves, to be used as their key."""

_READ_BYTES = 1 << 20
_DIGEST_CHARS = 16
"""Of an image's hash, in its key."""


@dataclass
class ItemFiles:
    """The items that paths name, each read when it is asked for.

    A named file with one of ``ROW_SUFFIXES`` has an item in each row; every other file, and every
    file in a folder, is an item itself: an image for a graph that takes ``paths``, a document for
    one that takes ``documents`` or a ``text``.

    Args:
        paths: Files, folders, and patterns such as ``corpus/*.md``.
        takes: What ``input_fields`` says of the graph. Other columns of a row are left out.
        key: The field that is an item's key, ``source`` for files, which is a document's name, or
            an image's with a hash of what is in it; a hash of all of the input when absent.
        fields: What every item's input has beside its own, such as ``{"kind": "text"}``.

    Example:
        >>> items = ItemFiles(["items.jsonl"], takes={"text"}, key="id")  # doctest: +SKIP
        >>> [item.key for item in items]                                  # doctest: +SKIP
        ['c-17', 'c-18']
    """

    paths: Sequence[str | Path]
    takes: Collection[str] | None
    key: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    skipped: list[SkippedDocument] = field(default_factory=list, init=False)
    """Documents that could not be read, once all were asked for."""

    def __post_init__(self) -> None:
        if self.takes is not None and (unknown := sorted(set(self.fields) - set(self.takes))):
            raise InvalidRequestError(f"{unknown[0]}: {self._what_it_takes()}")

    def __iter__(self) -> Iterator[BulkItem]:
        """The items, in the order of the paths.

        Raises:
            DocumentError: A path is not there, or a row is wrong: one line says where.
            InvalidRequestError: The graph takes no such item, or an item has no usable key.
        """
        self.skipped = []
        files: list[Path] = []
        for path in self._found():
            if path.suffix.lower() in ROW_SUFFIXES and not path.is_dir():
                yield from (self._row_item(row) for row in read_rows(path))
            else:
                files.append(path)
        if files:
            yield from self._file_items(files)

    def _found(self) -> Iterator[Path]:
        if not self.paths:
            raise DocumentError("no items: name at least one file or folder")
        for path in self.paths:
            text = str(path)
            # A file may have such signs in its name.
            if not glob.has_magic(text) or Path(path).exists():
                yield Path(path)
                continue
            names = sorted(glob.glob(text, recursive=True))
            if not names:
                raise DocumentError(f"{shown(text)}: no file has such a name; check the pattern")
            yield from map(Path, names)

    def _row_item(self, row: SourceRow) -> BulkItem:
        given = {name: row.fields[name] for name in row.fields if self._is_taken(name)}
        if not given:
            raise InvalidRequestError(f"{row.source}: {self._what_it_takes()}")
        return self._item(given, row.fields, row.source)

    def _file_items(self, files: Sequence[Path]) -> Iterator[BulkItem]:
        if self.takes is not None and "paths" in self.takes:
            yield from self._images(files)
        elif self.takes is not None and {"documents", "text"} & set(self.takes):
            yield from self._documents(files)
        else:
            raise InvalidRequestError(
                f"{shown(str(files[0]))}: the graph takes no documents; name a file of rows"
                f" ({', '.join(ROW_SUFFIXES)}): {self._what_it_takes()}"
            )

    def _documents(self, files: Sequence[Path]) -> Iterator[BulkItem]:
        documents = DocumentSet(files)
        whole, nothing = "documents" in (self.takes or ()), True
        for one in documents.read():
            nothing = False
            document = {"page_content": one.text, "metadata": {SOURCE: one.source}}
            given = {"documents": [document]} if whole else {"text": one.text}
            yield self._item(given, {SOURCE: one.source}, one.source)
        self.skipped = documents.skipped
        if nothing:
            raise documents.nothing_read()

    def _images(self, files: Sequence[Path]) -> Iterator[BulkItem]:
        found: dict[Path, Path] = {}
        for path in files:
            root = path if path.is_dir() else path.parent
            # A folder and a file in it may both be named.
            found |= {file.absolute(): root.absolute() for file in image_files(path)}
        for file, source in zip(found, source_names(list(found.items())), strict=True):
            # A name says too little: another image may be in the file by now.
            row = {SOURCE: f"{source}@{_digest(file)[:_DIGEST_CHARS]}"}
            yield self._item({"paths": [str(file)]}, row, source, hashed=row)

    def _item(
        self,
        given: Mapping[str, Any],
        row: Mapping[str, Any],
        source: str,
        *,
        hashed: Mapping[str, Any] | None = None,
    ) -> BulkItem:
        whole = {**self.fields, **given}
        if self.key is None:
            key = item_key(whole if hashed is None else {**self.fields, **hashed})
        elif self.key in row:
            key = checked_key(row[self.key], source)
        else:
            raise InvalidRequestError(
                f"{source}: has no {self.key!r} to be its key; it has {', '.join(row)}"
            )
        return BulkItem(key=key, input=whole, source=source)

    def _is_taken(self, name: str) -> bool:
        return name in self.takes if self.takes is not None else name != self.key

    def _what_it_takes(self) -> str:
        return f"the graph takes {', '.join(sorted(self.takes or ()))}"


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while data := stream.read(_READ_BYTES):
                digest.update(data)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise DocumentError(f"{shown(str(file))}: {why}; allow reading it") from error
    return digest.hexdigest()
