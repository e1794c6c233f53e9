"""The notebooks run from top to bottom with no key and no network, and say what they said."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from notebooks.execute import execute, notebooks, read, shown

PATHS = {path.stem: path for path in notebooks()}
FIRST_LINES = 15
"""Lines of code before a reader sees something."""


def test_each_subject_has_its_notebook() -> None:
    assert list(PATHS) == [
        "01_routing",
        "02_budgets_and_costs",
        "03_rag",
        "04_lightrag",
        "05_vision",
        "06_routing_policies",
        "07_bulk",
    ]


@pytest.mark.parametrize("name", PATHS)
def test_running_it_again_shows_the_same_but_for_times(name: str) -> None:
    again = execute(PATHS[name])

    assert list(shown(again)) == list(shown(read(PATHS[name])))


@pytest.mark.parametrize("name", PATHS)
def test_the_first_cell_says_who_plays_the_models(name: str) -> None:
    first = read(PATHS[name]).cells[0]

    assert first.cell_type == "markdown"
    assert "no key and no network" in first.source
    assert "loopback server" in first.source or "embedded provider" in first.source


@pytest.mark.parametrize("name", PATHS)
def test_it_is_stored_with_the_outputs_of_one_clean_run(name: str) -> None:
    cells = [cell for cell in read(PATHS[name]).cells if cell.cell_type == "code"]

    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(output for cell in cells for output in cell.outputs)
    assert not any(
        output.output_type == "error" or output.get("name") == "stderr"
        for cell in cells
        for output in cell.outputs
    )


@pytest.mark.parametrize("name", PATHS)
def test_something_is_seen_before_long(name: str) -> None:
    first = next(cell for cell in read(PATHS[name]).cells if cell.cell_type == "code")

    assert first.outputs
    assert len(first.source.splitlines()) <= FIRST_LINES


@pytest.mark.parametrize("name", PATHS)
def test_what_it_says_of_its_outputs_is_asserted_in_its_cells(name: str) -> None:
    notebook = read(PATHS[name])

    assert "`assert`" in notebook.cells[0].source.replace("\n", " ")
    checked = [cell for cell in notebook.cells if "assert " in cell.source]
    assert len(checked) >= len(notebook.cells) / 5


@pytest.mark.parametrize("name", PATHS)
def test_it_holds_no_path_of_the_machine_that_ran_it(name: str) -> None:
    stored = nbformat.writes(read(PATHS[name]))  # type: ignore[no-untyped-call]

    homes = [f"/{name}/" for name in ("tmp", "home", "root", "Users")]
    places = (*homes, str(Path(__file__).parents[2]))
    assert [place for place in places if place in stored] == []
