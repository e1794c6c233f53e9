"""A file that its owner alone can read, and which file it is."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


def make_private(path: Path, content: bytes = b"") -> None:
    """Make a file that its owner alone can read, and its folder; one that is there stays.

    It appears with all of its content, which is on the disk by then. SQLite makes files that every
    user can read, and gives its own beside them the same rights.

    Raises:
        OSError: It cannot be made.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under another name: closing a file that SQLite has open would drop its locks.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with open(handle, "wb") as file:
            if content:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        os.link(name, path)
        if content:
            sync_folder(path.parent)
    except FileExistsError:
        return  # Another process was first.
    finally:
        os.unlink(name)


def sync_folder(path: Path) -> None:
    """Have the names in a folder on the disk."""
    # Not every system opens folders; where it does not, they are written in their own time.
    with suppress(PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class FileId(NamedTuple):
    """Which file it is, whatever its name."""

    device: int
    inode: int


def file_id(path: Path) -> FileId | None:
    """Which file is at a place; ``None`` where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return FileId(found.st_dev, found.st_ino)
