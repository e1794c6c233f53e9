"""A browser for the tests of a module, and a server over a week of a small team's calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser
from starlette.applications import Starlette

from aegis_graph.server import create_app
from tests.browser.demo_jobs import demo_jobs
from tests.browser.demo_ledger import DemoLedger, demo_ledger
from tests.browser.serving import CHROMIUM, opened_browser, served


class Dashboard(NamedTuple):
    """What a test opens."""

    address: str
    app: Starlette
    demo: DemoLedger


# Of a module, and no longer: while it is open, this thread has a loop that other tests would meet.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}: `make test-browser` installs it, on Debian")
    with opened_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp("demo")
    demo = demo_ledger(folder, weeks=1)
    demo_jobs(demo, folder / "results")
    app = create_app(demo.config, clock=demo.clock, environ={})
    with served(app) as address:
        yield Dashboard(address, app, demo)
    demo.ledger.close()
