"""Today's figures as server-sent events, and the files that pages are made of."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from aegis_graph.server.dashboard.live import LiveFigures
from aegis_graph.server.dashboard.routes import STATIC
from tests.contract.ledger_store import hold, settlement
from tests.server.apps import quoting_app, services


async def spend(app: Starlette, cost: int) -> None:
    made = await services(app).ledger.admit([hold(100, provider="quotes")])
    await services(app).ledger.settle([settlement(made, cost)])


async def next_figures(app: Starlette) -> dict[str, Any]:
    """The first figures of a new stream, as a page that opens it again gets them."""
    async for text in LiveFigures(services(app)).stream():
        if found := re.search(r"event: today\ndata: (.*)\n\n", text):
            figures: dict[str, Any] = json.loads(found[1])
            return figures
    raise AssertionError("the stream ended")


async def test_a_stream_begins_with_all_figures_also_after_a_restart(tmp_path: Path) -> None:
    app = quoting_app(tmp_path)
    await spend(app, 40)
    await services(app).ledger.admit([hold(100, provider="quotes")])
    before = await next_figures(app)
    services(app).ledger.close()
    app = quoting_app(tmp_path)
    assert await next_figures(app) == before
    day = before.pop("day")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", day)
    assert before == {
        "today_spent": "0.00000004",
        "today_calls": 2,
        "today_failures": 0,
        "today_tokens": 10,
        "month_spent": "0.00000004",
        "holds": 1,
        "held": "0.0000001",
        "waiting": 0,
    }
    services(app).ledger.close()


async def test_many_pages_are_one_reader(tmp_path: Path) -> None:
    app = quoting_app(tmp_path)
    await spend(app, 40)
    live = LiveFigures(services(app))
    first = await live.read()
    await spend(app, 2)
    assert await live.read() is first
    assert (await LiveFigures(services(app)).read())["today_spent"] == "0.000000042"
    services(app).ledger.close()


def test_files_of_others_are_as_they_came() -> None:
    vendor = STATIC / "vendor"
    table = (vendor / "THIRD_PARTY.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", table, re.MULTILINE))
    there = {path.name for path in vendor.iterdir() if path.suffix in (".js", ".css")}
    assert listed.keys() == there
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
    licenses = set(re.findall(r"`([^`]+\.LICENSE)`", table))
    assert licenses == {path.name for path in vendor.glob("*.LICENSE")}


def test_what_a_page_loads_is_small() -> None:
    sizes = [path.stat().st_size for path in STATIC.rglob("*") if path.suffix in (".js", ".css")]
    assert sum(sizes) < 150_000
