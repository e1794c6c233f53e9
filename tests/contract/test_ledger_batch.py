"""What grouping promises: a crowd costs few statements, and a row is small."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.prompt_hashes import PromptHashes
from aegis_graph.ledger.records import Admission
from aegis_graph.ledger.sqlite import open_database
from aegis_graph.ledger.store import Connection, Rows
from aegis_graph.ledger.transaction import LedgerOperation, TransactionRunner
from aegis_graph.ledger.windows import Calendar
from tests.contract.ledger_store import Store, empty_store, hold, settlement

LIMITS = (("total", "month", "1"), ("provider:cheap", "day", "1"), ("user:*", "week", "1"))


class Counting:
    """A connection that counts what is asked of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.statements: list[str] = []

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        self.statements.append(sql)
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> object:
        self.statements.append(sql)
        return self._connection.executemany(sql, rows)

    def close(self) -> None:
        self._connection.close()


async def test_a_hundred_callers_cost_as_many_statements_as_one(store: Store) -> None:
    ledger = store.open(*LIMITS)
    assert isinstance(ledger, SqlLedger)
    await ledger.check()
    runner = TransactionRunner(
        ledger.store.unused_ids,
        lambda: store.now,
        Calendar(ZoneInfo("UTC")),
        PromptHashes(ledger.store),
    )
    used = []
    with closing(Counting(ledger.store.open())) as counting:

        def transact(work: list[LedgerOperation]) -> list[Admission]:
            counting.statements.clear()
            ledger.store.begin(counting)
            done = runner.apply(counting, work)
            counting.execute("COMMIT")
            used.append(len(counting.statements))
            # What was allowed beyond a limit is looked up where a limit alone has no room.
            assert not any("budget_raises" in one for one in counting.statements)
            return done

        for callers in (1, 100):
            wishes = [[hold(1, user=f"user-{number % 9}")] for number in range(callers)]
            made = transact([LedgerOperation(holds=wish, sweep=True) for wish in wishes])
            transact([LedgerOperation([settlement(one, 1)]) for one in made])
    assert used[:2] == used[2:]
    assert max(used) <= 10
    assert sum(row["calls"] for row in store.rows("totals") if row["scope"] == "total") == 101


async def test_a_row_takes_less_than_400_bytes_with_its_indexes(tmp_path: Any) -> None:
    store, count = empty_store("sqlite", tmp_path), 2000
    ledger = store.open(*LIMITS)
    names = {"provider": "openai", "model": "gpt-4.1-mini", "task": "extraction"}

    async def attempt(number: int) -> None:
        more = {"route_id": uuid4().hex, "thread_id": f"thread-{number:06d}", **names}
        digest = (uuid4().hex * 2)[:64]
        made = await ledger.admit([hold(1, user=f"user-{number % 50}", query_hash=digest, **more)])
        await ledger.settle([settlement(made, 1)])

    def size() -> int:
        ledger.close()
        path = tmp_path / "costs.db"
        with closing(open_database(path, 5.0)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return int(path.stat().st_size)

    # Every table has a page, whether it has rows or not.
    await ledger.check()
    empty = size()
    await asyncio.gather(*map(attempt, range(count)))
    assert (size() - empty) / count < 400
