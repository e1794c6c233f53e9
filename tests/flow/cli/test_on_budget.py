"""A command whose budget has no room asks on a terminal how much more may be spent."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.cli.command import MAIN
from tests.flow.cli.test_interrupts import TO_ANOTHER_THREAD
from tests.flow.cli.test_prompt import run, terminal
from tests.flow.support import read

CONFIG = """
[ledger]
url = "sqlite:///costs.db"

[routing]
on_budget = "interrupt"

[[providers]]
name = "openai"
kind = "openai"
model = "gpt-4o"
base_url = "{server.openai_url}"
location = "cloud"
max_output_tokens = 1
price = {{ input_usd_per_mtok = "0", output_usd_per_mtok = "400000" }}

[[budgets]]
scope = "total"
window = "month"
limit_usd = "0.1"
"""
QUESTION = "$0.4 needed, $0.1 left of total/month. Allow how much more? [0] "


@pytest.fixture
def folder(tmp_path: Path, server: LoopbackServer) -> Path:
    server.always("openai", Reply("Paris.", input_tokens=1, output_tokens=1))
    (tmp_path / "aegis.toml").write_text(CONFIG.format(server=server))
    (tmp_path / "note.md").write_text("The capital is Paris.")
    return tmp_path


def raised(folder: Path) -> list[int]:
    rows = read(folder / "costs.db", "SELECT nano_usd FROM budget_raises ORDER BY timestamp")
    return [row["nano_usd"] for row in rows]


def test_a_prompt_is_answered_with_what_was_allowed(folder: Path) -> None:
    with terminal(folder, "Which city?") as screen:
        screen.read_until(QUESTION)
        screen.type("$0.35\n")
        assert screen.end() == 0
    assert "Paris." in screen.shown
    assert "$0.05 left of $0.45 a month" in screen.shown
    assert raised(folder) == [350_000_000]
    shown = json.loads(run(folder, "budgets", "--json").stdout)
    (budget,) = shown["budgets"]
    assert [budget[key] for key in ("limit_usd", "raised_usd", "spent_usd", "left_usd")] == [
        "0.45", "0.35", "0.4", "0.05",
    ]  # fmt: skip
    (made,) = shown["raises"]
    assert (made["scope"], made["window"], made["raised_usd"]) == ("total", "month", "0.35")
    assert made["approved_by"]
    table = run(folder, "budgets").stdout.decode()
    assert "raised" in table
    assert f"total per month was raised by $0.35 on {made['timestamp'][:10]}" in table


@pytest.mark.parametrize(
    ("typed", "says"), [("\n", "allowed"), ("\x04", "allowed"), ("x\n", "'x'")]
)
def test_nothing_or_no_amount_is_a_refusal(folder: Path, typed: str, says: str) -> None:
    with terminal(folder, "Which city?") as screen:
        screen.read_until(QUESTION)
        screen.type(typed)
        assert screen.end() == 3
    assert "no more was allowed" in screen.shown
    assert says in screen.shown
    assert raised(folder) == []


def test_a_pipe_is_never_asked(folder: Path, server: LoopbackServer) -> None:
    done = run(folder, "Which city?", stdin=b"0.50\n")
    assert done.returncode == 3
    assert done.stderr.decode().endswith("needs up to $0.4, $0.1 left)\n")
    assert b"Allow" not in done.stderr
    assert not server.calls()


@pytest.mark.parametrize("code", [MAIN, TO_ANOTHER_THREAD + MAIN], ids=["", "while it waits"])
def test_a_chat_asks_and_an_answer_that_is_cancelled_there_takes_no_line(
    folder: Path, code: str
) -> None:
    with terminal(folder, "chat", code=code) as screen:
        screen.read_until("> ")
        screen.type("Which city?\n")
        screen.read_until(QUESTION)
        screen.process.send_signal(signal.SIGINT)
        screen.read_until("Ctrl-C again leaves\n> ")
        # What is typed may be echoed twice: by the terminal, and by its line editor.
        screen.shown = ""
        screen.type("And now?\n")
        screen.read_until(QUESTION)
        screen.type("0.3\n")
        screen.read_until("left of $0.4 a month")
        screen.type("/exit\n")
        assert screen.end() == 0
    assert raised(folder) == [300_000_000]


def test_a_question_over_documents_is_asked_for_too(folder: Path, server: LoopbackServer) -> None:
    server.always("openai", Reply("The capital is Paris. [1]", input_tokens=1, output_tokens=1))
    with terminal(
        folder, "ask", "What is the capital?", "--docs", "note.md", "--no-plan"
    ) as screen:
        screen.read_until(QUESTION)
        screen.type("1\n")
        assert screen.end() == 0
    assert "The capital is Paris." in screen.shown
    assert raised(folder) == [1_000_000_000]
