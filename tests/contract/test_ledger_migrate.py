"""A SQLite ledger moves into PostgreSQL: complete, verified, and as often as it takes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.factory import create_store
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.maintenance import verify
from aegis_graph.ledger.migrate import BATCH, Migrated
from aegis_graph.ledger.migrate import migrate as copy_ledger
from tests.contract.ledger_store import USD, Store, empty_store, failed_request, hold, settlement

TABLES = ("requests", "totals", "unanswered", "budgets", "alerts")
MONTH = ("total", "month", "1")
_processes = multiprocessing.get_context("forkserver")


@contextmanager
def closed(place: Store) -> Iterator[Store]:
    yield place
    for ledger in place.opened:
        ledger.close()


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Store]:
    with closed(empty_store("sqlite", tmp_path)) as place:
        yield place


@pytest.fixture
def new(tmp_path: Path, postgres_url: str) -> Iterator[Store]:
    with closed(empty_store("postgres", tmp_path, postgres_url)) as place:
        yield place


def ignore(done: int, rows: int) -> None:
    """Take no note of progress."""


def migrate(old: str, new: str) -> Migrated:
    source, target = (create_store(LedgerSpec(url=url)) for url in (old, new))
    return copy_ledger(source, target, progress=ignore)


def opened(place: Store) -> SqlLedger:
    ledger = place.open(MONTH)
    assert isinstance(ledger, SqlLedger)
    return ledger


async def fill(place: Store) -> SqlLedger:
    """Something in every table; two answered attempts, one expired, two open."""
    ledger = opened(place)
    for cost in (30, 40):
        made = await ledger.admit([hold(100, thread_id="t", run_id="r")])
        await ledger.settle([settlement(made, cost, cached_input_tokens=2)])
    await ledger.admit([hold(5, lease_s=1.0)])
    place.now += timedelta(minutes=1)
    await ledger.sweep()
    for _ in range(2):
        await ledger.admit([hold(100)])
    failed = failed_request(route_id="r", sensitivity="pii", run_id="run")
    await ledger.settle([], failed_request=failed)
    await ledger.set_budget("user:*", "day", Decimal(2))
    await ledger.set_budget("total", "month", None)
    await ledger.transact(
        lambda rows: rows.execute("INSERT INTO alerts VALUES ('total', 'day', '2026-11-23')")
    )
    return ledger


async def many(ledger: SqlLedger, count: int) -> None:
    await ledger.transact(
        lambda rows: rows.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO requests (timestamp, day, route_id, attempt, provider, model, task,"
            " sensitivity, user_id, query_hash, status, hold_nano_usd, expires_at)"
            " SELECT '2026-11-23T12:00:00.000Z', '2026-11-23', 'many' || i, 1, 'cheap', 'm',"
            " 'chat', 'public', 'ada', '', 'answered', 0, '2026-11-23T12:00:00.000Z' FROM n",
            (count,),
        )
    )


def content(place: Store, table: str) -> list[tuple[str, ...]]:
    """Its rows, in a form that both databases give."""
    rows = [{name: row[name] for name in row if name != "cost_usd"} for row in place.rows(table)]
    return sorted(tuple(f"{name}={value}" for name, value in row.items()) for row in rows)


async def test_everything_is_copied_as_it_is(old: Store, new: Store) -> None:
    await fill(old)
    done = migrate(old.url, new.url)
    assert done == Migrated(rows=5, spent_nano_usd=75, held_nano_usd=200)
    for table in TABLES:
        assert content(new, table) == content(old, table) != []
    new.now = old.now
    assert await verify(opened(new)) == []


async def test_work_goes_on_in_the_copy(old: Store, new: Store) -> None:
    before = await fill(old)
    waiting = await before.admit([hold(100)])
    gone = await before.admit([hold(100)])
    assert gone.hold_id is not None
    await before.transact(
        lambda rows: rows.execute("DELETE FROM requests WHERE id = ?", (gone.hold_id,))
    )
    migrate(old.url, new.url)
    new.now = old.now
    after = opened(new)
    limits = [(row.scope, row.origin, row.limit_nano_usd) for row in await after.budgets()]
    assert limits == [("user:ada", "set", 2 * USD)]
    await after.settle([settlement(waiting, 60)])
    # The number of a row that was deleted is not given again: an old settlement must not find it.
    made = await after.admit([hold(1)])
    assert made.hold_id == gone.hold_id + 1


async def test_running_it_again_copies_what_came_later(old: Store, new: Store) -> None:
    ledger = await fill(old)
    waiting = await ledger.admit([hold(100)])
    assert migrate(old.url, new.url) == migrate(old.url, new.url)
    await ledger.settle([settlement(waiting, 60)])
    await ledger.admit([hold(7)])
    assert migrate(old.url, new.url) == Migrated(rows=7, spent_nano_usd=135, held_nano_usd=207)
    for table in TABLES:
        assert content(new, table) == content(old, table)


def die_in_the_middle(old: str, new: str) -> None:
    def progress(done: int, rows: int) -> None:
        if done > BATCH:
            os.kill(os.getpid(), signal.SIGKILL)

    source, target = (create_store(LedgerSpec(url=url)) for url in (old, new))
    copy_ledger(source, target, progress=progress)


async def test_being_killed_in_the_middle_does_no_harm(old: Store, new: Store) -> None:
    await many(await fill(old), 3 * BATCH)
    process = _processes.Process(target=die_in_the_middle, args=(old.url, new.url))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(new.rows()) == 2 * BATCH
    assert migrate(old.url, new.url).rows == 3 * BATCH + 5
    for table in TABLES:
        assert content(new, table) == content(old, table)


async def test_a_target_with_rows_of_its_own_is_refused_and_left_alone(
    old: Store, new: Store
) -> None:
    await fill(old)
    await opened(new).admit([hold(1)])
    before = content(new, "requests"), content(new, "totals")
    with pytest.raises(LedgerError, match="rows that did not come from this ledger"):
        migrate(old.url, new.url)
    assert (content(new, "requests"), content(new, "totals")) == before


async def test_a_target_that_another_ledger_filled_is_refused(
    old: Store, new: Store, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with closed(empty_store("sqlite", tmp_path / "other")) as other:
        await fill(other)
        migrate(other.url, new.url)
    await fill(old)
    with pytest.raises(LedgerError, match="rows that did not come from this ledger"):
        migrate(old.url, new.url)


@pytest.mark.parametrize("what", ["a new row", "a settled hold"])
async def test_a_target_in_use_is_refused_and_left_alone(old: Store, new: Store, what: str) -> None:
    waiting = await (await fill(old)).admit([hold(100)])
    migrate(old.url, new.url)
    new.now = old.now
    after = opened(new)
    if what == "a new row":
        await after.admit([hold(1)])
    else:
        await after.settle([settlement(waiting, 60)])
    before = content(new, "requests"), content(new, "totals")
    with pytest.raises(LedgerError, match="the target was used since it was filled"):
        migrate(old.url, new.url)
    assert (content(new, "requests"), content(new, "totals")) == before


async def test_a_copy_that_differs_is_reported(old: Store, new: Store) -> None:
    await fill(old)
    migrate(old.url, new.url)
    other = "INSERT INTO totals (scope, day, calls) VALUES ('user:eve', '2026-11-23', 1)"
    await opened(new).transact(lambda rows: rows.execute(other))
    with pytest.raises(LedgerError, match="the copy of totals differs from the source"):
        migrate(old.url, new.url)


def test_a_source_that_is_not_there_is_refused_and_not_made(old: Store, new: Store) -> None:
    with pytest.raises(LedgerError, match="no ledger to migrate"):
        migrate(old.url, new.url)
    assert not (old.folder / "costs.db").exists()
