"""The page of jobs: what the ledger has of each, and its items where their folder is known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from starlette.applications import Starlette

from aegis_graph.bulk.job_file import FILE
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import BulkItem, ItemResult, JobIdentity
from aegis_graph.bulk.register import JobRegister
from aegis_graph.server import create_app
from tests.contract.ledger_store import Store, hold, settlement
from tests.server.apps import services
from tests.server.test_dashboard import HOSTILE, config_of, get, words


@pytest.fixture(autouse=True)
def own_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
async def app(store: Store) -> AsyncIterator[Starlette]:
    made = create_app(config_of(store.url), clock=lambda: store.now, environ={})
    yield made
    services(made).ledger.close()


async def spend(app: Starlette, job: str, cost: int = 40, *, left_open: bool = False) -> None:
    ledger = services(app).ledger
    made = await ledger.admit([hold(100, tags=json.dumps({"bulk": job}))])
    if not left_open:
        await ledger.settle([settlement(made, cost)])


def make_results(folder: Path, name: str, *, done: int = 0, total: int = 4) -> WorkQueue:
    folder.mkdir()
    queue = WorkQueue(folder, JobIdentity(name=name))
    queue.add(BulkItem(str(number), {"text": str(number)}) for number in range(total))
    worker = queue.register()
    keys = [item.key for item in queue.lease(worker, done)]
    queue.finish(
        worker, [ItemResult(key=key, outcome="done", output="{}", cost_nano_usd=40) for key in keys]
    )
    JobRegister().remember(name, folder)
    return queue


async def test_without_a_job_the_page_says_so(app: Starlette) -> None:
    assert "No job was recorded." in words(await get(app, "/bulk"))


async def test_a_job_has_what_the_ledger_says_of_its_tag(app: Starlette) -> None:
    await spend(app, "letters", 123_456_789)
    await spend(app, "letters", left_open=True)
    await services(app).ledger.set_budget("tag:bulk=letters", "total", Decimal("0.5"))
    page = await get(app, "/bulk")
    says = words(page)
    assert "spent $0.123456789 held $0.0000001" in says
    assert "left $0.376543111 of $0.50" in says
    assert "items are not known here" in says
    assert 'href="/requests?tag=bulk%3Dletters&amp;period=all">2 attempts' in page
    assert "$0.123456789" in words(await get(app, "/requests?tag=bulk%3Dletters&period=all"))


async def test_items_are_those_of_the_results_folder(app: Starlette, tmp_path: Path) -> None:
    await spend(app, "letters", 120)
    queue = make_results(tmp_path / "letters", "letters", done=3)
    page = await get(app, "/bulk")
    says = words(page)
    assert "3 of 4 items done" in says
    assert "an item $0.00000004" in says
    assert 'aria-label="letters: 3 of 4 items done, 0 set aside"' in page
    # While a worker is there, the page asks again by itself.
    assert 'hx-trigger="every 5s"' in page
    queue.set_state("money_ended", "the envelope has $0.01 left")
    ended = await get(app, "/bulk")
    assert "money ended" in words(ended)
    assert "the envelope has $0.01 left" in words(ended)
    assert "every 5s" not in ended
    queue.close()


async def test_a_folder_that_is_another_jobs_or_broken_is_not_believed(
    app: Starlette, tmp_path: Path
) -> None:
    await spend(app, "letters")
    make_results(tmp_path / "other", "other").close()
    JobRegister().remember("letters", tmp_path / "other")
    assert "items are not known here" in words(await get(app, "/bulk"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / FILE).write_text("no database, whatever its name says" * 100)
    JobRegister().remember("letters", tmp_path / "broken")
    assert "items are not known here" in words(await get(app, "/bulk"))


async def test_the_file_has_all_jobs(app: Starlette, tmp_path: Path) -> None:
    await spend(app, "letters", 120)
    await spend(app, "=notes", 7)
    make_results(tmp_path / "letters", "letters", done=3).close()
    rows = {row["job"]: row for row in csv.DictReader(io.StringIO(await get(app, "/bulk.csv")))}
    assert rows["letters"]["spent_usd"] == "0.00000012"
    assert (rows["letters"]["items"], rows["letters"]["done"]) == ("4", "3")
    assert (rows["'=notes"]["attempts"], rows["'=notes"]["items"]) == ("1", "")


async def test_a_jobs_name_stays_text(app: Starlette) -> None:
    name = HOSTILE.split("\u202e")[0]
    await spend(app, name)
    page = await get(app, "/bulk")
    assert "<script>alert" not in page
    assert "49=cmd" not in page
    assert "tag=bulk%3D%3Cscript%3E" in page
