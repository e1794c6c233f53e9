"""Budget alerts that are posted: once per window, in no request's way, with no secret in a log."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis_graph import RouterConfig, RouterHandle
from aegis_graph.errors import ConfigError
from aegis_graph.testing import LoopbackServer, Reply
from tests import programs
from tests.flow.routing.test_budget_alert import alerting
from tests.flow.support import KEYS, ask, assert_sound, eventually, open_router
from tests.raw_server import Asked, RawServer, raw_server, whole

PATH = "/services/T0-secret/B0-secret"

PROGRAM = """
import asyncio, sys
from langchain_core.messages import HumanMessage
from aegis_graph import RouterConfig, create_router

router = create_router(RouterConfig.load("aegis.toml"))
asked = {"messages": [HumanMessage("Who?")]}
if sys.argv[1] == "sync":
    print(router.invoke(asked)["messages"][-1].text)
else:
    print(asyncio.run(router.ainvoke(asked))["messages"][-1].text)
"""


def spend(router: Any, times: int = 3) -> None:
    for _ in range(times):
        assert router.invoke(ask())["messages"][-1].text == "x"


def posts(webhook: RawServer) -> list[Any]:
    return [json.loads(one.body) for one in webhook.asked]


def expect_posts(webhook: RawServer, count: int) -> None:
    eventually(lambda: len(webhook.asked) >= count, goal=f"{count} posts")


def all_threads_end() -> None:
    eventually(
        lambda: all(one.name != "aegis-alert" for one in threading.enumerate()),
        goal="no post under way",
    )


@pytest.fixture
def webhook() -> Iterator[RawServer]:
    with raw_server(lambda asked: whole(b"ok")) as running:
        yield running


def test_an_alert_is_posted_once_per_window(
    server: LoopbackServer, db: Path, webhook: RawServer
) -> None:
    spend(open_router(alerting(server, db, alert_webhook=webhook.url + PATH)))
    all_threads_end()
    [post] = posts(webhook)
    assert webhook.asked[0].method == "POST"
    assert webhook.asked[0].path == PATH
    assert webhook.asked[0].headers["content-type"] == "application/json"
    assert post.pop("since")
    assert post == {
        "text": "budget total per week: $6 of $10 spent",
        "event": "budget_alert",
        "scope": "total",
        "window": "week",
        "spent_usd": "6",
        "limit_usd": "10",
    }


async def test_a_handle_posts_where_the_configuration_in_force_says(
    server: LoopbackServer, db: Path, webhook: RawServer
) -> None:
    handle = RouterHandle(alerting(server, db, alert_webhook="http://127.0.0.1:1"), environ=KEYS)
    handle.reload(alerting(server, db, alert_webhook=webhook.url + PATH))
    for _ in range(3):
        await handle.ainvoke(ask())
    await asyncio.to_thread(expect_posts, webhook, 1)
    assert len(webhook.asked) == 1


def test_the_variable_goes_before_the_file_and_is_read_for_each_alert(
    server: LoopbackServer, db: Path, webhook: RawServer
) -> None:
    environ = dict(KEYS)
    config = alerting(server, db, alert_webhook="http://127.0.0.1:1", alert_webhook_env="HOOK")
    router = open_router(config, environ=environ)
    environ["HOOK"] = webhook.url + PATH
    spend(router)
    expect_posts(webhook, 1)


def test_a_server_that_never_answers_holds_up_no_request(server: LoopbackServer, db: Path) -> None:
    over = threading.Event()

    def hang(asked: Asked) -> Iterable[bytes]:
        over.wait()
        return whole(b"late")

    with raw_server(hang) as webhook:
        spend(open_router(alerting(server, db, alert_webhook=webhook.url + PATH)))
        expect_posts(webhook, 1)
        # The post is still under way.
        assert [one.name for one in threading.enumerate()].count("aegis-alert") == 1
        over.set()
        all_threads_end()
    assert len(webhook.asked) == 1


@pytest.mark.parametrize(
    ("answer", "tries", "problem"),
    [
        (whole(b"no", status="500 Broken"), 4, "HTTP 500"),
        ([b"HTTP/1.1 rubbish\r\n\r\n"], 4, "RemoteProtocolError"),
        (whole(b"no", status="404 Gone"), 1, "HTTP 404"),
        (whole(b"", status="302 Found", more="Location: http://127.0.0.1:1/\r\n"), 1, "HTTP 302"),
    ],
)
def test_what_goes_wrong_is_one_line_without_the_address(
    server: LoopbackServer,
    db: Path,
    caplog: pytest.LogCaptureFixture,
    answer: list[bytes],
    tries: int,
    problem: str,
) -> None:
    with raw_server(lambda asked: answer) as webhook, caplog.at_level(logging.DEBUG):
        spend(open_router(alerting(server, db, alert_webhook=webhook.url + PATH)))
        all_threads_end()
    assert len(webhook.asked) == tries
    line = f"the alert for budget total was not posted: {problem}"
    assert [one.getMessage() for one in caplog.records if "not posted" in one.getMessage()] == [
        line
    ]
    assert "secret" not in caplog.text.replace(KEYS["LOOPBACK_KEY"], "")
    assert_sound(db)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [({}, "HOOK is not set"), ({"HOOK": "ftp://secret"}, "HOOK: must begin with https://")],
)
def test_a_variable_without_an_address_is_named_when_an_alert_is_due(
    server: LoopbackServer,
    db: Path,
    caplog: pytest.LogCaptureFixture,
    environ: dict[str, str],
    problem: str,
) -> None:
    config = alerting(server, db, alert_webhook_env="HOOK")
    with caplog.at_level(logging.WARNING, logger="aegis_graph"):
        spend(open_router(config, environ={**KEYS, **environ}))
    assert f"the alert for budget total was not posted: {problem}" in caplog.text
    assert "ftp" not in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        f"http://hooks.example.com{PATH}",
        f"ftp://127.0.0.1{PATH}",
        f"https://user:secret@hooks.example.com{PATH}",
        f"https:{PATH}",
        f"https://hooks.example.com/a secret{PATH}",
        "secret",
    ],
)
def test_an_address_that_is_no_safe_one_is_refused_and_not_repeated(
    tmp_path: Path, address: str
) -> None:
    file = tmp_path / "aegis.toml"
    file.write_text(f"alert_webhook = {address!r}\n")
    with pytest.raises(ConfigError, match=r"alert_webhook: (must|names)") as caught:
        RouterConfig.load(file, environ={})
    assert "secret" not in f"{caught.value}{caught.value.__cause__}".replace("the secret", "")


def test_a_configuration_shows_no_address() -> None:
    config = RouterConfig(alert_webhook=f"https://hooks.example.com{PATH}")  # type: ignore[arg-type]
    assert "secret" not in f"{config!r}{config}{config.model_dump()}{config.model_dump_json()}"
    assert RouterConfig.model_validate(config.model_dump()) == config


def toml(folder: Path, server: LoopbackServer, webhook: RawServer) -> None:
    """A configuration whose first answer reaches the share of its budget."""
    server.always("openai", Reply("x"))
    row = f'name = "o"\nkind = "openai"\nmodel = "m"\nbase_url = "{server.openai_url}"'
    price = "price = { input_usd_per_mtok = 1, output_usd_per_mtok = 1 }"
    budget = 'scope = "total"\nwindow = "month"\nlimit_usd = 1\nalert_at = 0.0000001'
    (folder / "aegis.toml").write_text(
        f'alert_webhook = "{webhook.url}{PATH}"\n[ledger]\nurl = "sqlite:///costs.db"\n'
        f'[[providers]]\n{row}\nlocation = "local"\n{price}\n[[budgets]]\n{budget}\n'
    )


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_program_that_ends_at_once_has_posted(
    tmp_path: Path, server: LoopbackServer, mode: str
) -> None:
    # The second try comes when the program has nothing left to do.
    answers = iter([whole(b"no", status="503 Busy"), whole(b"ok")])
    with raw_server(lambda asked: next(answers)) as webhook:
        toml(tmp_path, server, webhook)
        done = programs.run_text(PROGRAM, mode, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "x\n"), done.stderr
        assert len(webhook.asked) == 2


def test_a_program_ends_though_its_post_never_does(tmp_path: Path, server: LoopbackServer) -> None:
    over = threading.Event()

    def hang(asked: Asked) -> Iterable[bytes]:
        over.wait()
        return []

    with raw_server(hang) as webhook:
        toml(tmp_path, server, webhook)
        done = programs.run_text(PROGRAM, "async", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "x\n"), done.stderr
        assert len(webhook.asked) >= 1
        over.set()
