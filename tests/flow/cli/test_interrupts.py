"""Ctrl-C, sent to real processes at moments that are recognised by what happened."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from aegis_graph.testing import Fault, LoopbackServer
from tests import programs
from tests.flow.cli.command import MAIN

LINE = "aegis: interrupted\n"
INTERRUPTED = 130

AT_IMPORT = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["AT_IMPORT"]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
"""
"""Sends the signal to its own process when a module is about to be imported."""

TO_ANOTHER_THREAD = """
import signal, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
"""
"""The signal does not end the main thread's wait, as when it comes just before that begins."""


def configure(folder: Path, server: LoopbackServer) -> None:
    (folder / "note.md").write_text("The limit is 40 dollars.")
    (folder / "aegis.toml").write_text(
        f"""
[ledger]
url = "sqlite:///costs.db"
busy_timeout_s = 300

[[providers]]
name = "ollama"
kind = "ollama"
model = "llama3.2:3b"
base_url = "{server.ollama_url}"
location = "local"
price = "free"
"""
    )


def start(folder: Path, *arguments: str, code: str = MAIN, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=folder,
        env=programs.bare(folder, **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(program: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = program.communicate(timeout=programs.WAIT_S)
    return program.returncode, errors


@pytest.mark.parametrize(
    "module",
    [
        "aegis_graph.cli.commands",
        "aegis_graph.types",
        "aegis_graph.cli.ask",
        "langgraph.graph",
        "pydantic",
        "aegis_graph.routing.router",
        "aegis_graph.ledger.sqlite",
    ],
)
def test_while_modules_are_imported_it_ends_with_one_line(
    tmp_path: Path, server: LoopbackServer, module: str
) -> None:
    configure(tmp_path, server)
    ask = ("ask", "What is the limit?", "--docs", "note.md", "--config", "aegis.toml")
    program = start(tmp_path, *ask, code=AT_IMPORT + MAIN, AT_IMPORT=module)
    assert end(program) == (INTERRUPTED, LINE)


def test_a_call_that_runs_is_recorded_as_cancelled(tmp_path: Path, server: LoopbackServer) -> None:
    configure(tmp_path, server)
    server.script("ollama", Fault.hang())
    program = start(tmp_path, "ask", "the limit", "--docs", "note.md", "--config", "aegis.toml")
    server.wait_for_calls(1)
    # As ``timeout`` does, and a terminal where the command is in a script.
    program.send_signal(signal.SIGINT)
    program.send_signal(signal.SIGINT)
    assert end(program) == (INTERRUPTED, LINE)
    [status] = sqlite3.connect(tmp_path / "costs.db").execute("SELECT status FROM requests")
    assert status == ("cancelled",)


@pytest.mark.parametrize("command", [("costs",), ("budgets", "set", "total", "day", "2")])
def test_a_ledger_that_another_process_holds_does_not_hold_up_the_end(
    tmp_path: Path, server: LoopbackServer, command: tuple[str, ...]
) -> None:
    configure(tmp_path, server)
    first = start(tmp_path, "budgets", "set", "total", "day", "1", "--config", "aegis.toml")
    assert end(first) == (0, "")
    holder = sqlite3.connect(tmp_path / "costs.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    told, tell = os.pipe()
    waiting = (
        "import os, sqlite3, sys\n"
        "def hook(event, _):\n"
        "    if event == 'sqlite3.connect': os.write(int(os.environ['TELL']), b'.')\n"
        "sys.addaudithook(hook)\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", waiting + MAIN, *command, "--config", "aegis.toml"],
        cwd=tmp_path,
        env=programs.bare(tmp_path, TELL=str(tell)),
        pass_fds=[tell],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(tell)
    with open(told, "rb") as pipe:
        assert pipe.read(1) == b"."
    program.send_signal(signal.SIGINT)
    assert end(program) == (INTERRUPTED, LINE)
    holder.close()


def test_in_the_background_of_a_script_it_goes_on(tmp_path: Path, server: LoopbackServer) -> None:
    configure(tmp_path, server)
    ignoring = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    code = ignoring + AT_IMPORT + MAIN
    program = start(tmp_path, "costs", code=code, AT_IMPORT="aegis_graph.cli.costs")
    assert end(program) == (0, "")
