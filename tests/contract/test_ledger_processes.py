"""A ledger's file under several processes, on a disk that fills up, and after sudden death."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from aegis_graph.clock import utc_now
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.factory import calendar_of, create_store
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import Budget
from tests.contract.ledger_store import USD, hold, settlement, spent_and_held
from tests.contract.processes import WAIT_S, ended, heard, start

BUDGET = Budget("total", "month", USD)


def open_ledger(path: Path) -> SqlLedger:
    spec = LedgerSpec(url=f"sqlite:///{path}", busy_timeout_s=WAIT_S)
    return SqlLedger(create_store(spec), limits=[BUDGET], calendar=calendar_of(spec), clock=utc_now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "costs.db"


def assert_sound(path: Path) -> None:
    """The file is whole, its totals are the sums of its rows, and no budget is exceeded."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        held = "CASE status WHEN 'reserved' THEN hold_nano_usd ELSE 0 END"
        rows = f"SELECT count(*), sum(cost_nano_usd), sum({held}) FROM requests"
        wanted = connection.execute(rows).fetchone()
        for scope in ("total", "provider:*", "model:*", "task:*", "user:*"):
            totals = "SELECT sum(calls), sum(spent_nano_usd), sum(held_nano_usd) FROM totals"
            found = connection.execute(f"{totals} WHERE scope GLOB ?", (scope,)).fetchone()
            assert found == wanted
        assert wanted[1] + wanted[2] <= USD


def spend_for_ever(path: Path, pipe: Connection) -> None:
    async def worker(ledger: SqlLedger) -> None:
        while True:
            made = await ledger.admit([hold(1000, lease_s=0.0)])
            pipe.send("admitted")
            if made.hold_id is not None:
                await ledger.settle([settlement(made, 600)])

    async def work() -> None:
        ledger = open_ledger(path)
        await asyncio.gather(*(worker(ledger) for _ in range(8)))

    asyncio.run(work())


def spend_all(path: Path, pipe: Connection) -> None:
    async def work() -> None:
        ledger = open_ledger(path)
        made = await asyncio.gather(*(ledger.admit([hold(USD // 50)]) for _ in range(40)))
        pipe.send(sum(one.hold_id is not None for one in made))
        ledger.close()

    pipe.send("ready")
    pipe.recv()
    asyncio.run(work())


def fill_the_disk(path: Path, pipe: Connection) -> None:
    async def work() -> None:
        ledger = open_ledger(path)
        first = await ledger.admit([hold(1000)])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            for _ in range(5000):
                await ledger.admit([hold(1)])
        except LedgerError as error:
            pipe.send(str(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await ledger.settle([settlement(first, 600)])
        pipe.send((await ledger.admit([hold(1)])).hold_id)
        ledger.close()

    asyncio.run(work())


def test_a_full_disk_is_an_error_and_work_goes_on_when_there_is_space(path: Path) -> None:
    process, pipe = start(fill_the_disk, path)
    complaint = (
        f"the ledger {path} cannot be read or written: the disk reports an error, or is full"
    )
    assert heard(pipe) == complaint
    assert isinstance(heard(pipe), int)
    assert ended(process) == 0
    assert_sound(path)
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT status, cost_nano_usd FROM requests WHERE id = 1")
        assert row.fetchone() == ("answered", 600)


@pytest.mark.parametrize("round_number", range(5))
def test_processes_that_make_the_same_new_file_at_once_share_its_budget_exactly(
    path: Path, round_number: int
) -> None:
    started = [start(spend_all, path) for _ in range(4)]
    for _, pipe in started:
        assert heard(pipe) == "ready"
    for _, pipe in started:
        pipe.send("go")
    admitted = [heard(pipe) for _, pipe in started]
    assert [ended(process) for process, _ in started] == [0, 0, 0, 0]
    assert sum(count for count in admitted if isinstance(count, int)) == 50
    assert_sound(path)


def test_sudden_death_under_load_leaves_the_books_in_order(path: Path) -> None:
    for round_number in range(20):
        process, pipe = start(spend_for_ever, path)
        for _ in range(5 + 13 * round_number):
            assert heard(pipe) == "admitted"
        process.kill()
        assert ended(process) == -signal.SIGKILL
        assert_sound(path)
    ledger = open_ledger(path)
    asyncio.run(ledger.sweep())
    ((spent, held),) = asyncio.run(spent_and_held(ledger))
    ledger.close()
    assert spent > 0
    assert held == 0, "what was lost counts as spent"
    assert_sound(path)
