"""What happens to a ledger's file: locks, full disks, damage, other programs, sudden death."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from aegis_graph.clock import utc_now
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.errors import LedgerError, ReadOnlyLedgerError
from aegis_graph.ledger.factory import calendar_of, create_store
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.maintenance import verify
from aegis_graph.ledger.records import Budget
from aegis_graph.ledger.schema import SCHEMA_VERSION
from aegis_graph.ledger.sqlite import open_database
from aegis_graph.ledger.sqlite_errors import explain
from tests.contract.ledger_store import USD, hold, settlement, spent_and_held

BUSY_S = 0.2
BUDGET = Budget("total", "month", USD)


def open_ledger(path: Path, *, busy_s: float = BUSY_S) -> SqlLedger:
    spec = LedgerSpec(url=f"sqlite:///{path}", busy_timeout_s=busy_s)
    return SqlLedger(create_store(spec), limits=[BUDGET], calendar=calendar_of(spec), clock=utc_now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "costs.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqlLedger]:
    ledger = open_ledger(path)
    yield ledger
    ledger.close()


async def test_a_lock_held_too_long_is_an_error_in_time_and_work_goes_on_after(
    ledger: SqlLedger, path: Path
) -> None:
    admission = await ledger.admit([hold(100)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(LedgerError, match="is locked by another program"):
            await ledger.admit([hold(1)])
        assert BUSY_S * 0.9 <= time.monotonic() - began < BUSY_S + 5
        with pytest.raises(LedgerError, match="busy_timeout_s"):
            await ledger.settle([settlement(admission, 40)])
        assert await spent_and_held(ledger) == [(0, 100)], "a reader does not wait"
        other.execute("ROLLBACK")
    await ledger.settle([settlement(admission, 40)])
    assert await spent_and_held(ledger) == [(40, 0)]


async def test_a_lock_that_goes_away_in_time_is_waited_for(path: Path) -> None:
    patient = open_ledger(path, busy_s=30.0)
    await patient.check()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(patient.admit([hold(1)]))
        done, _ = await asyncio.wait([waiting], timeout=BUSY_S)
        assert not done
        other.execute("COMMIT")
    assert (await waiting).hold_id is not None
    patient.close()


async def test_a_caller_cancelled_during_a_lock_leaves_no_money_held(path: Path) -> None:
    patient = open_ledger(path, busy_s=30.0)
    await patient.check()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(patient.admit([hold(1)]))
        await asyncio.wait([waiting], timeout=BUSY_S)
        waiting.cancel()
        await asyncio.wait([waiting])
        other.execute("COMMIT")
    assert waiting.cancelled()
    for _ in range(2):
        await patient.check()
    assert await spent_and_held(patient) == [(0, 0)]
    patient.close()


@pytest.mark.parametrize("table", ["sessions", "unanswered", "alerts"])
async def test_damage_that_no_total_shows_is_found(
    path: Path, ledger: SqlLedger, table: str
) -> None:
    await ledger.settle([settlement(await ledger.admit([hold(100)]), 40)])
    assert await verify(ledger) == []
    ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        page = "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema"
        number, size = connection.execute(f"{page} WHERE name = ?", (table,)).fetchone()
    with path.open("r+b") as file:
        file.seek((number - 1) * size)
        file.write(b"\xff" * size)

    with pytest.raises(LedgerError, match="is damaged; restore a backup"):
        await verify(open_ledger(path))


async def test_what_a_full_disk_leaves_can_be_read(path: Path, small_disk: Path) -> None:
    on_disk = small_disk / path.name
    ledger = open_ledger(on_disk)
    await ledger.settle([settlement(await ledger.admit([hold(100)]), 40)])
    ledger.close()
    with suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as file:
        while file.write(bytes(512)):
            pass

    full = open_ledger(on_disk)
    with pytest.raises(ReadOnlyLedgerError, match="full"):
        await full.admit([hold(1)])
    assert [row.spent_nano_usd for row in await open_ledger(on_disk).budgets()] == [40]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte, where the tests may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_database_says_to_free_some_space(path: Path) -> None:
    with closing(open_database(path, BUSY_S)) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("CREATE TABLE more (text TEXT)")
    assert "the disk is full; free some space" in str(explain(path, caught.value))


def test_a_read_only_file_says_to_allow_writing(path: Path) -> None:
    open_database(path, BUSY_S).close()
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError) as caught,
    ):
        connection.execute("CREATE TABLE more (text TEXT)")
    error = explain(path, caught.value)
    assert str(error) == f"the ledger {path} is read-only; allow writing to it and to its folder"
    assert error.__cause__ is caught.value


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ledger = open_ledger(tmp_path / "file" / "costs.db")
    with pytest.raises(LedgerError, match=f"folder {tmp_path}/file cannot be made"):
        await ledger.admit([hold(1)])


def test_a_folder_in_the_files_place_is_an_error_to_readers_and_writers(path: Path) -> None:
    path.mkdir()
    for ask in (SqlLedger.check, SqlLedger.budgets):
        with pytest.raises(LedgerError, match="is a folder; name a file in it"):
            asyncio.run(ask(open_ledger(path)))


async def test_a_name_that_is_too_long_is_an_error_to_readers_and_writers(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / ("x" * 300))
    with pytest.raises(LedgerError):
        await ledger.budgets()
    with pytest.raises(LedgerError):
        await ledger.admit([hold(1)])


async def test_a_path_that_no_file_can_have_is_an_error_and_nobody_waits_forever() -> None:
    spec = LedgerSpec().model_copy(update={"url": "sqlite:///a\0b"})
    ledger = SqlLedger(create_store(spec), limits=[], calendar=calendar_of(spec), clock=utc_now)
    async with asyncio.timeout(5):
        with pytest.raises(LedgerError, match="null"):
            await ledger.admit([hold(1)])


def test_a_file_of_garbage_is_refused_and_left_as_it_is(path: Path) -> None:
    garbage = b"this was never a database" * 1000
    path.write_bytes(garbage)
    with pytest.raises(LedgerError, match="is not a SQLite database"):
        asyncio.run(open_ledger(path).admit([hold(1)]))
    assert path.read_bytes() == garbage


def test_a_damaged_page_is_an_error_that_names_the_file(path: Path) -> None:
    ledger = open_ledger(path)
    for _ in range(50):
        asyncio.run(ledger.admit([hold(1, thread_id="x" * 400)]))
    ledger.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(LedgerError, match=f"{path} is damaged; restore a backup"):
        asyncio.run(open_ledger(path).admit([hold(1)]))


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as old:
        old.execute("CREATE TABLE requests (id INTEGER PRIMARY KEY, cost_usd REAL)")
        old.execute("INSERT INTO requests (cost_usd) VALUES (0.5)")
        old.commit()
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="a database of another program; set"):
        asyncio.run(open_ledger(path).admit([hold(1)]))
    with pytest.raises(LedgerError, match="another program"):
        asyncio.run(open_ledger(path).budgets())
    assert path.read_bytes() == before


async def test_a_newer_schema_is_left_alone(path: Path) -> None:
    with closing(open_database(path, BUSY_S)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(LedgerError, match=f"has schema version {SCHEMA_VERSION + 1}.*upgrade"):
        await open_ledger(path).check()
