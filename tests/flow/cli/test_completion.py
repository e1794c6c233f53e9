"""Completion, as a real shell does it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from aegis_graph.cli.arguments import SHELLS
from tests.flow.cli.command import aegis

ASK = """
source completion
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
function_name=$(complete -p aegis | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
$function_name
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("completion")
    done = aegis("completion", "bash", cwd=found)
    assert (done.returncode, done.stderr) == (0, "")
    (found / "completion").write_text(done.stdout)
    return found


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["aegis", "led"], ["ledger"]),
        (["aegis", "ledger", "ver"], ["verify"]),
        (["aegis", "ask", "--sens"], ["--sensitivity"]),
        (["aegis", "describe", "--kind", "ta"], ["table"]),
        (["aegis", "budgets", "s"], ["set"]),
    ],
)
def test_bash_completes_commands_options_and_choices(
    folder: Path, words: list[str], completed: list[str]
) -> None:
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == completed


@pytest.mark.parametrize("shell", SHELLS)
def test_there_is_a_script_for_each_shell(tmp_path: Path, shell: str) -> None:
    done = aegis("completion", shell, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ledger" in done.stdout
