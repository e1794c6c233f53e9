"""A process that dies between any two steps of its batches leaves nothing that is bought twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from aegis_graph.bulk.batch.buyer import BatchBuyer
from aegis_graph.bulk.job_file import JobFile
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.testing import LoopbackServer
from tests.contract.ledger_store import Store
from tests.flow.bulk.batch_support import ANSWER, AT_HALF, KINDS, Job, at_once, items, row

COUNT = 3


class Died(BaseException):
    """In place of SIGKILL: no code of the process does anything after it."""


class Mortal:
    """Counts the steps that last, and ends all of them at one."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > self.last:
            raise Died


class MortalFile(JobFile):
    """The job's file of a process that dies before or after one of its transactions."""

    mortal: Mortal

    @contextmanager
    @override
    def writing(self) -> Iterator[sqlite3.Connection]:
        self.mortal.step()
        with super().writing() as connection:
            yield connection
        self.mortal.step()


class MortalLedger(SqlLedger):
    """The ledger as such a process has it."""

    def __init__(self, ledger: SqlLedger, mortal: Mortal) -> None:
        # The same ledger, with its writer: another one would open the store a second time.
        self.__dict__ = ledger.__dict__
        self.mortal = mortal

    @override
    async def admit(self, holds: Sequence[Any], **more: Any) -> Any:
        self.mortal.step()
        made = await super().admit(holds, **more)
        self.mortal.step()
        return made

    @override
    async def settle(self, settlements: Sequence[Any], **more: Any) -> Any:
        self.mortal.step()
        done = await super().settle(settlements, **more)
        self.mortal.step()
        return done


async def died_after(job: Job, steps: int) -> bool:
    """Work on the job until so many steps were done; whether it died of that."""
    mortal, queue, ledger = Mortal(10**9), job.open(), job.ledger()
    path = queue.file.path
    queue.close()
    queue.file = file = MortalFile(path)
    file.mortal = mortal
    queue.add(items(COUNT))
    run = job.run(queue, MortalLedger(ledger, mortal))
    mortal.steps, mortal.last = 0, steps
    try:
        await BatchBuyer(run, at_once).buy()
    except Died:
        return True
    except BaseExceptionGroup as group:
        return group.subgroup(Died) is not None
    finally:
        job.close(queue, ledger)
    return False


def assert_bought_once(job: Job) -> None:
    assert sorted(job.outputs()) == [f"k{number}" for number in range(COUNT)]
    assert sorted(job.lines()) == sorted(job.outputs())
    # A second one would be served, too, whether or not it is ever looked at.
    assert list(job.server.batches.values()) == ["completed"]
    assert [one["cost_nano_usd"] for one in job.rows()] == [AT_HALF] * COUNT
    job.assert_in_order()


@pytest.mark.parametrize("kind", KINDS)
async def test_wherever_a_process_dies_nothing_is_bought_twice(
    store: Store, tmp_path: Path, kind: str
) -> None:
    # With one provider and one store each step is tried, with the others each fourth.
    every = 1 if (kind, store.url[:6]) == ("openai", "sqlite") else 4
    steps, died = 0, True
    while died:
        with LoopbackServer() as server:
            server.always("openai", ANSWER)
            folder = tmp_path / str(steps)
            job = Job(server, store, folder, [row(server, kind)], envelope_usd="1")
            forget(store)
            died = await died_after(job, steps)
            await job.buy()
            assert_bought_once(job)
        steps += every
    assert steps > 40


def forget(store: Store) -> None:
    """Empty the ledger, as if it were another one."""
    if store.opened:
        for table in ("requests", "request_tags", "totals", "days"):
            store.change(f"DELETE FROM {table}")
