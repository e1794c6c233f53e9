"""What documents are called in passages and prompts: paths that say nothing about the machine."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def shown(name: str) -> str:
    r"""A file's name as valid text in one line; bytes that are none are written as ``\xNN``.

    Example:
        >>> print(shown("caf\udce9.md"))
        caf\xe9.md
    """
    if name.isascii() and name.isprintable():
        return name
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    # Neither a line break nor what turns the direction of writing may stand in a prompt's header.
    return "".join(c if _is_plain(c) else c.encode("unicode_escape").decode() for c in text)


def _is_plain(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def source_names(files: Sequence[tuple[Path, Path]]) -> list[str]:
    """A name for each file, no two alike: its path below the folder that was given.

    Files of one name get as many of the folders above as tell them apart.

    Args:
        files: Each file, and the folder that was given, or the file's own where it was named.

    Example:
        >>> source_names([(Path("/a/x/1.md"), Path("/a/x")), (Path("/a/y/1.md"), Path("/a/y"))])
        ['x/1.md', 'y/1.md']
    """
    # As texts: building paths of tens of thousands of files takes seconds.
    parts = [os.path.abspath(file).split(os.sep)[1:] for file, _ in files]
    depths = {root: len(root.parts) for _, root in files}
    lengths = [max(len(file.parts) - depths[root], 1) for file, root in files]
    while True:
        names = ["/".join(part[-size:]) for part, size in zip(parts, lengths, strict=True)]
        counts = Counter(names)
        longer = [
            min(size + (counts[name] > 1), len(part))
            for part, size, name in zip(parts, lengths, names, strict=True)
        ]
        if longer == lengths:
            return [shown(name) for name in names]
        lengths = longer
