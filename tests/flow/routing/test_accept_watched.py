"""A refused answer in what watches a request: its span, and the lines of the log."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import ask, make_config, open_router, provider
from tests.flow.telemetry.otel_support import attributes, sdk, spans

REASON = "names no city"


@pytest.fixture
def router(server: LoopbackServer, db: Path) -> Any:
    server.always("ollama", Reply("No idea."))
    server.always("openai", Reply("It is Paris."))
    chain = [
        provider(server, "ollama"),
        provider(server, "openai", location="local", trusted="a test"),
    ]
    accept = {"*": lambda request, answer: None if "Paris" in answer.text else REASON}
    return open_router(make_config(server, db, providers=chain), accept=accept)


@pytest.mark.parametrize(("sensitivity", "shown"), [("public", REASON), ("pii", None)])
def test_it_is_an_event_of_the_request(router: Any, sensitivity: str, shown: str | None) -> None:
    sdk().exporter.clear()
    router.invoke(ask(sensitivity=sensitivity))
    [route] = spans()["route chat"]
    [event] = route.events
    found = dict(event.attributes or {})
    assert (event.name, found["aegis.provider"], found["aegis.attempt"]) == (
        *("aegis.answer_refused", "ollama", 1),
    )
    assert found.get("aegis.reason") == shown
    assert (attributes(route)["aegis.status"], attributes(route)["aegis.attempts"]) == (
        *("answered", 2),
    )


def test_it_is_a_line_of_a_failed_attempt(router: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "aegis_graph.requests"):
        result = router.invoke(ask())
    [failed] = [one for one in caplog.records if "failed at" in one.getMessage()]
    assert failed.getMessage() == (
        f"attempt 1 of request {result['route_id']} failed at ollama: RejectedAnswerError: {REASON}"
    )
