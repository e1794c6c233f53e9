"""Whether a file has changed since it was indexed, and reading it while it may be changing."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from aegis_graph.clock import Clock
from aegis_graph.components.documents.files import DocumentSet
from aegis_graph.components.documents.folders import DocumentFile
from aegis_graph.components.documents.readers.content import SourceDocument
from aegis_graph.components.documents.skipped import one_line
from aegis_graph.components.index.contents import KnownDocument, Stamp
from aegis_graph.errors import DocumentError

UNSETTLED = -1
"""The time of a file that is looked at again, whatever its time says."""

_SETTLED_S = 2.0
"""A file that was written less than this before is not told from a later state by its time: file
systems count in up to two seconds (FAT)."""
_TRIES = 3
_CHANGING = "changed while it was read; the next update reads it again"
_OPTIONAL = (
    "docutils",
    "docx",
    "markitdown",
    "onnxruntime",
    "openpyxl",
    "pptx",
    "rapidocr",
    "striprtf",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """A file that was read, or why it was not."""

    stamp: Stamp
    """With the time ``UNSETTLED`` where it is to be looked at again."""
    hash: bytes
    is_same: bool = False
    """Whether the index has this already, and it was not read."""
    document: SourceDocument | None = None
    reason: str | None = None
    message: str | None = None


def installed_readers() -> str:
    """The optional readers: where there is another one, what was skipped is read again."""
    return " ".join(name for name in _OPTIONAL if importlib.util.find_spec(name))


class FileReader:
    """Reads files so that what is kept of one is one state of it.

    Args:
        documents: What the files are of.
        clock: Returns the present as an aware datetime in UTC.
    """

    def __init__(self, documents: DocumentSet, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self.abilities = installed_readers()

    def read(self, file: DocumentFile, known: KnownDocument | None) -> ReadFile | None:
        """Read a file that the index does not have as it is; ``None`` where it is gone."""
        if known is not None and not known.is_final(self.abilities):
            known = None
        try:
            return self._read_whole(file, known)
        except FileNotFoundError:
            return None
        except OSError as error:
            why = one_line((error.strerror or type(error).__name__).lower())
            never = Stamp(0, UNSETTLED)
            return ReadFile(stamp=never, hash=b"", reason="unreadable", message=why)

    def _read_whole(self, file: DocumentFile, known: KnownDocument | None) -> ReadFile:
        """Read a file, again where it changes meanwhile."""
        before = _stamp(file.path)
        if known is not None and before == known.stamp:
            return ReadFile(stamp=before, hash=known.hash, is_same=True)
        for _ in range(_TRIES):
            digest = _hash(file.path)
            if known is not None and digest == known.hash:
                return ReadFile(stamp=self._settled(before), hash=digest, is_same=True)
            read = self._read(file, before, digest)
            after = _stamp(file.path)
            if after == before:
                return read
            before = after
        # It changes faster than it is read: what there is of it is one state, or a mix of two.
        return ReadFile(
            stamp=Stamp(before.size, UNSETTLED),
            hash=digest,
            document=read.document,
            reason=read.reason or "partly",
            message=_CHANGING,
        )

    def _read(self, file: DocumentFile, stamp: Stamp, digest: bytes) -> ReadFile:
        settled = self._settled(stamp)
        try:
            document = self._documents.read_one(file)
        except DocumentError as error:
            why = one_line(str(error).removeprefix(f"{file.source}: "))
            return ReadFile(stamp=settled, hash=digest, reason=error.reason, message=why)
        notes = one_line("; ".join(document.notes)) or None
        partly = "partly" if notes else None
        return ReadFile(stamp=settled, hash=digest, document=document, reason=partly, message=notes)

    def _settled(self, stamp: Stamp) -> Stamp:
        age_s = self._clock().timestamp() - stamp.mtime_ns / 1e9
        return stamp if age_s > _SETTLED_S else Stamp(stamp.size, UNSETTLED)


def _stamp(path: Path) -> Stamp:
    found = os.stat(path)
    return Stamp(found.st_size, found.st_mtime_ns)


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
