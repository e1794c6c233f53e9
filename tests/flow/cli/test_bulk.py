"""``aegis bulk``, run as a user runs it: over rows, documents and images, stopped and resumed."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import LoopbackServer, Received, Reply
from tests.flow.cli.command import aegis
from tests.flow.cli.test_interrupts import end, start
from tests.programs import WAIT_S

CONFIG = """
[ledger]
url = "sqlite:///costs.db"

[[providers]]
name = "cloud"
kind = "openai"
model = "m"
base_url = "{openai}"
location = "cloud"
images = true
max_output_tokens = 100
max_retries = 0
price = {{ input_usd_per_mtok = "0", output_usd_per_mtok = "10" }}
"""

MODULE = """
from langgraph.graph import START, StateGraph
from aegis_graph import RoutedMessagesState, RouterConfig, create_router

def graph():
    router = create_router(RouterConfig.load("aegis.toml"))
    return StateGraph(RoutedMessagesState).add_node("llm", router).add_edge(START, "llm").compile()

nothing = 7
"""

RUN = ("bulk", "run", "--graph", "app:graph", "--input", "items.jsonl", "--results", "out")


@pytest.fixture
def folder(tmp_path: Path, server: LoopbackServer) -> Path:
    (tmp_path / "aegis.toml").write_text(CONFIG.format(openai=server.openai_url))
    (tmp_path / "app.py").write_text(MODULE)
    server.always("openai", Reply("Done.", output_tokens=100))
    return tmp_path


def write_rows(folder: Path, count: int) -> None:
    rows = [
        {"id": f"c-{number}", "messages": [{"role": "user", "content": f"Item {number}"}]}
        for number in range(count)
    ]
    (folder / "items.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def last(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The last line of JSON that a command printed."""
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return line


def results(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "out" / "results.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_job_ends_with_its_money_and_goes_on_with_more(
    folder: Path, server: LoopbackServer
) -> None:
    write_rows(folder, 10)
    # Each item costs $0.001.
    first = aegis(*RUN, "--key", "id", "--max-cost-usd", "0.004", cwd=folder)
    assert first.returncode == 3, first.stderr
    assert (last(first)["state"], last(first)["done"]) == ("money_ended", 4)
    assert last(first)["rest_usd"] == "0.006"
    assert "more money: aegis bulk resume out --max-cost-usd USD" in first.stderr
    assert len(server.calls()) == 4

    shown = aegis("bulk", "status", "out", cwd=folder)
    assert shown.returncode == 3
    assert "Items    4 of 10 done" in shown.stdout
    assert "Cost     $0.004 spent, $0 left of $0.004" in shown.stdout

    rest = aegis("bulk", "resume", "out", "--max-cost-usd", "1", cwd=folder)
    assert rest.returncode == 0, rest.stderr
    assert (last(rest)["state"], last(rest)["done"], last(rest)["spent_usd"]) == (
        "finished",
        10,
        "0.01",
    )
    assert len(server.calls()) == 10
    assert sorted(row["key"] for row in results(folder)) == [f"c-{one}" for one in range(10)]
    [(spent,)] = sqlite3.connect(folder / "costs.db").execute(
        "SELECT sum(spent_nano_usd) FROM totals WHERE scope = 'tag:bulk=out'"
    )
    assert spent == 10_000_000


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_a_graph_prints_is_kept_out_of_the_lines_of_json(folder: Path, workers: str) -> None:
    write_rows(folder, 2)
    say = ".add_node('say', lambda _: print('Found it.')).add_edge('llm', 'say').compile()"
    (folder / "app.py").write_text(MODULE.replace(".compile()", say))
    done = aegis(*RUN, "--workers", workers, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["job"] for line in done.stdout.splitlines()]
    assert done.stderr.count("Found it.") == 2


def test_the_same_command_again_buys_nothing(folder: Path, server: LoopbackServer) -> None:
    write_rows(folder, 3)
    assert aegis(*RUN, cwd=folder).returncode == 0
    again = aegis(*RUN, cwd=folder)
    assert (again.returncode, last(again)["done"]) == (0, 3)
    assert len(server.calls()) == 3


def test_an_item_that_fails_is_set_aside_and_put_back(folder: Path, server: LoopbackServer) -> None:
    write_rows(folder, 3)
    with (folder / "items.jsonl").open("a") as rows:
        rows.write('{"id": "bad", "messages": []}\n')
    done = aegis(*RUN, "--key", "id", "--max-attempts", "1", cwd=folder)
    assert done.returncode == 5, done.stderr
    assert (last(done)["done"], last(done)["set_aside"]) == (3, 1)
    assert "aegis bulk retry out" in done.stderr
    shown = aegis("bulk", "status", "out", cwd=folder)
    assert shown.returncode == 5
    assert "Aside    bad (items.jsonl, line 4): InvalidRequestError: messages: " in shown.stdout
    back = aegis("bulk", "retry", "out", "--json", cwd=folder)
    assert (back.returncode, json.loads(back.stdout)["put_back"]) == (0, 1)


def test_ctrl_c_lets_what_is_paid_for_end_and_says_how_to_go_on(
    folder: Path, server: LoopbackServer
) -> None:
    write_rows(folder, 3)
    said = threading.Event()

    def answer(call: Received) -> Reply:
        if len(server.calls()) > 1:
            said.wait(WAIT_S)
        return Reply("Done.", output_tokens=100)

    server.always("openai", answer)
    program = start(folder, *RUN, "--concurrency", "1")
    server.wait_for_calls(2)
    program.send_signal(signal.SIGINT)
    assert program.stderr is not None
    first = program.stderr.readline()
    assert first == "aegis: items under way end first; Ctrl-C again ends at once\n"
    said.set()
    status, errors = end(program)
    assert status == 130
    assert errors.splitlines() == [
        "aegis: 2 of 3 items are done; go on with: aegis bulk resume out",
        "aegis: interrupted",
    ]
    rest = aegis("bulk", "resume", "out", cwd=folder)
    assert (rest.returncode, last(rest)["done"]) == (0, 3), rest.stderr
    assert len(server.calls()) == 3


def test_a_job_is_cancelled_from_elsewhere(folder: Path, server: LoopbackServer) -> None:
    write_rows(folder, 3)
    cancelled = threading.Event()

    def answer(call: Received) -> Reply:
        cancelled.wait(WAIT_S)
        return Reply("Done.", output_tokens=100)

    server.always("openai", answer)
    program = start(folder, *RUN, "--concurrency", "1")
    server.wait_for_calls(1)
    done = aegis("bulk", "cancel", "out", cwd=folder)
    assert done.stdout == "1 worker stops; go on with: aegis bulk resume out\n"
    cancelled.set()
    status, errors = end(program)
    assert (status, errors) == (5, "aegis: go on with: aegis bulk resume out\n")
    shown = json.loads(aegis("bulk", "status", "out", "--json", cwd=folder).stdout)
    assert (shown["state"], shown["done"], shown["pending"]) == ("cancelled", 1, 2)


def test_two_worker_processes_make_the_graph_again(folder: Path, server: LoopbackServer) -> None:
    write_rows(folder, 6)
    # A file that is run by its name: what a process begins with must be found by the next.
    (folder / "aegis_here.py").write_text(
        "import sys\nfrom aegis_graph.cli import main\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"
    )
    code = "import runpy, sys; sys.argv[0] = 'aegis_here.py';"
    code += " runpy.run_path('aegis_here.py', run_name='__main__')"
    program = start(folder, *RUN, "--workers", "2", code=code)
    output, errors = program.communicate(timeout=WAIT_S)
    assert program.returncode == 0, errors
    assert json.loads(output.splitlines()[-1])["done"] == 6
    assert len(server.calls()) == 6


def test_a_forecast_says_what_all_of_it_costs_and_keeps_what_it_bought(
    folder: Path, server: LoopbackServer
) -> None:
    write_rows(folder, 20)
    forecast = ("bulk", "forecast", *RUN[2:], "--sample", "5")
    done = aegis(*forecast, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert last(done)["cost_usd"] == "0.02"
    assert len(server.calls()) == 5
    assert aegis("bulk", "resume", "out", cwd=folder).returncode == 0
    assert len(server.calls()) == 20


def test_a_graph_that_is_none_is_one_line(folder: Path) -> None:
    write_rows(folder, 1)
    for graph, why in (
        ("relation", "is none of relations, describe, ask, and no MODULE:NAME"),
        ("gone:graph", "there is no module gone here"),
        ("app:gone", "app has no gone"),
        ("app:nothing", "int is no compiled graph, and no function that makes one"),
    ):
        done = aegis(
            "bulk",
            "run",
            "--graph",
            graph,
            "--input",
            "items.jsonl",
            "--results",
            "out",
            cwd=folder,
        )
        assert (done.returncode, done.stderr) == (2, f"aegis: --graph {graph}: {why}\n")
    assert not (folder / "out").exists()


def test_a_bad_row_is_named_before_anything_is_bought(folder: Path, server: LoopbackServer) -> None:
    write_rows(folder, 2)
    with (folder / "items.jsonl").open("a") as rows:
        rows.write("{\n")
    done = aegis(*RUN, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("aegis: items.jsonl, line 3: is no JSON")
    assert not server.calls()


def test_a_key_with_another_input_is_refused(folder: Path, server: LoopbackServer) -> None:
    write_rows(folder, 1)
    with (folder / "items.jsonl").open("a") as rows:
        rows.write('{"id": "c-0", "messages": [{"role": "user", "content": "Other"}]}\n')
    done = aegis(*RUN, "--key", "id", cwd=folder)
    assert done.returncode != 0
    [line] = done.stderr.splitlines()
    assert "c-0" in line
    assert not server.calls()


def test_an_unknown_job_is_one_line(folder: Path) -> None:
    for action in ("status", "resume", "retry", "cancel"):
        done = aegis("bulk", action, "gone", cwd=folder)
        assert (done.returncode, done.stderr) == (
            3,
            "aegis: gone: there is no job of this name here; name the folder of its results\n",
        )
