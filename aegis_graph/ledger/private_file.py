"""A file that its owner alone can read."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make_private(path: Path) -> None:
    """Make an empty file that its owner alone can read, and its folder; one that is there stays.

    SQLite makes files that every user can read, and gives its own beside them the same rights.

    Raises:
        OSError: It cannot be made.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under another name: closing a file that SQLite has open would drop its locks.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    os.close(handle)
    try:
        os.link(name, path)
    except FileExistsError:
        return  # Another process was first.
    finally:
        os.unlink(name)
