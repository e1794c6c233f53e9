"""The types of the installed package, as the program of a user's sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import aegis_graph

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("user_program.py")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the package from its wheel, and with what it depends on from here."""
    folder = tmp_path_factory.mktemp("installed")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    venv.create(folder / "venv", symlinks=True)
    names = {"base": str(folder / "venv"), "platbase": str(folder / "venv")}
    site = Path(sysconfig.get_path("purelib", "venv", names))
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv" / "bin" / "python"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program in a folder of its own, where it is no part of this project."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_it_uses_the_package_of_the_wheel(python: Path, tmp_path: Path) -> None:
    done = run(python, "-c", "import aegis_graph; print(aegis_graph.__file__)", cwd=tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(python.parents[1])


def test_it_has_every_public_error() -> None:
    text = PROGRAM.read_text(encoding="utf-8")
    errors = [name for name in aegis_graph.__all__ if name.endswith("Error")]
    assert errors
    assert [name for name in errors if name not in text] == []


def mypy(python: Path, path: Path) -> subprocess.CompletedProcess[str]:
    # What is read of the installed packages is kept for the next run.
    cache = python.parents[2] / "mypy"
    options = ("--strict", "--python-executable", python, "--cache-dir", cache)
    return run(sys.executable, "-m", "mypy", *options, path, cwd=path.parent)


def test_it_is_clean_under_mypy(python: Path, program: Path) -> None:
    done = mypy(python, program)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_clean_under_pyright(python: Path, program: Path) -> None:
    settings = {"typeCheckingMode": "standard", "include": [program.name]}
    (program.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run(sys.executable, "-m", "basedpyright", "--pythonpath", python, cwd=program.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def test_choices_that_are_none_are_errors_of_the_types(python: Path, tmp_path: Path) -> None:
    wrong = ("sensitivity='secret'", "task=1", "colour='red'")
    calls = [f"create_router().with_options({choice})\n" for choice in wrong]
    path = tmp_path / "wrong.py"
    path.write_text("".join(["from aegis_graph import create_router\n", *calls]))
    done = mypy(python, path)
    lines = [line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line]
    assert lines == ["2", "3", "4"], done.stdout
