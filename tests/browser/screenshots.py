"""Pictures of every page, for the documentation: ``python -m tests.browser.screenshots FOLDER``."""

from __future__ import annotations

import os
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Literal, get_args

from PIL import Image
from playwright.sync_api import Browser, expect

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.server import create_app
from tests.browser.demo_jobs import demo_jobs
from tests.browser.demo_ledger import DemoLedger, demo_ledger
from tests.browser.serving import opened_browser, served

Scheme = Literal["light", "dark"]

WIDTHS = (1280, 400)
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
WAITING = "[hx-trigger=load]:not(:has(table))"
"""Parts of a page that are still to come."""
MOST_COLORS = 128
"""Pages have few; a file is a third as large."""


def paths_of(demo: DemoLedger) -> dict[str, str]:
    """The pages by the names of their pictures."""
    fallback, failed = request_ids(demo)
    return {
        "costs": "/",
        "hours": "/?period=today&by=user",
        "requests": "/requests",
        "request": f"/requests/{fallback}",
        "unanswered": f"/requests/{failed}",
        "run": "/runs?id=run-0010",
        "budgets": "/budgets",
        "login": "/login",
        "budget-change": "/budgets/change?scope=total&window=month&limit=80",
    }


JOBS = {"jobs": "/bulk"}
"""The page of ``demo_jobs``: a team's five weeks have none."""


def request_ids(demo: DemoLedger) -> tuple[str, str]:
    """A request that fell back, and one that nothing answered."""
    return demo.ledger.read_blocking(_ids())


def _ids() -> Query[tuple[str, str]]:
    ((fallback,),) = yield Statement(
        "SELECT min(route_id) FROM requests WHERE attempt = 2 AND status = 'answered'"
    )
    ((failed,),) = yield Statement("SELECT min(route_id) FROM unanswered")
    return fallback, failed


def main() -> None:
    """Write all pictures."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # The jobs there are no user's own.
        os.environ["XDG_DATA_HOME"] = folder
        demo = demo_ledger(Path(folder))
        app = create_app(demo.config, clock=demo.clock)
        with served(app) as address, opened_browser() as browser:
            _write(target, browser, address, paths_of(demo))
            demo_jobs(demo, Path(folder))
            _write(target, browser, address, JOBS)
        demo.ledger.close()


def _write(target: Path, browser: Browser, address: str, paths: dict[str, str]) -> None:
    for name, path in paths.items():
        for width in WIDTHS:
            for scheme in SCHEMES if name == "costs" else SCHEMES[:1]:
                file = target / f"dashboard-{name}-{width}-{scheme}.png"
                file.write_bytes(picture(browser, f"{address}{path}", width, scheme))


def picture(browser: Browser, address: str, width: int, scheme: Scheme) -> bytes:
    """A whole page as a small PNG."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en-GB"
    )
    page = context.new_page()
    page.goto(address)
    # The stream of live figures never ends: the page is there when its parts are.
    expect(page.locator(WAITING)).to_have_count(0, timeout=30_000)
    shot = Image.open(BytesIO(page.screenshot(full_page=True, animations="disabled")))
    context.close()
    small = BytesIO()
    # Rare colours stay what they are: one of a picture may be a single bar.
    few = shot.convert("RGB").quantize(
        MOST_COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    few.save(small, "PNG", optimize=True)
    return small.getvalue()


if __name__ == "__main__":
    main()
