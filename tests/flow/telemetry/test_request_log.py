"""The log: one line per request and one per failed attempt, without content and without keys."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.errors import RequestRejectedError
from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests import programs
from tests.flow.cli.command import aegis
from tests.flow.support import KEYS, ask, make_config, open_router, provider

PARIS = Reply("It is Paris.", input_tokens=10, output_tokens=3)
SECRET = "Ada Lovelace"
LOGGER = "aegis_graph.requests"

PROGRAM = """
import sys
from langchain_core.messages import HumanMessage
from aegis_graph import RouterConfig, create_router

router = create_router(RouterConfig.load("aegis.toml"))
print(router.invoke({"messages": [HumanMessage("Which city?")]})["messages"][-1].text)
print("aegis_graph.telemetry.spans" in sys.modules)
"""


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(one) for one in caplog.records if one.name == LOGGER]


def test_a_request_is_one_line_and_each_failed_attempt_another(
    server: LoopbackServer, db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("ollama", Fault.status(500))
    server.always("openai", PARIS)
    chain = [provider(server, "ollama", max_retries=0), provider(server, "openai")]
    router = open_router(make_config(server, db, providers=chain))
    with caplog.at_level(logging.INFO, LOGGER):
        result = router.invoke(ask(SECRET), {"configurable": {"thread_id": "t-1"}})
    failed, request = lines(caplog)
    route_id = result["route_id"]
    assert failed["message"] == (
        f"attempt 1 of request {route_id} failed at ollama: ProviderUnavailableError: HTTP 500"
    )
    assert (failed["event"], failed["error_type"]) == (
        "attempt_failed",
        "ProviderUnavailableError",
    )
    known = {key: request[key] for key in EXPECTED}
    assert known == {**EXPECTED, "route_id": route_id}
    assert request["duration_ms"] >= 0
    assert SECRET not in caplog.text
    assert KEYS["LOOPBACK_KEY"] not in caplog.text


EXPECTED = {
    "event": "request",
    "route_id": "",
    "task": "chat",
    "sensitivity": "internal",
    "run_id": None,
    "thread_id": "t-1",
    "status": "answered",
    "error_type": None,
    "provider": "openai",
    "model": "gpt-4o",
    "attempts": 2,
    "input_tokens": 10,
    "output_tokens": 3,
    "cost_usd": "0.000055",
    "cost_basis": ["none", "reported"],
}


def test_nothing_of_a_private_request_is_repeated(
    server: LoopbackServer, db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.always("ollama", Fault.status(400, message="a name of 12 letters is not allowed"))
    router = open_router(make_config(server, db, providers=[provider(server, "ollama")]))
    with (
        caplog.at_level(logging.INFO, LOGGER),
        pytest.raises(RequestRejectedError),
    ):
        router.invoke(ask(SECRET, sensitivity="hipaa"))
    failed, request = lines(caplog)
    assert failed["reason"] == ""
    assert "letters" not in failed["message"]
    assert (request["status"], request["error_type"]) == ("failed", "RequestRejectedError")


def test_a_key_that_a_provider_repeats_is_in_no_line(
    server: LoopbackServer, db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = KEYS["LOOPBACK_KEY"]
    server.always("openai", Fault.status(400, message=f"bad {key} for {SECRET}"))
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    with (
        caplog.at_level(logging.INFO, LOGGER),
        pytest.raises(RequestRejectedError),
    ):
        router.invoke(ask(SECRET))
    text = json.dumps(lines(caplog), default=str)
    assert "attempt_failed" in text
    assert key not in text
    assert SECRET not in text


def toml(folder: Path, server: LoopbackServer) -> None:
    row = f'name = "o"\nkind = "openai"\nmodel = "m"\nbase_url = "{server.openai_url}"'
    (folder / "aegis.toml").write_text(
        f'[[providers]]\n{row}\nlocation = "local"\nprice = "free"\n'
        '[ledger]\nurl = "sqlite:///costs.db"\n'
    )


def test_a_library_prints_nothing_by_itself_and_loads_no_spans(
    tmp_path: Path, server: LoopbackServer
) -> None:
    server.script("openai", Fault.status(500), PARIS)
    toml(tmp_path, server)
    done = programs.run_text(PROGRAM, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "It is Paris.\nFalse\n", "")


@pytest.mark.parametrize("before", [True, False])
def test_the_command_line_writes_json(tmp_path: Path, server: LoopbackServer, before: bool) -> None:
    server.script("openai", Fault.status(500), PARIS)
    toml(tmp_path, server)
    words = ["--log-json", "Which city?"] if before else ["prompt", "Which city?", "--log-json"]
    done = aegis(*words, "--config", "aegis.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [one["event"] for one in found] == ["attempt_failed", "request"]
    assert found[1]["logger"] == LOGGER
    assert found[1]["level"] == "INFO"
    assert found[1]["time"].endswith("+00:00")
    assert found[1]["status"] == "answered"
    assert "Which city" not in done.stderr
