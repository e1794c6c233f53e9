"""A ledger's file read from async code: the loop goes on, and nothing of a question stays."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aegis_graph import create_ledger
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import LedgerError
from aegis_graph.ledger.async_sqlite import ask
from aegis_graph.ledger.queries import Query, Statement
from tests import programs
from tests.contract.ledger_store import DAYS, empty_store, hold
from tests.flow.support import eventually

ENDLESS = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(started(i)) FROM n"
)
WAIT_S = 60.0


def workers() -> list[threading.Thread]:
    """The threads of connections."""
    return [thread for thread in threading.enumerate() if "_connection_worker" in thread.name]


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    yield
    gc.collect()
    eventually(lambda: workers() == [], goal="no connection's thread is left")


def statement(sql: str) -> Query[int]:
    ((found,),) = yield Statement(sql)
    return int(found)


def opened(**functions: Callable[..., int]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    for name, function in functions.items():
        connection.create_function(name, -1, function)
    return connection


async def test_the_loop_runs_while_a_file_is_opened_read_and_worked_on() -> None:
    gates = {name: threading.Event() for name in ("open", "read", "work")}
    reached = {name: threading.Event() for name in gates}

    def pause(name: str) -> int:
        reached[name].set()
        assert gates[name].wait(WAIT_S)
        return 1

    def connect() -> sqlite3.Connection:
        pause("open")
        return opened(pause=lambda: pause("read"))

    def question() -> Query[str]:
        yield Statement("SELECT pause()")
        pause("work")
        return "answer"

    asked = asyncio.ensure_future(ask(connect, question()))
    # Blocked by any of the three, the loop could not open its gate.
    for name, gate in gates.items():
        assert await asyncio.to_thread(reached[name].wait, WAIT_S)
        gate.set()
    assert await asked == "answer"


async def test_many_questions_at_once_beside_a_writer_are_answered(tmp_path: Path) -> None:
    ledger = empty_store("sqlite", tmp_path).open(("total", "month", "1"))
    await ledger.admit([hold(1)])
    answers = await asyncio.gather(
        *(ledger.report("provider", **DAYS) for _ in range(40)),
        *(ledger.budgets() for _ in range(40)),
        *(ledger.admit([hold(1)]) for _ in range(40)),
    )
    assert all(answers)
    ((row,),) = [await ledger.report("provider", **DAYS)]
    assert row.calls == 41
    ledger.close()


async def test_a_cancelled_question_interrupts_its_statement() -> None:
    started = threading.Event()

    def start(number: int) -> int:
        started.set()
        return number

    def connect() -> sqlite3.Connection:
        return opened(started=start)

    asked = asyncio.ensure_future(ask(connect, statement(ENDLESS)))
    await asyncio.to_thread(started.wait, WAIT_S)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asked, WAIT_S)


async def test_a_question_that_is_given_up_while_its_file_opens_leaves_it_closed() -> None:
    gate, reached = threading.Event(), threading.Event()
    made: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        reached.set()
        gate.wait(WAIT_S)
        made.append(opened())
        return made[0]

    asked = asyncio.ensure_future(ask(connect, statement("SELECT 1")))
    await asyncio.to_thread(reached.wait, WAIT_S)
    asked.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await asked
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[0].execute("SELECT 1")


async def test_a_file_that_cannot_be_opened_is_the_ledgers_error_and_leaves_no_thread(
    tmp_path: Path,
) -> None:
    store = empty_store("sqlite", tmp_path)
    (tmp_path / "costs.db").write_bytes(b"no database" * 100)
    with pytest.raises(LedgerError, match="is not a SQLite database"):
        await store.open().report("provider", **DAYS)


def test_one_ledger_is_read_on_one_loop_after_another(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/costs.db"
    ledger = create_ledger(RouterConfig.model_validate({"ledger": {"url": url}}))
    asyncio.run(ledger.check())
    for _ in range(3):
        assert asyncio.run(ledger.report("provider", **DAYS)) == []
    ledger.close()


LEFT = """
import asyncio, sqlite3, sys, threading
from aegis_graph.ledger.async_sqlite import ask
from aegis_graph.ledger.queries import Statement
started = threading.Event()
def connect():
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.create_function("started", 1, lambda number: started.set() or number)
    return connection
def question():
    yield Statement(sys.argv[1])
loop = asyncio.new_event_loop()
task = loop.create_task(ask(connect, question()))
async def wait():
    while not started.is_set():
        await asyncio.sleep(0.001)
loop.run_until_complete(wait())
print("left", flush=True)
"""


def test_a_loop_that_is_left_in_the_middle_of_a_question_does_not_keep_the_program(
    tmp_path: Path,
) -> None:
    with programs.start(LEFT, ENDLESS, cwd=tmp_path) as program:
        program.wait()
        assert program.communicate()[0] == b"left\n"


FORKED = """
import asyncio, os, sys, threading
from aegis_graph import RouterConfig, create_ledger
ledger = create_ledger(RouterConfig.model_validate({"ledger": {"url": sys.argv[1]}}))
days = {"first_day": "2026-11-01", "end_day": "2026-12-01"}
async def read():
    await ledger.check()
    return await ledger.report("provider", **days), await ledger.budgets()
before = asyncio.run(read())
child = os.fork()
if child == 0:
    assert asyncio.run(read()) == before
    ledger.close()
    sys.exit(7)
assert asyncio.run(read()) == before
found = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(found, [thread.name for thread in threading.enumerate() if "_connection" in thread.name])
ledger.close()
"""


def test_a_forked_process_reads_and_so_does_its_parent(tmp_path: Path) -> None:
    done = programs.run_text(FORKED, f"sqlite:///{tmp_path}/costs.db", cwd=tmp_path, fresh=True)
    assert (done.stdout, done.stderr) == ("7 []\n", "")
