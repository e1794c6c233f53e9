"""Workers on this host: one on the caller's event loop, or several processes that are watched."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import signal
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from aegis_graph.bulk.envelope import JobLedger
from aegis_graph.bulk.graph_source import FoundParts, GraphSource, find_parts, open_graph
from aegis_graph.bulk.item_run import GraphRunner, Runner, SelectOutput
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.results import PART_ROWS, ResultParts
from aegis_graph.bulk.worker import Worker, WorkerSettings
from aegis_graph.bulk.writing import ResultWriter
from aegis_graph.errors import InvalidRequestError, StoreError

MOST_DEATHS = 8
"""So many workers in a row may die without a result, before no new one is started."""

_processes = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkPlan:
    """What a worker needs to know, wherever it runs.

    Args:
        source: The graph, or what opens it.
        folder: Of the results.
        select: Makes what is kept of an output; all of it when absent.
        choices: What a request may choose, for every call of the job.
        settings: How a worker works.
        part_rows: Results of one part.
    """

    source: GraphSource
    folder: str
    select: SelectOutput | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    settings: WorkerSettings = field(default_factory=WorkerSettings)
    part_rows: int = PART_ROWS


async def work_here(
    plan: WorkPlan,
    queue: WorkQueue,
    found: FoundParts,
    *,
    runner: Runner | None = None,
    stop: asyncio.Event | None = None,
    most: int | None = None,
) -> None:
    """Work on a job in this process until nothing is left to do.

    Args:
        plan: What to do.
        queue: Of the job.
        found: The graph, opened.
        runner: Runs the items; this process when absent.
        stop: When it is set, no further item is taken.
        most: After how many items no further one is taken.

    Raises:
        StoreError: The job's file cannot be written.
    """
    money = JobLedger(found.ledger, queue.facts().name)
    runner = runner or GraphRunner(
        found,
        money,
        select=plan.select,
        choices=plan.choices,
        concurrency=plan.settings.concurrency,
    )
    writer = ResultWriter(queue, money, keeps_answers=found.keeps_answers, began=queue.now())
    worker = Worker(
        queue, runner, writer, ResultParts(queue, part_rows=plan.part_rows), plan.settings, most
    )
    watching = None if stop is None else asyncio.create_task(_stop_worker(worker, stop))
    try:
        await worker.run()
    finally:
        if watching is not None:
            watching.cancel()
        money.close()


async def _stop_worker(worker: Worker, stop: asyncio.Event) -> None:
    await stop.wait()
    worker.stop()


class WorkerProcesses:
    """Worker processes, started again when they die.

    Args:
        plan: What each does. Its graph is opened in each of them.
        count: How many.
        queue: Of the job.
    """

    def __init__(self, plan: WorkPlan, count: int, queue: WorkQueue) -> None:
        self._plan = plan
        self._count = count
        self._queue = queue
        self._workers: dict[int, tuple[SpawnProcess, Connection]] = {}
        self._deaths = 0
        self._ended_before = 0
        self._stop = threading.Event()

    def stop(self) -> None:
        """Have every worker end when what it has under way is done."""
        self._stop.set()

    def run(self) -> None:
        """Wait until every worker has ended by itself. Blocks.

        Raises:
            StoreError: Workers die again and again, or one of them has met this error.
        """
        try:
            for _ in range(self._count):
                self._start()
            while self._workers:
                for number in self._ended():
                    self._conclude(number)
                if self._stop.is_set():
                    self._tell_to_stop()
        finally:
            self._tell_to_stop()
            for process, pipe in self._workers.values():
                process.join()
                pipe.close()

    def _start(self) -> None:
        ours, theirs = _processes.Pipe()
        process = _processes.Process(target=_work_in_process, args=(self._plan, theirs))
        process.start()
        theirs.close()
        self._workers[process.sentinel] = (process, ours)

    def _ended(self) -> list[int]:
        return [one for one in wait(list(self._workers), timeout=0.2) if isinstance(one, int)]

    def _conclude(self, number: int) -> None:
        process, pipe = self._workers.pop(number)
        process.join()
        try:
            says = pipe.recv() if pipe.poll() else None
        except EOFError:
            says = None
        pipe.close()
        if says is not None:
            raise StoreError(says)
        if process.exitcode == 0 or self._stop.is_set():
            return
        self._count_death(process.exitcode)
        self._start()

    def _count_death(self, exit_code: int | None) -> None:
        facts = self._queue.facts()
        ended = facts.done + facts.set_aside
        self._deaths = 1 if ended > self._ended_before else self._deaths + 1
        self._ended_before = ended
        if self._deaths >= MOST_DEATHS:
            raise StoreError(
                f"{self._deaths} workers died one after the other without a result (the last with"
                f" exit code {exit_code}); run with workers=1 to see why"
            )

    def _tell_to_stop(self) -> None:
        for _, pipe in self._workers.values():
            try:
                pipe.send("stop")
            except OSError:  # it has ended
                continue


def _work_in_process(plan: WorkPlan, pipe: Connection) -> None:
    # The terminal sends Ctrl-C to every process; the one that started this says what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        asyncio.run(_work_until_told(plan, pipe))
    except Exception as error:  # noqa: BLE001  # the other process raises it
        pipe.send(f"{type(error).__name__}: {error}" if str(error) else repr(error))


async def _work_until_told(plan: WorkPlan, pipe: Connection) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_listen, args=(pipe, loop, stop), daemon=True).start()
    queue = WorkQueue.open(plan.folder)
    async with AsyncExitStack() as stack:
        found = find_parts(await open_graph(plan.source, stack))
        await work_here(plan, queue, found, stop=stop)
    queue.close()


def _listen(pipe: Connection, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Its end is a word, too: what is under way is finished, and no more is begun.
    with suppress(EOFError, OSError):
        pipe.recv()
    with suppress(RuntimeError):  # the loop has ended by itself
        loop.call_soon_threadsafe(stop.set)


def check_sendable(workers: int, source: GraphSource, select: SelectOutput | None) -> None:
    """Make sure that other processes can be told what to do, before anything is made.

    Raises:
        InvalidRequestError: They cannot.
    """
    try:
        pickle.dumps((source, select))
    except Exception as error:  # pickling runs code of any kind
        raise InvalidRequestError(
            f"workers={workers} needs the graph as 'module:name' or as a function at the top of a"
            " module, and so the function for its output: each process opens its own"
        ) from error


async def work_in_processes(plan: WorkPlan, count: int, queue: WorkQueue) -> None:
    """Have so many processes work on a job until nothing is left to do.

    Raises:
        StoreError: As ``WorkerProcesses.run``.
    """
    processes = WorkerProcesses(plan, count, queue)
    running = asyncio.create_task(asyncio.to_thread(processes.run))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        processes.stop()
        await running
        raise
