"""How private the documents below a folder are: by a small file in it, or by a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from aegis_graph.errors import ConfigError
from aegis_graph.types import SENSITIVITIES, Sensitivity

MARK_FILE = ".aegis-sensitivity"
"""A file with one word, for its folder and everything below."""


@dataclass(frozen=True, slots=True)
class SensitivityMarks:
    """Says how private a file is: the strictest of all that is said of it.

    Args:
        patterns: Levels by pattern, such as ``{"hr/*": "pii"}``. A pattern is compared with the
            file's path and with each end of it that begins at a folder; ``*`` stands for
            anything, also for more than one folder, and upper and lower case are the same.
        base: The level of every file, whatever else is said.
    """

    patterns: Mapping[str, Sensitivity] = field(default_factory=dict)
    base: Sensitivity | None = None
    _folders: dict[Path, Sensitivity | None] = field(default_factory=dict)

    def of(self, path: Path) -> Sensitivity | None:
        """The level of a file; ``None`` where nothing is said.

        Raises:
            ConfigError: A mark is none of the levels, or cannot be read.
        """
        said = [self.base, self._of_folder(path.parent)]
        said += [level for pattern, level in self.patterns.items() if _matches(pattern, path)]
        return _strictest(said)

    def _of_folder(self, folder: Path) -> Sensitivity | None:
        if folder not in self._folders:
            # Those above count as well, also above the folder that is indexed.
            above = None if folder.parent == folder else self._of_folder(folder.parent)
            self._folders[folder] = _strictest([above, _read(folder / MARK_FILE)])
        return self._folders[folder]


def _read(mark: Path) -> Sensitivity | None:
    try:
        word = mark.read_text(encoding="utf-8").strip().lower()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{mark}: cannot be read, so how private the folder is is unknown; repair it"
        ) from error
    for level in SENSITIVITIES:
        if word == level:
            return level
    raise ConfigError(f"{mark}: {word[:40]!r} is no level; use one of {', '.join(SENSITIVITIES)}")


def _matches(pattern: str, path: Path) -> bool:
    wanted, whole = pattern.casefold(), path.as_posix().casefold()
    parts = path.parts
    ends = (Path(*parts[cut:]).as_posix().casefold() for cut in range(1, len(parts)))
    return fnmatchcase(whole, wanted) or any(fnmatchcase(end, wanted) for end in ends)


def _strictest(levels: list[Sensitivity | None]) -> Sensitivity | None:
    return max((one for one in levels if one is not None), key=SENSITIVITIES.index, default=None)
