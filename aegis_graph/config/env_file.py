"""The ``.env`` file beside a configuration: variables that the environment lacks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from aegis_graph.errors import ConfigError

NAME = ".env"


def read_env_file(path: Path) -> dict[str, str]:
    """What a file says, as python-dotenv reads it; nothing where there is none.

    Raises:
        ConfigError: It cannot be read.
    """
    text = _text(path)
    if text is None:
        return {}
    # Not at the top: most folders have no such file.
    from dotenv import dotenv_values  # noqa: PLC0415

    # Without the lines that are none: python-dotenv's warning does not name the file.
    sound = "".join(original for _, original, broken in _lines(text) if not broken)
    found = dotenv_values(stream=io.StringIO(sound))
    return {name: value for name, value in found.items() if value is not None}


def broken_lines(path: Path) -> list[int]:
    """The numbers of the lines that say nothing that could be read.

    Raises:
        ConfigError: The file cannot be read.
    """
    text = _text(path)
    return [] if text is None else [number for number, _, broken in _lines(text) if broken]


def _text(path: Path) -> str | None:
    # A virtual environment may have this name, and is a folder.
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8") from error


def _lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each entry: its line, its text, and whether it is no entry at all."""
    from dotenv.parser import parse_stream  # noqa: PLC0415  as above

    for entry in parse_stream(io.StringIO(text)):
        bare = entry.key is not None and entry.value is None
        # The parser counts from the blank lines before an entry.
        blank = len(entry.original.string) - len(entry.original.string.lstrip())
        line = entry.original.line + entry.original.string[:blank].count("\n")
        yield line, entry.original.string, entry.error or bare
