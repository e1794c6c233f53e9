"""A job is found by its name, wherever its results are."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import JobIdentity
from aegis_graph.bulk.register import JobRegister, job_folder
from aegis_graph.errors import StoreError


def make_job(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True)
    WorkQueue(folder, JobIdentity(name=name)).close()
    return folder


def test_a_job_is_found_by_its_name_or_its_folder(tmp_path: Path) -> None:
    register = JobRegister(tmp_path / "register")
    results = make_job(tmp_path / "results", "a/b: c")
    register.remember("a/b: c", results)
    assert job_folder("a/b: c", register) == results
    assert job_folder(str(results), register) == results


def test_the_later_of_two_jobs_with_one_name_counts(tmp_path: Path) -> None:
    register = JobRegister(tmp_path / "register")
    for place in ("first", "second"):
        register.remember("letters", make_job(tmp_path / place, "letters"))
    assert register.folder_of("letters") == tmp_path / "second"
    assert len(list((tmp_path / "register").iterdir())) == 1


def test_what_is_no_job_any_more_is_not_found(tmp_path: Path) -> None:
    register = JobRegister(tmp_path / "register")
    register.remember("letters", tmp_path / "gone")
    for name in ("letters", "unknown", str(tmp_path)):
        with pytest.raises(StoreError, match="there is no job of this name here; name the folder"):
            job_folder(name, register)
    [entry] = (tmp_path / "register").iterdir()
    for text in ("", "[]", '{"results": 7}', "\0"):
        entry.write_text(text)
        assert register.folder_of("letters") is None


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"allow writing there$"):
        JobRegister(tmp_path / "file" / "register").remember("letters", tmp_path)
