"""``aegis "a prompt"`` and ``aegis chat``: real processes, in a pipe and in a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from aegis_graph.cli.interrupts import SAME_PRESS_S
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests import programs
from tests.flow.cli.command import MAIN

CONFIG = """
[ledger]
url = "sqlite:///costs.db"

[[providers]]
name = "openai"
kind = "openai"
model = "gpt-4o"
base_url = "{server.openai_url}"
api_key_env = "TEST_KEY"
location = "cloud"
retry_wait_s = 0
price = {{ input_usd_per_mtok = "2.50", output_usd_per_mtok = "10" }}

[[providers]]
name = "ollama"
kind = "ollama"
model = "llama3.2:3b"
base_url = "{server.ollama_url}"
location = "local"
price = "free"

[[budgets]]
scope = "total"
window = "month"
limit_usd = "10"

[[budgets]]
scope = "provider:openai"
window = "day"
limit_usd = "1"
"""


@pytest.fixture
def folder(tmp_path: Path, server: LoopbackServer) -> Path:
    (tmp_path / "aegis.toml").write_text(CONFIG.format(server=server))
    return tmp_path


def variables(folder: Path) -> dict[str, str]:
    return programs.bare(folder, AEGIS_CONFIG="aegis.toml", TEST_KEY="sk-test")


def run(
    folder: Path, *arguments: str, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    with open(os.devnull, "rb") as nothing:
        program = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", MAIN, *arguments],
            cwd=folder,
            env=variables(folder),
            stdin=nothing if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        output, errors = program.communicate(stdin, timeout=programs.WAIT_S)
    return subprocess.CompletedProcess(arguments, program.returncode, output, errors)


def test_a_prompt_is_answered_with_its_cost_and_the_tightest_budget(
    folder: Path, server: LoopbackServer
) -> None:
    server.script("openai", Reply("A hold is money set aside.", input_tokens=40, output_tokens=6))
    done = run(folder, "What is a hold?")
    assert (done.returncode, done.stdout) == (0, b"A hold is money set aside.\n")
    line = done.stderr.decode()
    assert line.startswith("openai gpt-4o \u00b7 $0.00016 \u00b7 ")
    assert line.endswith(" s \u00b7 $0.99984 left of $1 a day\n")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sent"), [(("-",), "a\nb"), (("review this",), "review this\n\na\nb")]
)
def test_what_a_pipe_brings_is_part_of_the_prompt(
    folder: Path, server: LoopbackServer, words: tuple[str, ...], sent: str
) -> None:
    server.script("openai", Reply("Fine."))
    assert run(folder, *words, stdin=b"a\nb\n").stdout == b"Fine.\n"
    [call] = server.calls()
    assert call.body["messages"][-1]["content"] == sent


def test_options_reach_the_request_and_json_is_one_object(
    folder: Path, server: LoopbackServer
) -> None:
    server.script("ollama", Reply("Yes."))
    options = ("--sensitivity", "pii", "--task", "summary", "--user", "ada", "--json")
    done = run(folder, "Is it?", *options)
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (found["answer"], found["provider"], found["cost_usd"]) == ("Yes.", "ollama", "0")
    assert [row["code"] for row in found["skipped"]] == ["privacy"]
    rows = sqlite3.connect(folder / "costs.db").execute("SELECT task, user_id FROM requests")
    assert list(rows) == [("summary", "ada")]


def test_without_any_model_it_says_how_to_get_one(folder: Path, server: LoopbackServer) -> None:
    (folder / "aegis.toml").write_text(
        CONFIG.format(server=server).replace('"TEST_KEY"', '"NO_SUCH_KEY"')
    )
    server.script("ollama", Fault.status(404))
    done = run(folder, "What is a hold?")
    errors = done.stderr.decode().splitlines()
    assert done.returncode == 4
    assert "NO_SUCH_KEY is not set" in errors[0] or "failed" in errors[0]
    assert errors[-1].startswith("aegis: to get a model, install Ollama")


def test_a_budget_that_is_used_up_is_no_missing_model(folder: Path, server: LoopbackServer) -> None:
    path = folder / "aegis.toml"
    path.write_text(path.read_text().partition('[[providers]]\nname = "ollama"')[0])
    path.write_text(
        path.read_text() + '[[budgets]]\nscope = "total"\nwindow = "day"\nlimit_usd = "0"'
    )
    done = run(folder, "What is a hold?")
    assert done.returncode == 3
    assert b"Ollama" not in done.stderr


def test_a_chat_remembers_and_ends_with_its_input(folder: Path, server: LoopbackServer) -> None:
    server.script("openai", Reply("Ada."), Reply("You are Ada."))
    done = run(folder, "chat", "--json", stdin=b"I am Ada\n\nWho am I?\n/exit\nnever\n")
    answers = [json.loads(line)["answer"] for line in done.stdout.splitlines()]
    assert (done.returncode, answers) == (0, ["Ada.", "You are Ada."])
    said = [message["content"] for message in server.calls()[-1].body["messages"]]
    assert said == ["I am Ada", "Ada.", "Who am I?"]


class Terminal:
    """A program in a terminal of its own: what it shows, and what is typed there."""

    def __init__(self, folder: Path, *arguments: str, code: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=folder,
            env={**variables(folder), "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def read_until(self, text: str) -> None:
        while text not in self.shown:
            piece = os.read(self._ours, 1024)
            assert piece, f"ended without {text!r}: {self.shown}"
            self.shown += piece.decode().replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        # The kernel reports the end of the other side as an error.
        with suppress(OSError):
            while piece := os.read(self._ours, 1024):
                self.shown += piece.decode().replace("\r\n", "\n")
        os.close(self._ours)
        return self.process.wait(programs.WAIT_S)


@contextmanager
def terminal(folder: Path, *arguments: str, code: str = MAIN) -> Iterator[Terminal]:
    found = Terminal(folder, *arguments, code=code)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.wait()


def test_ctrl_c_cancels_an_answer_and_the_next_one_leaves(
    folder: Path, server: LoopbackServer
) -> None:
    server.script("openai", Reply("Hello Ada."), Fault.hang())
    with terminal(folder, "chat") as screen:
        screen.read_until("> ")
        screen.type("I am Ada\n")
        screen.read_until("left of $1 a day")
        assert "Hello Ada." in screen.shown
        screen.type("and then?\n")
        server.wait_for_calls(2)
        screen.process.send_signal(signal.SIGINT)
        screen.read_until("Ctrl-C again leaves\n> ")
        # Signals that are close to the last one are taken for the same press.
        while screen.process.poll() is None:
            screen.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                screen.process.wait(2 * SAME_PRESS_S)
        assert screen.end() == 130
    assert screen.shown.endswith("\naegis: interrupted\n")
    rows = sqlite3.connect(folder / "costs.db").execute("SELECT status FROM requests ORDER BY id")
    assert list(rows) == [("answered",), ("cancelled",)]


def test_an_answer_that_breaks_off_is_said_to_start_anew(
    folder: Path, server: LoopbackServer
) -> None:
    server.script("openai", Fault.cut(Reply("Half of it", chunks=["Half", " of it"]), 1))
    server.script("ollama", Reply("All of it."))
    with terminal(folder, "Say it") as screen:
        assert screen.end() == 0
    assert "Half\n-- openai stopped" in screen.shown
    assert "the answer starts anew --\nAll of it.\n" in screen.shown
