"""The command line, run as a user runs it: a process of its own, its output and its exit status."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from aegis_graph.ledger.schema import SCHEMA_VERSION
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests import programs
from tests.flow.cli.command import aegis

DOCUMENT = """# Budgets

The monthly limit of the reading room is 40 dollars. Books are ordered on Fridays.
"""
QUOTE = "The monthly limit of the reading room is 40 dollars. [1]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "budgets.md").write_text(DOCUMENT)
    return tmp_path


def configure(folder: Path, server: LoopbackServer, *, limit: str = "1", ollama: str = "") -> Path:
    path = folder / "aegis.toml"
    path.write_text(
        f"""
[ledger]
url = "sqlite:///{folder}/costs.db"

[[providers]]
name = "ollama"
kind = "ollama"
model = "llama3.2:3b"
base_url = "{ollama or server.ollama_url}"
location = "local"
price = "free"

[[providers]]
name = "openai"
kind = "openai"
model = "gpt-4o"
base_url = "{server.openai_url}"
api_key_env = "TEST_KEY"
location = "cloud"
retry_wait_s = 0
price = {{ input_usd_per_mtok = "2.50", output_usd_per_mtok = "10" }}

[[budgets]]
scope = "provider:openai"
window = "month"
limit_usd = "{limit}"
"""
    )
    return path


def ask(
    folder: Path, *arguments: str, fresh: bool = False, **environ: str
) -> CompletedProcess[str]:
    question = ("ask", "What is the monthly limit?", "--docs", "docs", "--config", "aegis.toml")
    return aegis(*question, *arguments, cwd=folder, environ=environ, fresh=fresh)


def answer_of(done: CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_question_is_counted_by_its_tags(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    server.script("ollama", Reply("The limit is 40 dollars. [1]"))
    done = ask(folder, "--tag", "team=search", "--tag", "app=a=b")
    assert (done.returncode, done.stderr) == (0, "")
    costs = aegis("costs", "--by", "tag:app", "--config", "aegis.toml", "--json", cwd=folder)
    assert [row["tag:app"] for row in json.loads(costs.stdout)["rows"]] == ["a=b"]
    for wrong, says in (("team", "'team' is no KEY=VALUE"), ("a b=c", "tags: 'a b' is no key")):
        done = ask(folder, "--tag", wrong)
        assert done.returncode != 0
        assert says in done.stderr


def test_an_answer_is_shown_with_sources_route_cost_budget_and_ledger(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server)
    server.script("ollama", Fault.status(404))
    server.script("openai", Reply("The limit is 40 dollars. [1]", input_tokens=80, output_tokens=9))
    done = ask(folder, fresh=True, TEST_KEY="sk-test")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The limit is 40 dollars. [1]" in done.stdout
    assert "[1] budgets.md" in done.stdout
    assert "ollama  llama3.2:3b  failed    HTTP 404" in done.stdout
    assert "Cost    $0.00029\n" in done.stdout  # 80 x $2.50 + 9 x $10 per million
    assert "provider:openai per month: $0.99971 left of $1" in done.stdout
    route = done.stdout.rsplit("route ", 1)[1].strip()
    rows = sqlite3.connect(folder / "costs.db").execute(
        "SELECT provider, status, cost_nano_usd FROM requests WHERE route_id = ?", (route,)
    )
    assert list(rows) == [("ollama", "failed", 0), ("openai", "answered", 290_000)]


@pytest.mark.parametrize("check", ["citations", "own_checks:is_good"])
def test_an_answer_that_the_files_check_refuses_is_shown_with_the_reason(
    folder: Path, server: LoopbackServer, check: str
) -> None:
    path = configure(folder, server)
    path.write_text(f'{path.read_text()}\n[accept]\nanswer = "{check}"\n')
    (folder / "own_checks.py").write_text(
        "def is_good(request, answer):\n"
        "    return None if '40' in answer.text else 'the answer cites no passage'\n"
    )
    server.script("ollama", Reply("It is written there."))
    server.script("openai", Reply("The limit is 40 dollars. [1]", input_tokens=80, output_tokens=9))
    done = ask(folder, TEST_KEY="sk-test")
    assert (done.returncode, done.stderr) == (0, "")
    assert "The limit is 40 dollars. [1]" in done.stdout
    shown = " ".join(done.stdout.split())
    assert "ollama llama3.2:3b failed the answer cites no passage" in shown
    told = str(server.calls()[-1].body["messages"][-1]["content"])
    assert ("Another answer was refused: the answer cites no passage." in told) == (
        check == "citations"
    )


def test_json_is_one_object_with_the_promised_keys(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    server.script("ollama", Reply("It is 40 dollars. [1] Surely. [7]"))
    done = ask(folder, "--json")
    assert done.returncode == 0
    found = answer_of(done)
    assert found["answer"] == "It is 40 dollars. [1] Surely."
    [citation] = found["citations"]
    assert citation["n"] == 1
    assert citation["source"] == "budgets.md"
    assert citation["quote"] in DOCUMENT
    assert (found["provider"], found["model"], found["cost_usd"]) == ("ollama", "llama3.2:3b", "0")
    assert [row["status"] for row in found["attempts"]] == ["answered"]
    assert len(found["route_id"]) == 32


PLAN = {
    "kind": "multi-hop",
    "steps": [
        {"id": 1, "question": "What is the monthly limit?", "needs": []},
        {"id": 2, "question": "On which day are books ordered for {1}?", "needs": [1]},
    ],
}


def test_a_question_of_several_parts_shows_its_plan_costs_and_doubts(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server)
    server.always("ollama", Fault.status(404))
    answer = "The limit is 40 dollars. [1] Books are red. [1] Surely. [5]"
    server.script(
        "openai", Reply(json.dumps(PLAN)), Reply("40 dollars"), Reply(answer, output_tokens=9)
    )
    question = ("ask", "What is the limit, and when are books ordered?", "--docs", "docs")
    done = aegis(*question, "--config", "aegis.toml", cwd=folder, environ={"TEST_KEY": "sk-test"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "Plan (multi-hop)\n  1. What is the monthly limit? -> 40 dollars" in done.stdout
    assert "  2. On which day are books ordered for 40 dollars?\n" in done.stdout
    assert "\u201cBooks are red. [1]\u201d (in other words than the sources)" in done.stdout
    assert "\u201cSurely.\u201d (cites nothing)" in done.stdout
    assert "1 number in the answer pointed at no source" in done.stdout
    assert "Cost    $0.000265 (decompose $0.00015, answer $0.000115)" in done.stdout
    assert "decompose  ollama  llama3.2:3b  failed" in done.stdout
    costs = aegis("costs", "--by", "task", "--json", "--config", "aegis.toml", cwd=folder)
    spent = {row["task"]: float(row["cost_usd"]) for row in answer_of(costs)["rows"]}
    assert spent == {"decompose": pytest.approx(0.00015), "answer": pytest.approx(0.000115)}


def test_no_plan_is_made_where_none_is_wanted(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    server.script("ollama", Reply("The limit is 40 dollars. [1]"))
    question = ("ask", "What is the limit, and when are books ordered?", "--docs", "docs")
    done = aegis(*question, "--no-plan", "--json", "--config", "aegis.toml", cwd=folder)
    assert done.returncode == 0
    assert answer_of(done)["plan"]["kind"] == "simple"
    assert len(server.calls()) == 1


def test_a_model_may_judge_the_sentences(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    verdict = '{"verdicts": [{"n": 1, "supported": false}]}'
    server.script("ollama", Reply("The limit is 40 dollars. [1]"), Reply(verdict))
    done = ask(folder, "--verify", "model")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\u201cThe limit is 40 dollars. [1]\u201d (so a model judged)" in done.stdout


def test_an_envelope_holds_for_the_whole_run(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    server.always("ollama", Fault.status(404))
    done = ask(folder, "--max-cost-usd", "0.000001", "--json", TEST_KEY="sk-test")
    assert done.returncode == 3
    found = answer_of(done)
    assert found["error"] == "BudgetExceededError"
    assert "budget run:" in found["message"]
    assert server.calls("openai") == ()


def test_a_question_may_stand_behind_its_documents(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    config = ("--config", "aegis.toml")
    asked = aegis("ask", *config, "--docs", "docs", "Do giraffes sleep?", cwd=folder)
    assert (asked.returncode, server.calls()) == (0, ())
    missing = aegis("ask", *config, "--docs", "docs", "giraffes.md", cwd=folder)
    assert missing.returncode == 2
    assert "QUESTION" in missing.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_of_few_characters_costs_no_answer(
    folder: Path, server: LoopbackServer, encoding: str
) -> None:
    configure(folder, server)
    server.script("ollama", Reply("The monthly limit \u2014 of the room \u2014 is 40 dollars. [1]"))
    arguments = ("ask", "What is the monthly limit?", "--docs", "docs", "--config", "aegis.toml")
    done = aegis(*arguments, cwd=folder, environ={"PYTHONIOENCODING": encoding}, fresh=True)
    assert done.returncode == 0
    assert "The monthly limit ? of the room ? is 40 dollars. [1]" in done.stdout


def test_documents_that_say_nothing_of_it_cost_nothing(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server)
    done = aegis(
        "ask", "Do giraffes sleep?", "--docs", "docs", "--config", "aegis.toml", cwd=folder
    )
    assert done.returncode == 0
    assert done.stdout.startswith("The documents do not answer this question.\n")
    assert "nobody was asked" in done.stdout
    assert server.journal == ()


def test_a_spent_budget_ends_with_status_3(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server, limit="0")
    server.script("ollama", Fault.status(404))
    done = ask(folder, TEST_KEY="sk-test")
    assert done.returncode == 3
    assert done.stdout.splitlines()[0] == QUOTE
    assert "(No language model could be asked" in done.stdout
    assert "[1] budgets.md" in done.stdout
    assert "budget provider:openai per month: needs up to $" in done.stderr
    assert done.stderr.count("\n") == 1
    assert server.calls("openai") == ()


def test_privacy_ends_with_status_3_and_json_says_why(folder: Path, server: LoopbackServer) -> None:
    path = configure(folder, server)
    text = path.read_text()
    start, end = text.index("[[providers]]"), text.index("[[providers]]", text.index("ollama"))
    path.write_text(text[:start] + text[end:])
    done = ask(folder, "--sensitivity", "hipaa", "--json", TEST_KEY="sk-test")
    assert done.returncode == 3
    found = answer_of(done)
    assert found["error"] == "NoProviderError"
    assert found["skipped"][0]["code"] == "privacy"
    assert server.journal == ()


def test_every_provider_failing_ends_with_status_4(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    server.always("ollama", Fault.status(500))
    server.always("openai", Fault.status(401))
    done = ask(folder, "--json", TEST_KEY="sk-test")
    assert done.returncode == 4
    found = answer_of(done)
    assert found["error"] == "AllProvidersFailedError"
    assert found["answer"].splitlines()[0] == QUOTE
    assert (found["degraded"], found["provider"]) == (True, None)
    assert [row["error_type"] for row in found["attempts"]][-1] == "AuthenticationError"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ask", "x"], "--docs"),
        (["ask", "x", "--docs", "nowhere"], "nowhere: no such file or folder"),
        (["ask", " ", "--docs", "docs"], "question: empty"),
        (["ask", "x", "--docs", "docs", "--max-output-tokens", "0"], "max_output_tokens: 0"),
        (["ask", "x", "--docs", "docs", "--max-cost-usd", "much"], "max_cost_usd: 'much'"),
        (["costs", "--month", "2026-13"], "'2026-13' is not a month like 2026-11"),
        (["costs", "--config", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["doctor", "--config", "broken.toml"], "broken.toml: not valid TOML"),
        (["doctr"], "is it doctor?"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_status_2(
    folder: Path, arguments: list[str], says: str
) -> None:
    (folder / "broken.toml").write_text("[ledger")
    done = aegis(*arguments, cwd=folder)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_what_was_not_read_is_said_at_the_end(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    server.always("ollama", Reply("The limit is 40 dollars. [1]", input_tokens=80, output_tokens=9))
    (folder / "docs" / "old.txt").write_bytes("Gebühr".encode("latin-1"))
    (folder / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4")
    (folder / "docs" / "photo.heic").write_bytes(b"x")
    done = ask(folder)
    assert (done.returncode, done.stdout != "") == (0, True)
    said = done.stderr.splitlines()
    assert said[0] == "1 file was not read:"
    assert said[1].startswith("  broken.pdf: not a readable PDF")
    assert said[2] == "1 file of other kinds was not read (.heic 1)"
    found = json.loads(ask(folder, "--json").stdout)
    assert [(one["source"], one["reason"]) for one in found["skipped_documents"]] == [
        ("*.heic", "other_kind"),
        ("broken.pdf", "broken"),
    ]


def test_a_name_that_is_no_text_reaches_a_model_as_text(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server)
    server.always("ollama", Reply("The limit is 40 dollars. [1]", input_tokens=80, output_tokens=9))
    document = folder / "docs" / "budgets.md"
    document.rename(document.with_name(os.fsdecode(b"caf\xe9.md")))
    done = ask(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"[1] caf\xe9.md" in done.stdout
    # Neither the folder's place on this machine nor half a character is in the prompt.
    sent = json.dumps([str(call.body) for call in server.journal])
    assert "caf" in sent
    assert str(folder) not in sent


def test_a_folder_of_which_nothing_can_be_read_says_why(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server)
    (folder / "docs" / "budgets.md").write_bytes(b"")
    (folder / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4")
    done = ask(folder)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "docs: no document could be read: 2 files were not read: broken.pdf: " in done.stderr
    assert server.journal == ()


def test_an_unusable_ledger_ends_with_status_3_before_any_call(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server)
    (folder / "costs.db").write_text("this is not a database, but it is long enough to be read")
    done = ask(folder)
    assert done.returncode == 3
    assert "costs.db is not a SQLite database" in done.stderr
    assert server.journal == ()


def test_costs_add_up_by_every_grouping(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server, ollama="http://127.0.0.1:9")
    server.always("openai", Reply("Yes. [1]", input_tokens=100, output_tokens=10))
    for user in ("ann", "ben"):
        assert ask(folder, "--user", user, TEST_KEY="sk-test").returncode == 0
    for by, name in [
        ("provider", "openai"),
        ("model", "gpt-4o"),
        ("task", "answer"),
        ("user", "ann"),
        ("day", None),
    ]:
        done = aegis("costs", "--by", by, "--json", "--config", "aegis.toml", cwd=folder)
        rows = answer_of(done)["rows"]
        assert sum(float(row["cost_usd"]) for row in rows) == pytest.approx(0.0007)
        assert name is None or name in {row[by] for row in rows}
    table = aegis("costs", "--config", "aegis.toml", cwd=folder, fresh=True).stdout
    assert "0.0007" in table
    assert "\x1b" not in table


def test_costs_of_an_unused_ledger_say_so_and_create_nothing(folder: Path) -> None:
    done = aegis("costs", cwd=folder)
    assert done.returncode == 0
    assert "Nothing was recorded" in done.stdout
    assert list(folder.rglob("*.db")) == []


def test_doctor_tells_what_works_and_shows_no_key(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    shown = ("doctor", "--config", "aegis.toml")
    done = aegis(*shown, "--json", cwd=folder, fresh=True, environ={"TEST_KEY": "sk-hidden"})
    assert done.returncode == 0
    found = answer_of(done)
    assert found["healthy"] is True
    assert [row["reachable"] for row in found["providers"]] == [True, True]
    assert [row["model_there"] for row in found["providers"]] == [True, True]
    assert [row["key"] for row in found["providers"]] == [None, True]
    assert found["ledger"]["schema_version"] == SCHEMA_VERSION
    text = aegis(*shown, cwd=folder, environ={"TEST_KEY": "sk-hidden"})
    assert "A request can be answered." in text.stdout
    assert "sk-hidden" not in done.stdout + text.stdout + done.stderr + text.stderr


def test_doctor_shows_who_looks_at_images(folder: Path, server: LoopbackServer) -> None:
    path = configure(folder, server)
    shown = "doctor", "--config", "aegis.toml"
    places = {"OLLAMA_BASE_URL": server.ollama_url}
    without = answer_of(aegis(*shown, "--json", cwd=folder, environ=places))
    assert [(row["provider"], row["location"]) for row in without["vision"]] == [
        ("ollama_vision", "local"),
        ("ocr", "local"),
    ]
    path.write_text(
        path.read_text().replace('location = "cloud"', 'location = "cloud"\nimages = true')
    )
    named = answer_of(aegis(*shown, "--json", cwd=folder))
    assert [(row["provider"], row["problem"]) for row in named["vision"]] == [
        ("openai", "TEST_KEY is not set")
    ]
    text = aegis(*shown, cwd=folder).stdout
    assert "Providers for images, in the order in which they are asked:\n  openai" in text


def test_doctor_ends_with_status_3_when_nothing_can_be_asked(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server, ollama="http://127.0.0.1:9")
    done = aegis("doctor", "--config", "aegis.toml", cwd=folder)
    assert done.returncode == 3
    assert "TEST_KEY is not set" in done.stdout
    assert "not reachable: cannot connect" in done.stdout


def test_ask_imports_nothing_that_a_plain_answer_does_not_need(tmp_path: Path) -> None:
    code = """
import sys, aegis_graph.cli.ask
rarely = {"aegis_graph.text.quoting.choice", "genai_prices", "numpy"}
rarely |= {f"aegis_graph.ledger.{name}" for name in ("export", "maintenance", "report")}
rarely |= {"aegis_graph.providers.client_errors", "aegis_graph.routing.accept"}
rarely |= {"aiosqlite", "bm25s", "bs4", "jsonschema", "PIL", "platformdirs", "snowballstemmer"}
print(sorted(rarely & set(sys.modules)))
"""
    done = programs.run_text(code, cwd=tmp_path, environ=programs.bare(tmp_path), fresh=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
