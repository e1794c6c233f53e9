"""A job's requests bought at half the price: batches are filled, sent, waited for and read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from aegis_graph.bulk.batch.batch_items import PutBack
from aegis_graph.bulk.batch.collecting import BatchCollector
from aegis_graph.bulk.batch.filling import CHUNK, BatchFiller
from aegis_graph.bulk.batch.records import BatchRecord
from aegis_graph.bulk.batch.run import BatchRun
from aegis_graph.bulk.batch.sending import BatchSender
from aegis_graph.bulk.records import LeasedItem
from aegis_graph.errors import StoreError

FIRST_LOOK_S = 10.0
"""How long after a batch was made it is looked at first, in seconds."""
LONGEST_LOOK_S = 120.0
"""The longest time between two looks; DashScope asks for a minute at least."""
MOST_UNBATCHED = 1000
"""Items without a batch that may wait to be run: more are not taken before these are done."""


class Bought(NamedTuple):
    """How a run of the batches ended."""

    under_way: int
    """Batches whose answers are still to be read; the job goes on with them when it is run again.
    """
    full: str | None
    """Why the job's envelope had no room for the next item, where it had none."""
    put_back: list[PutBack]
    """Items that ended without a result that is to be held against them: no others were taken
    after the first of them."""


@dataclass(slots=True)
class BatchBuyer:
    """Buys the items of a job by batches, in one process of those that work on it.

    Args:
        run: The job's batches.
        pause: Waits for so many seconds.
    """

    run: BatchRun
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    _unbatched: asyncio.Queue[LeasedItem] = field(default_factory=asyncio.Queue)
    _unbatched_left: int = 0
    """Those that are being run are counted, too."""
    _put_back: list[PutBack] = field(default_factory=list)
    _full: str | None = None
    _ending: set[int] = field(default_factory=set)
    """The batches that were asked to end."""

    async def buy(self, *, fill: bool = True) -> Bought:
        """Go on with the batches that are under way, and send others, until nothing is left to do.

        Args:
            fill: Whether other items are taken.

        Raises:
            StoreError: Another process is at the job's batches, or one of them cannot be read.
            LedgerError: The ledger cannot be used.
        """
        records = self.run.records
        if not records.claim():
            raise StoreError(
                f"{self.run.queue.folder}: another process is at the job's batches; end that one,"
                " or wait for it"
            )
        try:
            await self._recover()
            async with asyncio.TaskGroup() as group:
                workers = [
                    group.create_task(self._run_unbatched()) for _ in range(self.run.concurrency)
                ]
                try:
                    await self._turns(fill=fill)
                finally:
                    for worker in workers:
                        worker.cancel()
        except ExceptionGroup as failed:
            # The first says what is wrong; the others were ended by it.
            raise failed.exceptions[0] from None
        finally:
            self.run.give_back(records.strays())
            records.release()
        return Bought(len(records.open()), self._full, self._put_back)

    async def _turns(self, *, fill: bool) -> None:
        """Go round until there is nothing to wait for."""
        wait_s = FIRST_LOOK_S
        while not self.run.stop.is_set():
            may_fill = fill and not self._put_back and not self.run.is_cancelled
            moved = may_fill and await self._fill()
            for batch in self.run.records.open():
                moved = await self._is_moved(batch) or moved
            if moved:
                wait_s = FIRST_LOOK_S
            elif self.run.records.open():
                await self._wait(self.pause(wait_s))
                wait_s = min(wait_s * 1.5, LONGEST_LOOK_S)
            elif self._unbatched_left:
                await self._wait(self._unbatched.join())
            else:
                return

    async def _fill(self) -> bool:
        """Send what there is room for; whether there was anything."""
        room = MOST_UNBATCHED - self._unbatched_left
        if room <= 0:
            return False
        filled = await BatchFiller(self.run).fill(most_unbatched=room)
        self._full = filled.full
        self._unbatched_left += len(filled.unbatched)
        for item in filled.unbatched:
            self._unbatched.put_nowait(item)
        return filled.lines > 0

    async def _is_moved(self, batch: BatchRecord) -> bool:
        """Do what is next for a batch; whether there was anything."""
        sender = BatchSender(self.run)
        if self.run.is_cancelled:
            if batch.stage == "written":
                await self._abandon(batch)
                return True
            if batch.stage == "submitted" and batch.number not in self._ending:
                self._ending.add(batch.number)
                await sender.cancel(batch)
        if batch.stage == "ended":
            self._put_back += await BatchCollector(self.run).collect(batch)
            return True
        return (await sender.advance(batch)).stage != batch.stage

    async def _recover(self) -> None:
        """Give up the batches whose files a crash has left half written: nothing was sent."""
        for batch in self.run.records.open():
            is_there = self.run.file(batch, "asked").exists()
            if batch.stage == "writing" or (batch.stage == "written" and not is_there):
                await self._abandon(batch)
        self.run.give_back(self.run.records.strays())

    async def _abandon(self, batch: BatchRecord) -> None:
        while some := self.run.records.lines(batch.number, most=CHUNK):
            await self.run.release(some)
        self.run.drop_files(batch)
        self.run.records.forget(batch.number)

    async def _run_unbatched(self) -> None:
        while True:
            item = await self._unbatched.get()
            end = await self.run.items.run(item)
            self._put_back += await self.run.items.keep([end])
            self._unbatched_left -= 1
            self._unbatched.task_done()

    async def _wait(self, event: Awaitable[object]) -> None:
        """Wait for something, or for the end of the run."""
        ends = asyncio.ensure_future(self.run.stop.wait())
        waits = asyncio.ensure_future(event)
        try:
            await asyncio.wait({ends, waits}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ends.cancel()
            waits.cancel()
