"""What is in an actor: the graph, opened there, and one item after the other through it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import ray
from langgraph.pregel.protocol import PregelProtocol

from aegis_graph.bulk.envelope import JobLedger
from aegis_graph.bulk.graph_source import GraphSource, find_parts, open_graph
from aegis_graph.bulk.item_run import GraphRunner, SelectOutput
from aegis_graph.bulk.records import LeasedItem
from aegis_graph.bulk.verdicts import error_line
from aegis_graph.bulk.worker_process import this_host
from aegis_graph.errors import InvalidRequestError


class OpenedGraph(NamedTuple):
    """A graph that an actor has opened."""

    host: str
    graph: Mapping[str, str]
    """What decides its results, part by part."""


class RemoteEnd(NamedTuple):
    """How a run of an item ended in an actor; see ``ItemEnd``."""

    seconds: float
    output: str | None
    is_degraded: bool
    error: Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorPlan:
    """What an actor needs to have the graph.

    Args:
        source: What opens the graph there.
        name: The job's.
        select: Makes what is kept of an output; all of it when absent.
        choices: What a request may choose, for every call.
        concurrency: How many items run at once at most.
    """

    source: GraphSource
    name: str
    select: SelectOutput | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 32

    def sendable(self) -> ActorPlan:
        """This plan, once it is sure that other processes can be sent it.

        Raises:
            InvalidRequestError: They cannot.
        """
        if isinstance(self.source, PregelProtocol):
            raise InvalidRequestError(
                "graph: a compiled graph cannot be sent to other hosts; give the job a function"
                " that returns it, or its 'module:name'"
            )
        dumps: Any = ray.cloudpickle.dumps  # Ray has no type for it.
        try:
            dumps(self)
        except (TypeError, pickle.PicklingError) as error:
            raise InvalidRequestError(
                f"graph: what opens it cannot be sent to other hosts ({error_line(error)}); open"
                " files and connections inside that function"
            ) from error
        return self


class GraphActor:
    """Has the graph in a process of its own.

    Args:
        plan: How to open it.
    """

    def __init__(self, plan: ActorPlan) -> None:
        self._plan = plan
        self._stack = AsyncExitStack()
        self._runner: GraphRunner | None = None

    # Asked of an actor that is started again, it is asked again by Ray.
    @ray.method(max_task_retries=-1)
    async def open(self) -> OpenedGraph:
        """Open the graph, and say which one it is."""
        plan = self._plan
        parts = find_parts(await open_graph(plan.source, self._stack))
        self._runner = GraphRunner(
            parts,
            JobLedger(parts.ledger, plan.name),
            select=plan.select,
            choices=plan.choices,
            concurrency=plan.concurrency,
        )
        await self._runner.start()
        return OpenedGraph(this_host(), parts.identity(plan.name, "jsonl").graph)

    async def run(self, item: LeasedItem) -> RemoteEnd:
        """Run an item to its end."""
        assert self._runner is not None, "an actor is used once it is open"
        end = await self._runner.run(item)
        error = None if end.error is None else _portable(end.error)
        return RemoteEnd(end.seconds, end.output, end.is_degraded, error)

    async def forget(self, key: str) -> None:
        """Have the next run of an item begin anew."""
        assert self._runner is not None, "an actor is used once it is open"
        await self._runner.forget(key)

    async def close(self) -> None:
        """Close the graph."""
        if self._runner is not None:
            await self._runner.close()
        await self._stack.aclose()


def _portable(error: Exception) -> Exception:
    """An error that other processes can read, with the same words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001  # How pickling fails is the error's own matter.
        return RuntimeError(error_line(error))
    return error
