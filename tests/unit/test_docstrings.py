"""The examples in the docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import aegis_graph

EXTRAS = {"langgraph_cli", "lightrag"}
"""What only an extra installs: a module that needs it is left out where it is missing."""

NAMES = [
    info.name
    for info in pkgutil.walk_packages(aegis_graph.__path__, "aegis_graph.")
    if not info.name.endswith("__main__")
]


def load(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name in EXTRAS:
            pytest.skip(f"needs the extra of {missing.name}")
        raise


def starting(name: str) -> object:
    """A module, as a case: the example of one starts a server."""
    marks = [pytest.mark.slow] if name == "aegis_graph.testing.loopback.server" else []
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", ["aegis_graph", *map(starting, NAMES)])
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("AEGIS_CONFIG", "MONTHLY_BUDGET_OPENAI", "MONTHLY_BUDGET_ALIBABA_CLOUD"):
        monkeypatch.delenv(variable, raising=False)
    report: list[str] = []
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(verbose=False)
    for example in finder.find(load(name), name):
        runner.run(example, out=report.append)
    assert "".join(report) == ""


def test_there_are_examples_to_run() -> None:
    finder = doctest.DocTestFinder()
    found = [test for name in NAMES for test in finder.find(load(name), name) if test.examples]
    assert len(found) >= 10
