"""Each library that the package imports is one that pyproject.toml names, with what it is for."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def imported(path: Path) -> Iterator[str]:
    """The names of the packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def normal(name: str) -> str:
    """A distribution's name in the form of https://packaging.python.org/specifications/name-normalization/."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    """The distributions that are named, those of extras too."""
    extras = PROJECT["optional-dependencies"].values()
    wanted = [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]
    return {normal(re.split(r"[^A-Za-z0-9_.-]", one, maxsplit=1)[0]) for one in wanted}


def test_what_is_imported_is_declared() -> None:
    found = {name for path in (ROOT / "aegis_graph").rglob("*.py") for name in imported(path)}
    theirs = found - sys.stdlib_module_names - {"aegis_graph"}
    distributions, named = packages_distributions(), declared()
    missing = {
        name: distributions.get(name)
        for name in theirs
        if not named & set(map(normal, distributions.get(name, ())))
    }
    assert not missing
    assert "openai" in theirs
