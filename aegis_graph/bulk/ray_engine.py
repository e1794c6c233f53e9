"""Runs items on Ray: actors that have the graph, on any number of hosts.

The job's own file stays with the process that drives the job: that takes the leases, sends items to
the actors and keeps what they send back, so no other host needs the results' folder. Where actors
run, and that a lost one is started again, is Ray's. Whether a lost item is run again is not: its
lease is given back, and the next run looks first at what the ledger says was paid for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from textwrap import shorten
from typing import Any

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "engine='ray' needs: pip install 'aegis-graph[ray]'", name=missing.name
    ) from missing

from aegis_graph.bulk.graph_source import FoundParts
from aegis_graph.bulk.item_run import ItemEnd
from aegis_graph.bulk.leases import ALL_DIED, MOST_CRASHES
from aegis_graph.bulk.local_engine import WorkPlan, work_here
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.ray_actor import ActorPlan, GraphActor, OpenedGraph, RemoteEnd
from aegis_graph.bulk.ray_cluster import connect, hosts
from aegis_graph.bulk.records import LeasedItem
from aegis_graph.bulk.verdicts import error_line
from aegis_graph.bulk.worker_process import this_host
from aegis_graph.errors import InvalidRequestError, LedgerError, WorkerLostError
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.sqlite import SqliteStore

logger = logging.getLogger(__name__)

END_S = 10.0
"""How long actors have to close their graphs, in seconds."""

_WHY_CHARS = 200
"""Of what Ray says, which goes on for a page."""


class _Member:
    """One actor, and how it is."""

    def __init__(self, actor: Any, opening: asyncio.Task[None]) -> None:
        self.actor = actor
        self.opening = opening
        self.running = 0
        self.is_alone = False
        """Whether it is for one item, that may be why another died."""

    @contextmanager
    def counting(self, *, alone: bool) -> Iterator[None]:
        """With one item more; ``alone`` keeps further ones away."""
        self.running += 1
        self.is_alone = alone
        try:
            yield
        finally:
            self.running -= 1
            self.is_alone = self.is_alone and not alone

    def is_ready(self, *, alone: bool) -> bool:
        """Whether an item that it counts may begin."""
        return self.running == 1 or not alone

    @property
    def is_open(self) -> bool:
        return self.opening.done() and not self.opening.cancelled() and not self.opening.exception()


class RayPool:
    """Runs items in actors, as ``GraphRunner`` does in this process.

    Args:
        plan: What each actor needs to have the graph.
        ledger: Of the graph's routers.
        graph: What decides the results, part by part, as this process has it.
        workers: How many actors.

    Raises:
        InvalidRequestError: The plan cannot be sent to another process.
    """

    def __init__(
        self, plan: ActorPlan, ledger: SqlLedger, graph: Mapping[str, str], *, workers: int
    ) -> None:
        self._plan = plan.sendable()
        self._ledger = ledger
        self._graph = graph
        self._workers = workers
        self._members: list[_Member] = []
        self._changed = asyncio.Condition()
        self._crashes: Counter[str] = Counter()
        self._is_ours = False

    async def start(self) -> None:
        """Join the cluster and wait for the first actor; the others come when there is room.

        Raises:
            LedgerError: Several hosts cannot share the ledger.
            InvalidRequestError: No actor can have the graph.
        """
        self._is_ours = await asyncio.to_thread(connect, self._workers)
        refuse_file(self._ledger, hosts())
        kind: Any = ray.remote(GraphActor)
        for _ in range(self._workers):
            actor = kind.options(
                num_cpus=1, max_restarts=-1, max_concurrency=self._plan.concurrency + 8
            ).remote(self._plan)
            self._members.append(_Member(actor, asyncio.create_task(self._open(actor))))
        waiting = {member.opening for member in self._members}
        while not any(member.is_open for member in self._members):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not waiting:
                done.pop().result()
        for member in self._members:
            member.opening.add_done_callback(_log_failure)

    async def run(self, item: LeasedItem) -> ItemEnd:
        """Run an item in the actor that has the fewest.

        One that was in an actor that died has an actor for itself: it may be why.

        Raises:
            WorkerLostError: There is no actor any more, and none can be started.
        """
        async with self._member_for(item) as member:
            reference = member.actor.run.remote(item)
            try:
                end: RemoteEnd = await reference
            except asyncio.CancelledError:
                ray.cancel(reference)
                raise
            except RayError as error:
                return ItemEnd(item, 0.0, error=self._give_up(member, item, error))
        return ItemEnd(item, end.seconds, end.output, end.is_degraded, end.error)

    async def forget(self, key: str) -> None:
        """Have the next run of an item begin anew."""
        async with self._changed:
            member = await self._free_member()
        await member.actor.forget.remote(key)

    async def close(self) -> None:
        """Let the actors close their graphs, and leave the cluster."""
        for member in self._members:
            member.opening.cancel()
        ends = [_quietly(member.actor.close.remote()) for member in self._members if member.is_open]
        if ends:
            await asyncio.wait([asyncio.create_task(end) for end in ends], timeout=END_S)
        for member in self._members:
            ray.kill(member.actor)
        self._members = []
        if self._is_ours:
            await asyncio.to_thread(ray.shutdown)

    async def _open(self, actor: Any) -> None:
        try:
            self._check(await actor.open.remote())
        except RayTaskError as failed:
            raise (failed.cause if isinstance(failed.cause, Exception) else failed) from None
        except RayError as error:
            raise _lost("a worker cannot be started", error) from error
        finally:
            await self._say_changed()

    def _check(self, opened: OpenedGraph) -> None:
        refuse_file(self._ledger, {this_host(), opened.host})
        other = sorted(
            part for part, value in opened.graph.items() if self._graph.get(part) != value
        )
        if other:
            raise InvalidRequestError(
                f"graph: {', '.join(other)} on {opened.host.split()[0]} is not what it is here;"
                " give all hosts of the cluster the same code and configuration"
            )

    @asynccontextmanager
    async def _member_for(self, item: LeasedItem) -> AsyncIterator[_Member]:
        """An actor that an item can run in, and that counts it."""
        alone = self._crashes[item.key] > 0
        is_lost = True
        while is_lost:
            async with self._changed:
                member = await self._free_member()
            try:
                with member.counting(alone=alone):
                    async with self._changed:
                        await self._changed.wait_for(partial(member.is_ready, alone=alone))
                    is_lost = not member.is_open
                    if not is_lost:
                        yield member
            finally:
                await self._say_changed()

    async def _free_member(self) -> _Member:
        """The actor that has the fewest items; within the condition."""
        while True:
            there = [one for one in self._members if one.is_open]
            free = [one for one in there if not one.is_alone]
            if free:
                return min(free, key=lambda one: one.running)
            if not there and all(one.opening.done() for one in self._members):
                self._members[0].opening.result()
            await self._changed.wait()

    def _give_up(self, member: _Member, item: LeasedItem, error: RayError) -> Exception:
        """Have a lost actor started again, and say what became of an item that it ran."""
        if member.is_open and member in self._members:
            # One that is only out of reach would go on buying what others buy again.
            ray.kill(member.actor, no_restart=False)
            member.opening = asyncio.create_task(self._open(member.actor))
            member.opening.add_done_callback(_log_failure)
        self._crashes[item.key] += 1
        if self._crashes[item.key] >= MOST_CRASHES:
            return RuntimeError(ALL_DIED)
        return _lost("the worker that ran it was lost", error)

    async def _say_changed(self) -> None:
        async with self._changed:
            self._changed.notify_all()


async def work_on_ray(plan: WorkPlan, queue: WorkQueue, found: FoundParts, *, workers: int) -> None:
    """Work on a job in actors until nothing is left to do.

    Args:
        plan: What to do. Its graph is opened in each actor.
        queue: Of the job.
        found: The graph, as it was opened here.
        workers: How many actors, each of which runs as many items as the plan says.

    Raises:
        InvalidRequestError: The graph cannot be sent to other processes, or is another there.
        LedgerError: Several hosts cannot share the ledger.
        StoreError: The job's file cannot be written.
        WorkerLostError: There is no actor any more, and none can be started.
    """
    facts = queue.facts()
    each = plan.settings.concurrency
    actor = ActorPlan(
        source=plan.source,
        name=facts.name,
        select=plan.select,
        choices=plan.choices,
        concurrency=each,
    )
    pool = RayPool(actor, found.ledger, facts.graph, workers=workers)
    all_of_them = replace(plan.settings, concurrency=each * workers)
    await work_here(replace(plan, settings=all_of_them), queue, found, runner=pool)


def refuse_file(ledger: SqlLedger, places: set[str]) -> None:
    """Refuse workers on several hosts whose ledger is a file of one of them.

    Args:
        ledger: Of the routers.
        places: The names of the hosts.

    Raises:
        LedgerError: They would each have the whole budget, in a file of their own.
    """
    if len(places) > 1 and isinstance(ledger.store, SqliteStore):
        raise LedgerError(
            f"the ledger {ledger.store.path} is a file of this host, and Ray's workers are on"
            f" {len(places)}: each would spend the whole budget. Set ledger.url to a PostgreSQL"
            " database that all of them reach (pip install 'aegis-graph[postgres]')"
        )


def _lost(what: str, error: RayError) -> WorkerLostError:
    why = shorten(error_line(error), _WHY_CHARS, placeholder=" ...")
    return WorkerLostError(f"{what}: {why}")


def _log_failure(opening: asyncio.Task[None]) -> None:
    if not opening.cancelled() and (error := opening.exception()) is not None:
        logger.warning("a worker of the cluster is left out: %s", error_line(error))


async def _quietly(closing: Any) -> None:
    try:
        await closing
    except RayError as error:
        logger.debug("a worker ended before its graph was closed: %s", error)
