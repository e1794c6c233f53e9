"""The compiled router, which runs its nodes without an engine where nothing observes the run.

A plain ``invoke`` or ``ainvoke`` goes from node to node as ``walk`` does it. Whatever could tell
the difference (a stream, a checkpointer, a callback, a tracer, an interrupt) gets LangGraph's
engine. So it is inside a host graph, as ``host_runs`` says.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Self, cast

from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import merge_configs
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import override

from aegis_graph.concurrency.portal import Node
from aegis_graph.request.choices import refuse_misspelt
from aegis_graph.routing.application.hooks import RouterHooks
from aegis_graph.routing.compiled_router import CompiledRouter
from aegis_graph.routing.hosts.host_runs import (
    alone_config,
    binds_choices_only,
    is_inside_a_graph,
    remembers_or_pauses,
    unobserved_config,
)
from aegis_graph.routing.hosts.langchain_internals import RECURSION_LIMIT, RUNNING_CONFIG
from aegis_graph.routing.hosts.private_runs import untraced_where
from aegis_graph.routing.state import RouterInput
from aegis_graph.routing.tracing.watched_runs import watched_run
from aegis_graph.routing.walking.direct_run import DIRECT_RUN, DirectRun
from aegis_graph.routing.walking.walk import FirstStep, WalkPlan, awalk

_INPUT_KEYS = frozenset(RouterInput.__annotations__)


class FastPathGraph(CompiledRouter):
    """A compiled router that runs a plain request without LangGraph's engine."""

    @classmethod
    @override
    def of(cls, graph: CompiledStateGraph[Any, Any, Any, Any], *, router: object = None) -> Self:
        vars(graph.builder)["walk_plan"] = WalkPlan.of(graph)
        return super().of(graph, router=router)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Any:
        # Every further argument is one of the engine's.
        merged = None if more else self._fast_path_config(input, config)
        if merged is None:
            return await super().ainvoke(input, config, **more)
        with untraced_where(self.is_private(input, config), merged) as own:
            return await self._run(input, own)

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Any:
        merged = None if more else self._fast_path_config(input, config)
        if merged is None:
            return super().invoke(input, config, **more)
        portal = cast(Node, self._plan.nodes["budget_check"]).portal
        with untraced_where(self.is_private(input, config), merged) as own:
            return portal.run(lambda: self._run(input, own))

    async def ainvoke_begun(
        self, asked: dict[str, Any], config: RunnableConfig | None, begin: FirstStep
    ) -> dict[str, Any]:
        """Run a request whose first attempt was made elsewhere, without the engine.

        Args:
            asked: The request.
            config: Of the run.
            begin: Makes the first step, in place of ``budget_check``.
        """
        bound = self.config or {}
        merged = ensure_config(merge_configs(bound, config) if bound else config)
        with untraced_where(self.is_private(asked, config), merged) as own:
            return await self._run(asked, own, begin)

    def _fast_path_config(self, asked: Any, config: RunnableConfig | None) -> RunnableConfig | None:
        """The run's whole configuration, or ``None`` where a missing engine would be noticed."""
        bound = self.config or {}
        if not (_is_plain(asked) and binds_choices_only(bound)) or remembers_or_pauses(self):
            return None
        around = RUNNING_CONFIG.get()
        if around is not None and is_inside_a_graph(around):
            return self._config_in_host(asked, around, config)
        if not asked.keys() <= _INPUT_KEYS:
            # The engine drops what is no key of ours, unless it is one that is misspelt.
            self._check_input(asked, config)
            refuse_misspelt("the request", asked, tuple(_INPUT_KEYS))
        return alone_config(bound, config)

    def _config_in_host(
        self, asked: Any, around: RunnableConfig, config: RunnableConfig | None
    ) -> RunnableConfig | None:
        own = config
        if self.checkpointer is False and not self.runs_functions:
            around = self._without_host_memory(around) or {}
            own = around if config is RUNNING_CONFIG.get() else self._without_host_memory(config)
        found = unobserved_config(around, self.config or {}, own)
        if found is None:
            return None
        self._check_input(asked, config)
        return {**found, "recursion_limit": RECURSION_LIMIT}

    @property
    @override
    def runs_functions(self) -> bool:
        """Whether the application's own functions run in its nodes, which may interrupt a run."""
        hooks, checks = [getattr(self.builder, name, None) for name in ("hooks", "checks")]
        return hooks != RouterHooks() or bool(checks)

    @property
    def _plan(self) -> WalkPlan:
        # On the builder, because every copy of a compiled graph is made from its fields.
        plan: WalkPlan = vars(self.builder)["walk_plan"]
        return plan

    def _run(
        self, asked: Mapping[str, Any], config: RunnableConfig, begin: FirstStep | None = None
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        # What begins elsewhere was not looked at for callbacks.
        beside = {DIRECT_RUN: DirectRun(is_heard=begin is not None)}
        run, watching = awalk(self._plan, asked, config, begin=begin, beside=beside), self._watching
        return run if watching is None else watched_run(run, watching)


def _is_plain(asked: object) -> bool:
    """Whether it has messages in the form that channels take without a second look."""
    return isinstance(asked, dict) and type(asked.get("messages")) is list
