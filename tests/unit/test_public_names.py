"""The names that the package promises."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from itertools import pairwise

import pytest

import aegis_graph

PACKAGES = ["aegis_graph", "aegis_graph.testing"]


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_sorted_without_doubles_and_importable(package: str) -> None:
    module = importlib.import_module(package)
    names = list(module.__all__)
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_all_says_everything_that_is_public(package: str) -> None:
    module = importlib.import_module(package)
    own = {name for _, name, _ in pkgutil.iter_modules(module.__path__)}
    # The package's own are there once they were asked for.
    there = {name: getattr(module, name) for name in [*module.__all__, *vars(module)]}
    public = {
        name
        for name, value in there.items()
        if not name.startswith("_") and name not in own and not inspect.ismodule(value)
    }
    assert public == set(module.__all__)


def docstring(name: str) -> str:
    """The docstring of a public name. A type alias has its own below it, for parsers only."""
    value = getattr(aegis_graph, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        return inspect.getdoc(value) or ""
    home = importlib.import_module(aegis_graph._HOMES[name])
    body = ast.parse(inspect.getsource(home)).body
    for statement, following in pairwise(body):
        if isinstance(statement, ast.Assign) and name in map(ast.unparse, statement.targets):
            found = following.value if isinstance(following, ast.Expr) else None
            return str(found.value) if isinstance(found, ast.Constant) else ""
    return ""


@pytest.mark.parametrize("name", aegis_graph.__all__)
def test_every_public_name_says_what_it_is_for(name: str) -> None:
    text = docstring(name)
    assert text
    assert "\n" not in text.splitlines()[0]
    assert text.splitlines()[0].endswith((".", ":"))


def is_made_by_callers(name: str) -> bool:
    """Whether a caller calls it: the package raises errors, and a state is a table."""
    value = getattr(aegis_graph, name)
    is_error = inspect.isclass(value) and issubclass(value, aegis_graph.AegisError)
    return not is_error and name not in {"RouterInput", "RouterState"}


@pytest.mark.parametrize("name", [one for one in aegis_graph.__all__ if is_made_by_callers(one)])
def test_every_public_name_shows_how_it_is_used(name: str) -> None:
    assert "Example:" in docstring(name)


def test_every_error_is_public() -> None:
    errors = importlib.import_module("aegis_graph.errors")
    there = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert {name for name in there if name.endswith("Error")} <= set(aegis_graph.__all__)
