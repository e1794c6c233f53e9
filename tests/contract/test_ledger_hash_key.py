"""The key of the hashes of prompts: one per ledger, of many processes, and in no reader's hands."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import random
import signal
import stat
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.clock import utc_now
from aegis_graph.config.ledger_spec import LedgerSpec
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.factory import calendar_of, create_store
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.migrate import migrate
from aegis_graph.ledger.prompt_hashes import key_in_file
from aegis_graph.ledger.sqlite import IN_MEMORY, SqliteStore
from tests.contract.ledger_store import Store, empty_store, failed_request, hold
from tests.contract.processes import ended, heard, start

YES = hashlib.sha256(b"yes").hexdigest()
NO = hashlib.sha256(b"no").hexdigest()
HEX = "0123456789abcdef" * 4
VARIABLE = "LEDGER_KEY"


def key_file(store: Store) -> Path:
    return store.folder / "costs.db.key"


def hashes(store: Store, table: str = "requests") -> list[str]:
    return [row["query_hash"] for row in store.rows(table)]


def open_with(store: Store, environ: dict[str, str]) -> SqlLedger:
    place = {"url": store.url, "hash_key_env": VARIABLE}
    ledger = create_ledger(RouterConfig.model_validate({"ledger": place}), environ=environ)
    store.opened.append(ledger)
    return ledger


async def ask_once(ledger: SqlLedger, digest: str = YES) -> None:
    await ledger.admit([hold(1, query_hash=digest)])
    ledger.close()


async def test_one_prompt_has_one_hash_in_a_ledger_and_no_plain_one(store: Store) -> None:
    first = store.open()
    await first.settle((), failed_request=failed_request(query_hash=YES))
    for ledger, digest in ((first, YES), (store.open(), YES), (store.open(), NO)):
        await ask_once(ledger, digest)
    yes, again, no = hashes(store)
    assert (yes, [yes]) == (again, hashes(store, "unanswered"))
    assert len({yes, no, YES, NO}) == 4
    assert len(yes) == 64


async def test_two_ledgers_have_different_hashes_of_one_prompt(tmp_path: Path) -> None:
    places = [empty_store("sqlite", tmp_path / name) for name in "ab"]
    for place in places:
        await ask_once(place.open())
    assert hashes(places[0]) != hashes(places[1])


async def test_the_key_is_a_file_for_its_owner_alone_and_not_in_the_database(
    tmp_path: Path,
) -> None:
    store = empty_store("sqlite", tmp_path)
    await ask_once(store.open())
    path = key_file(store)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_bytes()
    assert len(key) == 32
    assert hashes(store) == [hmac.digest(key, YES.encode(), "sha256").hex()]
    content = (tmp_path / "costs.db").read_bytes()
    assert key not in content
    assert key.hex().encode() not in content


async def test_two_names_of_one_file_have_one_key(tmp_path: Path) -> None:
    store = empty_store("sqlite", tmp_path)
    await ask_once(store.open())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "costs.db").symlink_to(tmp_path / "costs.db")
    await ask_once(empty_store("sqlite", tmp_path / "other").open())
    assert len(set(hashes(store))) == 1
    assert not (tmp_path / "other" / "costs.db.key").exists()


def ask_when_told(url: str, pipe: Connection) -> None:
    ledger = create_ledger(
        RouterConfig.model_validate({"ledger": {"url": url, "busy_timeout_s": 60}})
    )
    pipe.send("ready")
    pipe.recv()
    asyncio.run(ask_once(ledger))


@pytest.mark.parametrize("round_number", range(3))
def test_processes_that_start_a_ledger_at_once_agree_on_its_key(
    store: Store, round_number: int
) -> None:
    started = [start(ask_when_told, store.url) for _ in range(6)]
    for _, pipe in started:
        assert heard(pipe) == "ready"
    for _, pipe in started:
        pipe.send("go")
    assert [ended(process) for process, _ in started] == [0] * 6
    found = hashes(store)
    assert len(found) == 6
    assert len(set(found)) == 1


def make_keys(folder: Path, pipe: Connection) -> None:
    pipe.send("ready")
    for number in range(10**6):
        pipe.send((number, key_in_file(folder / f"{number}.key")))


def test_threads_that_make_a_key_at_once_get_the_same_one(tmp_path: Path) -> None:
    found: list[bytes] = []
    barrier = threading.Barrier(8)

    def make(path: Path) -> None:
        barrier.wait()
        found.append(key_in_file(path))

    for number in range(20):
        path = tmp_path / f"{number}.key"
        threads = [threading.Thread(target=make, args=(path,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(found) == {path.read_bytes()}
        found.clear()


def test_a_process_that_is_killed_leaves_a_whole_key_or_none(tmp_path: Path) -> None:
    for round_number in range(20):
        folder = tmp_path / f"{round_number}"
        process, pipe = start(make_keys, folder)
        assert heard(pipe) == "ready"
        known = dict(heard(pipe) for _ in range(random.randrange(1, 60)))
        process.kill()
        assert ended(process) == -signal.SIGKILL
        sizes = {path.stat().st_size for path in folder.glob("*.key")}
        assert sizes == {32}
        for number, key in known.items():
            assert key_in_file(folder / f"{number}.key") == key


async def test_after_a_deleted_key_there_is_a_new_one_and_one_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = empty_store("sqlite", tmp_path)
    running = store.open()
    with caplog.at_level(logging.WARNING, "aegis_graph"):
        await running.admit([hold(1, query_hash=YES)])
        assert caplog.messages == []
        key_file(store).unlink()
        for ledger in (running, store.open(), running):
            await ledger.admit([hold(1, query_hash=YES)])
    (line,) = caplog.messages
    assert line == (
        f"query_hash has a new key, from {key_file(store)}: hashes of earlier rows no longer"
        " compare"
    )
    old, *new = hashes(store)
    assert len(set(new)) == 1, "also in a program that ran meanwhile"
    assert old not in new


async def test_a_job_that_fails_beside_the_first_hold_does_not_make_the_key_new(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = empty_store("sqlite", tmp_path)
    ledger = store.open()

    async def wrong() -> None:
        with pytest.raises(LedgerError):
            await ledger.transact(lambda connection: connection.execute("SELECT nothing"))

    with caplog.at_level(logging.WARNING, "aegis_graph"):
        await asyncio.gather(ask_once(ledger), wrong())
        await ask_once(store.open())
    assert caplog.messages == []
    assert len(set(hashes(store))) == 1


async def test_a_key_that_is_none_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    store = empty_store("sqlite", tmp_path)
    key_file(store).write_bytes(b"short")
    ledger = store.open()
    with pytest.raises(LedgerError, match=r"costs\.db\.key is no key of 32 bytes; put .* back"):
        await ledger.admit([hold(1)])
    key_file(store).unlink()
    key_file(store).mkdir()
    with pytest.raises(LedgerError, match=r"costs\.db\.key cannot be read or made: Is a directory"):
        await ledger.admit([hold(1)])
    assert store.rows() == []


async def test_reading_and_setting_budgets_need_no_key(store: Store) -> None:
    ledger = open_with(store, {})
    await ledger.set_budget("total", "day", None)
    await ledger.budgets()
    await ledger.report("day", first_day="2026-11-01", end_day="2026-12-01")
    assert not key_file(store).exists()
    assert not [row for row in store.rows("facts") if row["name"].startswith("hash_key")]


async def test_a_key_of_the_environment_is_in_no_file_and_no_table(store: Store) -> None:
    await ask_once(open_with(store, {VARIABLE: HEX}))
    assert hashes(store) == [hmac.digest(bytes.fromhex(HEX), YES.encode(), "sha256").hex()]
    assert not key_file(store).exists()
    assert [row["name"] for row in store.rows("facts") if row["value"] == HEX] == []
    assert "hash_key" not in {row["name"] for row in store.rows("facts")}


@pytest.mark.parametrize("environ", [{}, {VARIABLE: ""}, {VARIABLE: "secret"}])
async def test_a_named_variable_without_a_key_is_an_error_that_does_not_show_it(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    store = empty_store("sqlite", tmp_path)
    with pytest.raises(LedgerError, match=r"LEDGER_KEY.*must have 64 hexadecimal digits") as caught:
        await open_with(store, environ).admit([hold(1)])
    assert "secret" not in str(caught.value)
    assert store.rows() == []
    assert not key_file(store).exists()


async def test_programs_with_different_keys_say_so_once_each(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = open_with(store, {VARIABLE: HEX}), open_with(store, {VARIABLE: HEX[::-1]})
    with caplog.at_level(logging.WARNING, "aegis_graph"):
        for _ in range(3):
            await ours.admit([hold(1, query_hash=YES)])
            await theirs.admit([hold(1, query_hash=YES)])
    assert len(caplog.messages) == 2
    assert HEX not in caplog.text


async def test_a_ledger_in_memory_has_a_key_of_its_own() -> None:
    spec = LedgerSpec()
    found = []
    for _ in range(2):
        store = SqliteStore(IN_MEMORY, busy_timeout_s=1)
        ledger = SqlLedger(store, limits=[], calendar=calendar_of(spec), clock=utc_now)
        for _ in range(2):
            await ledger.admit([hold(1, query_hash=YES)])
        rows = await ledger.transact(
            lambda opened: opened.execute("SELECT query_hash FROM requests").fetchall()
        )
        assert len(rows) == 2
        assert len(set(rows)) == 1
        found.append(rows[0])
        ledger.close()
    assert found[0] != found[1]


async def test_migrating_copies_hashes_as_they_are_and_the_same_key_goes_on(
    tmp_path: Path, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = empty_store("sqlite", tmp_path), empty_store("postgres", tmp_path, postgres_url)
    await ask_once(old.open())
    source, target = (create_store(LedgerSpec(url=place.url)) for place in (old, new))
    migrate(source, target, progress=lambda done, rows: None)
    assert hashes(new) == hashes(old)
    with caplog.at_level(logging.WARNING, "aegis_graph"):
        await ask_once(open_with(new, {VARIABLE: key_file(old).read_bytes().hex()}))
        assert caplog.messages == []
        await ask_once(new.open())
    assert "hashes of earlier rows no longer compare" in caplog.text
    first, second, third = hashes(new)
    assert first == second
    assert third != first
    for ledger in new.opened:
        ledger.close()
