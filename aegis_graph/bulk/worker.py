"""A worker: takes items, runs them through the graph, and keeps what comes of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from aegis_graph.bulk.heartbeat import Heartbeat
from aegis_graph.bulk.item_run import ItemEnd, Runner
from aegis_graph.bulk.outages import Throttle
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import JobState, LeasedItem
from aegis_graph.bulk.results import ResultParts
from aegis_graph.bulk.verdicts import Verdict, error_line
from aegis_graph.bulk.writing import ResultWriter, error_of
from aegis_graph.errors import LedgerError, StoreError

IDLE_S = 0.2
"""How often a worker without items looks whether there are some again, in seconds."""
SHORT_S = 0.5
"""Items that take less than this are leased ahead, so that none waits for a transaction."""
GRACE_S = 30.0
"""How long a worker that is to stop waits for what is under way and paid for, in seconds."""
GIVE_UP_S = 3600.0
"""After how long without an answer from any provider a worker ends, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker works.

    Args:
        concurrency: Items at once.
        first_pause_s: How long the first pause of an outage lasts, in seconds.
        longest_pause_s: How long a pause lasts at most, in seconds.
        give_up_s: After how long an outage ends the worker, in seconds.
        grace_s: How long a worker that is stopped waits for what is under way, in seconds.
    """

    concurrency: int = 32
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    give_up_s: float = GIVE_UP_S
    grace_s: float = GRACE_S


class Worker:
    """Works on a job until nothing is left to do, or it is to stop.

    Args:
        queue: Of the job.
        runner: Runs an item.
        writer: Turns the ends of runs into results, and keeps them.
        parts: Of the results.
        settings: How many items at once, and so on.
        most: After how many items no further one is taken; never when absent.
    """

    def __init__(
        self,
        queue: WorkQueue,
        runner: Runner,
        writer: ResultWriter,
        parts: ResultParts,
        settings: WorkerSettings,
        most: int | None = None,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._writer = writer
        self._parts = parts
        self._settings = settings
        self._left = most
        self._thread = ThreadPoolExecutor(1, "aegis-bulk-queue")
        self._running: dict[asyncio.Task[ItemEnd], tuple[int, int]] = {}
        """Each with the epoch and the number of results when it began."""
        self._ready: deque[LeasedItem] = deque()
        self._ended: list[ItemEnd] = []
        self._done = 0
        self._mean_s = 0.0
        self._wake = asyncio.Event()
        self._is_stopping = False
        self._dry = False
        """Whether the queue had no item at the last look."""
        self._throttle = Throttle(
            settings.concurrency,
            asyncio.get_running_loop().time,
            settings.first_pause_s,
            settings.longest_pause_s,
        )

    def stop(self) -> None:
        """Take no further item; what is under way goes on to its end."""
        self._is_stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work. When the waiting task is cancelled, what is under way has some time to end.

        Raises:
            StoreError: The job's file cannot be written.
        """
        name = self._queue.register()
        heart = Heartbeat(self._queue, name)
        self._writer.worker = name
        try:
            await self._runner.start()
            await self._work()
        except asyncio.CancelledError:
            self._is_stopping = True
            await self._drain()
            raise
        except StoreError:
            self._is_stopping = True
            await self._drain()
            self._writer.make_room()
            raise
        finally:
            await self._end(name, heart)

    async def _work(self) -> None:
        while True:
            await self._exchange()
            if self._is_stopping and self._ready:
                self._ended += [
                    ItemEnd(self._ready.popleft(), 0.0) for _ in range(len(self._ready))
                ]
                continue
            self._start()
            if not self._running and not self._ended and await self._is_over():
                return
            await self._wait()

    def _start(self) -> None:
        while self._ready and len(self._running) < self._throttle.allowed:
            item = self._ready.popleft()
            task = asyncio.create_task(self._runner.run(item), name=f"bulk {item.key}")
            self._running[task] = (self._throttle.epoch, self._done)
            task.add_done_callback(self._take_end)

    def _take_end(self, task: asyncio.Task[ItemEnd]) -> None:
        self._wake.set()
        if task.cancelled():
            self._running.pop(task)

    async def _wait(self) -> None:
        """Until a run ends, or it is time to look again."""
        timeout: float | None = None
        if not self._is_stopping:
            if self._throttle.wait_s > 0:
                timeout = self._throttle.wait_s
            elif self._dry or self._throttle.is_paused:
                timeout = IDLE_S
        if not self._running and timeout is None:
            timeout = IDLE_S
        if any(task.done() for task in self._running):
            self._wake.clear()
            return
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            self._dry = False
        self._wake.clear()

    async def _exchange(self) -> None:
        """Keep what ended, and take as much as may be begun."""
        await self._judge([task for task in self._running if task.done()])
        count = self._wanted()
        if not self._ended and count <= 0:
            return
        ended, self._ended = self._ended, []
        try:
            found = await self._blocking(self._writer.exchange, ended, count)
        except StoreError:
            self._ended = ended + self._ended
            raise
        except LedgerError as error:
            # What the items cost is a part of their results, which wait here for it.
            self._ended = ended + self._ended
            if self._is_stopping:
                raise
            await self._down(error_line(error), self._throttle.epoch)
            return
        self._dry = count > 0 and not found.leased
        self._ready += found.leased
        if self._left is not None:
            self._left -= len(found.leased)
        if found.state in {"cancelled", "money_ended"}:
            self._is_stopping = True
        await self._blocking(self._parts.export_full, found.done)

    def _wanted(self) -> int:
        if self._is_stopping or (self._dry and not self._ended):
            return 0
        allowed = self._throttle.allowed
        if allowed and self._throttle.is_open and self._mean_s < SHORT_S and self._done:
            allowed += max(1, allowed // 2)
        room = allowed - len(self._running) - len(self._ready)
        return room if self._left is None else min(room, self._left)

    async def _judge(self, tasks: Sequence[asyncio.Task[ItemEnd]]) -> None:
        for task in tasks:
            epoch, done_before = self._running.pop(task)
            end = task.result()
            if end.error is None and not end.is_degraded:
                found = None
            else:
                found = await self._blocking(self._writer.verdict, end, self._done > done_before)
            self._ended.append(end)
            if found is None:
                self._done += 1
                self._mean_s += (end.seconds - self._mean_s) / min(self._done, 100)
                await self._succeeded(epoch)
            else:
                await self._react(end, found, epoch)

    async def _react(self, end: ItemEnd, found: Verdict, epoch: int) -> None:
        if found.kind == "own":
            return
        if found.kind == "money":
            await self._refused(end, epoch)
        elif found.kind == "crowded":
            self._throttle.crowded(epoch, found.wait_s)
        else:
            await self._down(error_of(end), epoch)
        if end.is_degraded:
            await self._runner.forget(end.item.key)

    async def _succeeded(self, epoch: int) -> None:
        was_paused = self._throttle.is_paused
        self._throttle.succeeded(epoch)
        if was_paused and not self._throttle.is_paused:
            await self._say("running", None)

    async def _refused(self, end: ItemEnd, epoch: int) -> None:
        running = sum(not task.done() for task in self._running)
        self._throttle.refused(epoch, running=running)
        if running or self._is_stopping:
            return
        if not await self._blocking(self._writer.is_money_held, end.item.key):
            await self._say("money_ended", error_of(end))
            self._is_stopping = True

    async def _down(self, reason: str, epoch: int) -> None:
        self._throttle.down(epoch)
        await self._say("paused", reason)
        if self._throttle.paused_s > self._settings.give_up_s:
            self._is_stopping = True

    async def _say(self, state: JobState, reason: str | None) -> None:
        await self._blocking(self._queue.set_state, state, reason)

    async def _is_over(self) -> bool:
        if self._is_stopping:
            return True
        if self._left is not None and self._left <= 0:
            return True
        facts = await self._blocking(self._queue.facts)
        return bool(facts.open == 0)

    async def _drain(self) -> None:
        """Wait for what is under way, which is paid for; not for ever."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._settings.grace_s)

    async def _end(self, name: str, heart: Heartbeat) -> None:
        for task in self._running:
            task.cancel()
        try:
            ends = await asyncio.gather(*self._running, return_exceptions=True)
            self._ended += [one for one in ends if isinstance(one, ItemEnd)]
        finally:
            heart.stop()
            self._thread.shutdown(wait=True)
            await self._runner.close()
            try:
                if self._ended:
                    self._writer.keep_last(self._ended)
            finally:
                self._queue.leave(name)

    async def _blocking(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
