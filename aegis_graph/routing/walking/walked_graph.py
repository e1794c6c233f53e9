"""A component's compiled graph, which runs its nodes without an engine where nobody looks.

What ``fast_path`` is to the router, and in the same cases. A component that asks a graph with a
memory, a pause or callbacks of its own always has the engine; and so has, with no host around it,
one in which functions of the application run: they may use what LangGraph gives a node.
"""

from __future__ import annotations

from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel.protocol import PregelProtocol
from langgraph.runtime import RunControl, Runtime
from langgraph.typing import ContextT, InputT, OutputT, StateT
from typing_extensions import override

from aegis_graph.routing.events import no_writer
from aegis_graph.routing.hosts.host_runs import (
    alone_config,
    binds_choices_only,
    is_inside_a_graph,
    remembers_or_pauses,
    unobserved_config,
)
from aegis_graph.routing.hosts.langchain_internals import (
    RECURSION_LIMIT,
    RUNNING_CONFIG,
    RUNTIME_KEY,
)
from aegis_graph.routing.hosts.private_runs import PrivateRuns, untraced_where
from aegis_graph.routing.stand_in_graph import StandInGraph
from aegis_graph.routing.walking.walk import WalkPlan, awalk, walk


class WalkedGraph(PrivateRuns[StateT, ContextT, InputT, OutputT]):
    """A component that runs a plain request without LangGraph's engine."""

    @classmethod
    @override
    def of(
        cls,
        graph: CompiledStateGraph[StateT, ContextT, InputT, OutputT],
        *,
        router: object = None,
        asked: tuple[object, ...] = (),
    ) -> Self:
        """See ``PrivateRuns.of``.

        Args:
            graph: The graph.
            router: The router that the graph asks.
            asked: Whatever else its nodes call.
        """
        of_builder, parts = vars(graph.builder), (router, *asked)
        of_builder["walk_plan"] = None if any(map(_is_special, parts)) else WalkPlan.of(graph)
        of_builder["runs_functions"] = any(map(_runs_functions, parts))
        return super().of(graph, router=router)

    @property
    @override
    def runs_functions(self) -> bool:
        found: bool = getattr(self.builder, "runs_functions", True)
        return found

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Any:
        # Every further argument is one of the engine's.
        found = None if more else self._unobserved(input, config)
        if found is None:
            return await super().ainvoke(input, config, **more)
        plan, merged = found
        asked, private = self._read(input, config, None)
        with untraced_where(private, merged) as own:
            return await awalk(plan, asked, own)

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Any:
        found = None if more else self._unobserved(input, config)
        if found is None:
            return super().invoke(input, config, **more)
        plan, merged = found
        asked, private = self._read(input, config, None)
        with untraced_where(private, merged) as own:
            return walk(plan, asked, own)

    def _unobserved(
        self, asked: object, config: RunnableConfig | None
    ) -> tuple[WalkPlan, RunnableConfig] | None:
        """How to walk, with the run's whole configuration, unless the engine would be missed."""
        plan: WalkPlan | None = getattr(self.builder, "walk_plan", None)
        bound = self.config or {}
        if plan is None or not isinstance(asked, dict) or not binds_choices_only(bound):
            return None
        if remembers_or_pauses(self) or self.store is not None or self.cache is not None:
            return None
        around = RUNNING_CONFIG.get()
        if around is not None and is_inside_a_graph(around):
            found = unobserved_config(around, bound, config)
        else:
            found = None if self.runs_functions else _as_of_an_engine(alone_config(bound, config))
        # How many nodes may run at once is the engine's to see to.
        return None if found is None or found.get("max_concurrency") else (plan, found)


def _is_special(part: object) -> bool:
    """Whether what a graph asks would tell which engine is around it."""
    if isinstance(part, PrivateRuns):
        return remembers_or_pauses(part) or not binds_choices_only(part.config or {})
    # Any other graph may command the one around it.
    is_foreign = isinstance(part, PregelProtocol) and not isinstance(part, StandInGraph)
    return is_foreign or bool(getattr(part, "callbacks", None))


def _runs_functions(part: object) -> bool:
    """Whether functions of the application run in what a graph's nodes call."""
    found: bool = part is not None and getattr(part, "runs_functions", True)
    return found


def _as_of_an_engine(config: RunnableConfig | None) -> RunnableConfig | None:
    """With what the nodes of a graph, and the graphs in them, find in every configuration."""
    if config is None:
        return None
    runtime: Runtime[None] = Runtime(stream_writer=no_writer, control=RunControl())
    configurable = {**config.get("configurable", {}), RUNTIME_KEY: runtime}
    return {**config, "configurable": configurable, "recursion_limit": RECURSION_LIMIT}
