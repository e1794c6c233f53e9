"""The notebooks run from top to bottom with no key and no network, and say what they said."""

from __future__ import annotations

import pytest

from notebooks.execute import execute, notebooks, read, shown

PATHS = {path.stem: path for path in notebooks()}


def test_each_subject_has_its_notebook() -> None:
    assert list(PATHS) == [
        "01_routing",
        "02_budgets_and_costs",
        "03_rag",
        "04_lightrag",
        "05_vision",
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
