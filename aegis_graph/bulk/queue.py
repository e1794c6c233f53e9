"""The items of a job, in its file: added, leased to workers, and kept with their results."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import cast
from uuid import uuid4

from aegis_graph.bulk.job_facts import count_ended, read_facts
from aegis_graph.bulk.job_file import FILE, JobFile, claim
from aegis_graph.bulk.leases import STAGED, count_twice, free_leases, keep, stage, take
from aegis_graph.bulk.records import (
    BulkItem,
    ItemResult,
    JobFacts,
    JobIdentity,
    JobState,
    KnownCalls,
    LeasedItem,
    LeaseExchange,
)
from aegis_graph.bulk.sample import SampledItem, choose_sample, read_sample
from aegis_graph.bulk.worker_process import is_gone, this_host, this_process
from aegis_graph.clock import Clock, utc_now
from aegis_graph.errors import StoreError

LEASE_S = 60.0
"""How long a worker may be silent before its items are given to others, in seconds."""
BATCH = 1000
"""Items that are added in one transaction."""


class WorkQueue:
    """The items of one job. Several processes of one host may use the same folder.

    Args:
        folder: Of the results; it has the job's file ``job.sqlite``.
        job: What the folder belongs to, or is to belong to; without it there must be a job.
        clock: Returns the present as an aware datetime in UTC.

    Raises:
        StoreError: There is no job, or another one, or the file cannot be used.

    Example:
        >>> queue = WorkQueue("results", JobIdentity(name="cities"))
        >>> queue.add([BulkItem("oslo", {"question": "Where is Oslo?"})])
        1
        >>> worker = queue.register()
        >>> [item.key for item in queue.lease(worker, 10)]
        ['oslo']
        >>> queue.finish(worker, [ItemResult(key="oslo", outcome="done", output='"Norway"')])
        >>> queue.facts().done
        1
    """

    def __init__(
        self, folder: str | Path, job: JobIdentity | None = None, *, clock: Clock = utc_now
    ) -> None:
        self.folder = Path(folder)
        self._clock = clock
        path = self.folder / FILE
        if job is None and not path.exists():
            raise StoreError(f"{self.folder} has no job; name the folder of its results")
        self.file = JobFile(path)
        if job is not None:
            claim(self.file, job, clock=clock)

    @classmethod
    def open(cls, folder: str | Path, *, clock: Clock = utc_now) -> WorkQueue:
        """The queue of a job that was begun.

        Raises:
            StoreError: There is none, or its file cannot be used.
        """
        return cls(folder, clock=clock)

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()

    def add(self, items: Iterable[BulkItem]) -> int:
        """Add the items that are not there yet: all of them, or after an error none.

        They are read and written in batches, so that any number of them needs little memory; none
        is leased before the last one was added.

        Returns:
            How many are new.

        Raises:
            StoreError: A key is known with another input, or the file cannot be written.
        """
        new, batches = 0, iter(items)
        # A worker as long as it lasts, so that what it leaves behind when it dies is known as such.
        adder = self.register()
        staged = f"{STAGED}{adder}"
        try:
            while batch := list(islice(batches, BATCH)):
                with self.file.writing() as connection:
                    new += sum(stage(connection, item, staged) for item in batch)
                    self._renew(connection, adder, LEASE_S)
            with self.file.writing() as connection:
                connection.execute("UPDATE items SET state = 'pending' WHERE state = ?", (staged,))
                if new:
                    _open_again(connection)
        finally:
            with self.file.writing() as connection:
                connection.execute("DELETE FROM items WHERE state = ?", (staged,))
                connection.execute("DELETE FROM counts WHERE state = ?", (staged,))
            self.leave(adder)
        return new

    def register(self, *, lease_s: float = LEASE_S) -> str:
        """Begin to be a worker.

        Returns:
            Its name, for the other methods.
        """
        worker = uuid4().hex
        with self.file.writing() as connection:
            connection.execute(
                "INSERT INTO workers VALUES (?, ?, ?, ?)",
                (worker, this_host(), this_process(), self._now() + round(lease_s * 1000)),
            )
            self._free_leases_of_the_dead(connection)
        return worker

    def renew(self, worker: str, *, lease_s: float = LEASE_S) -> bool:
        """Keep the leases of a worker, and free those of the dead.

        Returns:
            Whether it still had them.
        """
        with self.file.writing() as connection:
            there = self._renew(connection, worker, lease_s)
            self._free_leases_of_the_dead(connection)
        return there

    def _renew(self, connection: sqlite3.Connection, worker: str, lease_s: float) -> bool:
        until = self._now() + round(lease_s * 1000)
        there = connection.execute(
            "UPDATE workers SET until = ? WHERE id = ?", (until, worker)
        ).rowcount
        if not there:
            connection.execute(
                "INSERT INTO workers VALUES (?, ?, ?, ?)",
                (worker, this_host(), this_process(), until),
            )
        return bool(there)

    def leave(self, worker: str) -> None:
        """End a worker: what it has not finished is for others."""
        with self.file.writing() as connection:
            free_leases(connection, worker, crashed=False)

    def lease(self, worker: str, count: int) -> list[LeasedItem]:
        """Take up to so many items: first those that never failed, in their order."""
        return self.exchange(worker, (), count).leased

    def finish(self, worker: str, results: Sequence[ItemResult]) -> None:
        """Keep results. Those of items that are done already change nothing."""
        self.exchange(worker, results, 0)

    def exchange(self, worker: str, results: Sequence[ItemResult], count: int) -> LeaseExchange:
        """Keep results and take up to so many other items, in one transaction.

        Raises:
            StoreError: The file cannot be written; none of the results is kept.
        """
        with self.file.writing() as connection:
            for result in results:
                keep(connection, worker, result)
            ended = sum(result.outcome != "pending" for result in results)
            if ended:
                count_ended(connection, ended, self._now())
            leased = take(connection, worker, count) if count > 0 else []
            state, done = connection.execute(
                "SELECT state, coalesce((SELECT number FROM counts WHERE state = 'done'), 0)"
                " FROM job"
            ).fetchone()
        return LeaseExchange(leased, state, done)

    def retry(self) -> int:
        """Put the items that were set aside back; they have all of their attempts again."""
        with self.file.writing() as connection:
            count = connection.execute(
                "UPDATE items SET state = 'pending', attempts = 0, crashes = 0, doubts = 0"
                " WHERE state = 'set_aside'"
            ).rowcount
            if count:
                _open_again(connection)
        return count

    def choose_sample(self, count: int) -> int:
        """Choose items by chance, which are leased before the others.

        Returns:
            How many of them have no result yet: fewer than ``count`` where some were chosen before.
        """
        with self.file.writing() as connection:
            return choose_sample(connection, count)

    def sampled(self) -> list[SampledItem]:
        """What the items of the sample cost and took, of those that ended."""
        with self.file.reading() as connection:
            return read_sample(connection)

    def set_state(self, state: JobState, reason: str | None = None) -> None:
        """Say how the job is, and why in one line."""
        with self.file.writing() as connection:
            connection.execute("UPDATE job SET state = ?, reason = ?", (state, reason))

    def state(self) -> JobState | None:
        """How the job was last said to be."""
        with self.file.reading() as connection:
            found = connection.execute("SELECT state FROM job").fetchone()
        return None if found is None else cast(JobState, found[0])

    def leased_among(self, keys: Collection[str]) -> set[str]:
        """Those of some items that a worker has now."""
        with self.file.writing() as connection:
            self._free_leases_of_the_dead(connection)
            rows = connection.execute("SELECT key FROM items WHERE state = 'leased'").fetchall()
        return {key for (key,) in rows} & set(keys)

    def interrupted(self) -> dict[str, int]:
        """Items without a result that were begun twice, with the last call known before."""
        with self.file.reading() as connection:
            rows = connection.execute(
                "SELECT key, last_call FROM items"
                " WHERE begun > 1 AND state IN ('pending', 'failed') ORDER BY number"
            ).fetchall()
        return dict(rows)

    def note_calls(self, known: Sequence[KnownCalls]) -> None:
        """Say what calls of interrupted items are known, and which may be bought twice."""
        with self.file.writing() as connection:
            for one in known:
                connection.execute(
                    "UPDATE items SET last_call = ? WHERE key = ?", (one.last_call, one.key)
                )
                if one.twice_nano_usd is not None:
                    count_twice(connection, one.key, one.twice_nano_usd)

    def drop_reserve(self) -> None:
        """Free the space on the disk that was set aside for the last results."""
        self.file.reserve.unlink(missing_ok=True)

    def set_terms(self, *, max_attempts: int, envelope_nano_usd: int | None) -> None:
        """Say how often an item is tried and what the job may cost; ``None`` leaves the latter."""
        with self.file.writing() as connection:
            connection.execute(
                "UPDATE job SET max_attempts = ?,"
                " envelope_nano_usd = coalesce(?, envelope_nano_usd)",
                (max_attempts, envelope_nano_usd),
            )

    def facts(self) -> JobFacts:
        """How the job is, from one moment."""
        with self.file.reading() as connection:
            found = read_facts(connection, self._now())
        if found is None:
            raise StoreError(f"{self.folder} has no job; name the folder of its results")
        return found

    def _free_leases_of_the_dead(self, connection: sqlite3.Connection) -> None:
        now = self._now()
        for worker, host, process, until in connection.execute("SELECT * FROM workers").fetchall():
            if until > now and not is_gone(host, process):
                continue
            free_leases(connection, worker, crashed=True)

    def now(self) -> datetime:
        """The present, as an aware datetime in UTC."""
        return self._clock()

    def _now(self) -> int:
        return round(self._clock().timestamp() * 1000)


def _open_again(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE job SET state = 'running', reason = NULL WHERE state = 'finished'")
