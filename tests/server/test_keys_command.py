"""``aegis keys`` and what ``aegis serve`` says before it listens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import cli
from aegis_graph.cli.keys import parse_duration
from aegis_graph.cli.serve import all_loopback, listening_socket, start_line
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.api_keys import KEY_PREFIX


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("AEGIS_LEDGER_URL", f"sqlite:///{tmp_path}/costs.db")
    monkeypatch.chdir(tmp_path)

    def one(*arguments: str) -> tuple[int, str, str]:
        status = cli.main(list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return one


def test_a_key_is_shown_once_and_its_budget_is_one_of_the_ledger(run: Any, tmp_path: Path) -> None:
    status, shown, _ = run(
        *("keys", "add", "app", "--user", "ada", "--sensitivity", "pii"),
        *("--budget", "month", "5", "--expires", "90d"),
    )
    key = shown.splitlines()[0]
    assert (status, key.startswith(KEY_PREFIX), len(key)) == (cli.OK, True, 52)
    files = [path for path in tmp_path.iterdir() if path.name.startswith("costs.db")]
    assert [path for path in files if key.encode() in path.read_bytes()] == []
    (row,) = json.loads(run("keys", "list", "--json")[1])["keys"]
    assert {name: row[name] for name in ("name", "role", "user_id", "sensitivity", "state")} == {
        "name": "app",
        "role": "call",
        "user_id": "ada",
        "sensitivity": "pii",
        "state": "valid",
    }
    assert not [value for value in row.values() if value and len(str(value)) > 40]
    found = json.loads(run("budgets", "--json")[1])["budgets"]
    assert ("tag:api_key=app", "month", "5") in [
        (one["scope"], one["window"], one["limit_usd"]) for one in found
    ]


def test_a_name_is_used_once_until_its_key_is_revoked(run: Any) -> None:
    assert run("keys", "revoke", "app")[0] == cli.USAGE_ERROR
    first = run("keys", "add", "app", "--user", "ada")[1]
    status, _, error = run("keys", "add", "app", "--user", "bob")
    assert (status, "revoke it first" in error) == (cli.USAGE_ERROR, True)
    assert run("keys", "revoke", "app")[0] == cli.OK
    assert run("keys", "add", "app", "--user", "bob", "--role", "admin")[1] != first
    states = [row["state"] for row in json.loads(run("keys", "list", "--json")[1])["keys"]]
    assert states == ["revoked", "valid"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["a b", "--user", "ada"],
        ["", "--user", "ada"],
        ["app", "--user", ""],
        ["app", "--user", "ada", "--expires", "soon"],
        ["app", "--user", "ada", "--expires", "0d"],
        ["app", "--user", "ada", "--budget", "month", "much"],
        ["app", "--user", "ada", "--budget", "fortnight", "5"],
    ],
)
def test_what_is_wrong_is_said_and_makes_no_key(run: Any, arguments: list[str]) -> None:
    status, shown, error = run("keys", "add", *arguments)
    assert (status, shown, error.count("\n")) == (cli.USAGE_ERROR, "", 1)
    assert json.loads(run("keys", "list", "--json")[1]) == {"keys": []}


def test_a_length_of_time_is_read() -> None:
    assert [parse_duration(text).total_seconds() for text in ("12h", "1d", "2w")] == [
        43_200,
        86_400,
        1_209_600,
    ]


def test_without_a_key_it_listens_nowhere_but_here(run: Any) -> None:
    status, _, error = run("serve", "--host", "0.0.0.0", "--port", "0")
    assert status == cli.USAGE_ERROR
    assert "0.0.0.0 can be reached from other machines, and there is no key" in error
    assert "Traceback" not in error


def test_the_first_line_says_where_it_listens_and_who_may_call() -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        assert all_loopback(listener)
        port = listener.getsockname()[1]
        line = start_line(listener, has_keys=False)
        assert f"http://127.0.0.1:{port}, without keys: it listens on this machine only" in line
        assert "need a key" in start_line(listener, has_keys=True)
    with listening_socket("0.0.0.0", 0) as everywhere:
        assert not all_loopback(everywhere)
    with pytest.raises(ConfigError, match="cannot listen on"):
        listening_socket("203.0.113.250", 4000)
