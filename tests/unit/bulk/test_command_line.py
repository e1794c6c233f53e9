"""What a command line says of a job is kept whole, and what a job came to is an exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.cli.bulk_begun import FILE, BegunJob
from aegis_graph.cli.bulk_output import exit_status, going_on, progress_lines_of, status_of_end
from aegis_graph.cli.commands import command_parser
from aegis_graph.errors import StoreError
from tests.unit.bulk.test_progress import progress

LINE = (
    *(
        "bulk",
        "run",
        "--graph",
        "ask",
        "--input",
        "q.csv",
        "more/*.csv",
        "--results",
        "out/letters",
    ),
    *("--docs", "docs", "--key", "id", "--field", "kind=text", "--max-cost-usd", "60"),
    *("--workers", "2", "--tier", "flex", "--sensitivity", "pii", "--tag", "team=search"),
    *("--config", "aegis.toml"),
)


def begun(*arguments: str) -> BegunJob:
    return BegunJob.of(command_parser().parse_args([*arguments]))


def test_how_a_job_was_begun_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = begun(*LINE, "--results", str(tmp_path))
    job.keep()
    assert BegunJob.read(tmp_path) == job
    assert job.name == tmp_path.name
    assert job.running == {"max_cost_usd": "60", "workers": 2, "tier": "flex"}
    assert job.recipe.choices == {"sensitivity": "pii", "tags": {"team": "search"}}
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_a_job_has_the_name_of_its_folder_or_its_own() -> None:
    assert begun(*LINE).name == "letters"
    assert begun(*LINE, "--name", "notes").name == "notes"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"recipe": 7}', '{"recipe": {"graph": "ask"}}'])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(StoreError, match="no command began this job"):
        BegunJob.read(tmp_path)
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StoreError, match="give the `bulk run` again"):
        BegunJob.read(tmp_path)


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    job = begun(*LINE, "--results", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match="allow writing there"):
        job.keep()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "status", "command"),
    [
        ({"state": "finished", "set_aside": 0}, 0, None),
        ({"state": "finished"}, 5, "once more: aegis bulk retry contracts-2026, then "),
        ({"state": "money_ended"}, 3, "more money: aegis bulk resume contracts-2026 --max-cost"),
        ({"state": "cancelled"}, 5, "go on with: aegis bulk resume contracts-2026"),
        ({"state": "paused"}, 4, "go on with: aegis bulk resume contracts-2026"),
        ({"state": "stopped"}, 4, "go on with: aegis bulk resume contracts-2026"),
        ({"state": "stopped", "total": 0}, 2, "the input has no item"),
    ],
)
def test_the_end_of_a_job_has_a_status_and_says_what_goes_on(
    changes: dict[str, Any], status: int, command: str | None
) -> None:
    shown = progress(**changes)
    assert status_of_end(shown) == status
    following = going_on(shown)
    assert following is None if command is None else (following or "").startswith(command)


def test_a_look_at_a_job_that_runs_or_was_stopped_is_no_failure() -> None:
    for state in ("running", "stopped"):
        assert exit_status(progress(state=state, set_aside=0)) == 0


def test_a_job_in_words() -> None:
    lines = list(progress_lines_of(progress(reason="[so]"), Path("out")))
    assert lines == [
        "Job      contracts-2026, running: [so]",
        "Items    61,000 of 100,000 done, 64 under way, 12 failed, to be tried again, 61 set aside",
        "Cost     $36.604123456 spent, $23.395876544 left of $60",
        "Twice    2 items bought again at most, for $0.002",
        "Rate     412 items/s, 0:01:34 to go",
        "Results  out",
    ]


def test_a_field_without_a_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("kind", "=text"):
        with pytest.raises(SystemExit):
            begun(*LINE, "--field", text)
        assert f"{text!r} is no KEY=VALUE, like kind=text" in capsys.readouterr().err


def test_what_is_kept_has_no_key_of_a_provider(tmp_path: Path) -> None:
    begun(*LINE, "--results", str(tmp_path)).keep()
    kept = json.loads((tmp_path / FILE).read_text())
    assert "environ" not in json.dumps(kept)
    assert kept["recipe"]["config"] == "aegis.toml"
