"""The compiled router, which runs its nodes without an engine where nothing observes the run.

LangGraph's engine spends about half a millisecond and 35 KB on a run of three nodes: tasks,
channels, callbacks and checkpoints of which a plain ``invoke`` or ``ainvoke`` uses none. Such a
call goes from node to node here instead, by the same Commands over the same edges. Whatever could
tell the difference (a stream, a checkpointer, a callback, a tracer, an interrupt) gets the engine.
So it is inside a host graph, as ``host_runs`` says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import DEFAULT_RECURSION_LIMIT, merge_configs
from langgraph.types import Command
from typing_extensions import override

from aegis_graph.concurrency.portal import Node
from aegis_graph.request.choices import refuse_misspelt
from aegis_graph.routing.compiled_router import CompiledRouter
from aegis_graph.routing.direct_run import DIRECT_RUN, DirectRun
from aegis_graph.routing.hooks import RouterHooks
from aegis_graph.routing.host import BOUND
from aegis_graph.routing.host_runs import (
    Steps,
    is_heard,
    is_inside_a_graph,
    unobserved_config,
)
from aegis_graph.routing.langchain_internals import RUNNING_CONFIG
from aegis_graph.routing.private_runs import untraced
from aegis_graph.routing.state import RouterInput, RouterOutput, RouterState, join_messages
from aegis_graph.routing.watched_runs import watched_run

_INPUT_KEYS = frozenset(RouterInput.__annotations__)
_OUTPUT_KEYS = tuple(RouterOutput.__annotations__)
_FORGOTTEN = {"route": None, "answer": None}
"""As the engine's channels do it: these two are there for one step only."""

FirstStep = Callable[[RouterState, RunnableConfig], Awaitable[Command[Any]]]
"""What a run begins with: given its state, it says which node is next."""

_OUTER_RUN_KEYS = frozenset({"run_id", "run_name"})
"""What a configuration says of the graph and not of what runs in it."""


class FastPathGraph(CompiledRouter):
    """A compiled router that runs a plain request without LangGraph's engine."""

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Any:
        # Every further argument is one of the engine's.
        merged = None if more else self._fast_path_config(input, config)
        if merged is None:
            return await super().ainvoke(input, config, **more)
        if not self.is_private(input, config):
            return await self._run(input, merged)
        with untraced(merged) as own:
            return await self._run(input, own)

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **more: Any) -> Any:
        merged = None if more else self._fast_path_config(input, config)
        if merged is None:
            return super().invoke(input, config, **more)
        portal = self._node("budget_check").portal
        if not self.is_private(input, config):
            return portal.run(lambda: self._run(input, merged))
        with untraced(merged) as own:
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
        if not self.is_private(asked, config):
            return await self._run(asked, merged, begin)
        with untraced(merged) as own:
            return await self._run(asked, own, begin)

    def _fast_path_config(self, asked: Any, config: RunnableConfig | None) -> RunnableConfig | None:
        """The run's whole configuration, or ``None`` where a missing engine would be noticed."""
        bound = self.config or {}
        if not _is_plain(asked) or not _binds_choices_only(bound) or self._remembers_or_pauses():
            return None
        around = RUNNING_CONFIG.get()
        if around is not None and is_inside_a_graph(around):
            return self._config_in_host(asked, around, config)
        if not asked.keys() <= _INPUT_KEYS:
            # The engine drops what is no key of ours, unless it is one that is misspelt.
            self._check_input(asked, config)
            refuse_misspelt("the request", asked, tuple(_INPUT_KEYS))
        merged = ensure_config(merge_configs(bound, config) if bound else config)
        return None if _is_observed(merged) else merged

    def _config_in_host(
        self, asked: Any, around: RunnableConfig, config: RunnableConfig | None
    ) -> RunnableConfig | None:
        own = config
        if self.checkpointer is False and not self._runs_functions():
            around = self._without_host_memory(around) or {}
            own = around if config is RUNNING_CONFIG.get() else self._without_host_memory(config)
        found = unobserved_config(around, self.config or {}, own)
        if found is not None:
            self._check_input(asked, config)
        return found

    def _runs_functions(self) -> bool:
        """Whether the application's own functions run in its nodes, which may interrupt a run."""
        hooks, checks = [getattr(self.builder, name, None) for name in ("hooks", "checks")]
        return hooks != RouterHooks() or bool(checks)

    def _node(self, name: str) -> Node:
        return cast(Node, self.builder.nodes[name].runnable)

    def _remembers_or_pauses(self) -> bool:
        return bool(
            self.checkpointer
            or self.interrupt_before_nodes
            or self.interrupt_after_nodes
            or self.step_timeout
            or self.debug
        )

    def _run(
        self, asked: Mapping[str, Any], config: RunnableConfig, begin: FirstStep | None = None
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        run, watching = self._run_nodes(asked, config, begin), self._watching
        return run if watching is None else watched_run(run, watching)

    async def _run_nodes(
        self, asked: Mapping[str, Any], config: RunnableConfig, begin: FirstStep | None
    ) -> dict[str, Any]:
        """Run node after node until one leads nowhere."""
        node_config: Any = {
            key: value for key, value in config.items() if key not in _OUTER_RUN_KEYS
        }
        # The reducer gives messages their ids, as the engine does on input.
        given = {key: value for key, value in asked.items() if key in _INPUT_KEYS}
        messages = join_messages([], asked["messages"])
        # What begins elsewhere was not looked at for callbacks.
        run = DirectRun(is_heard=begin is not None)
        state: dict[str, Any] = {**given, "messages": messages, DIRECT_RUN: run}
        result: Any = Command(goto="budget_check")
        with Steps(node_config) as steps:
            if begin is not None:
                result = await begin(cast(RouterState, state), node_config)
            while isinstance(result, Command):
                steps.begin()
                state = {**state, **_FORGOTTEN, **cast("dict[str, Any]", result.update or {})}
                result = await self._node(cast(str, result.goto)).body(state, node_config)
            steps.end()
        messages = join_messages(state["messages"], result["messages"])
        output = {**state, **result, "messages": messages}
        return {key: output[key] for key in _OUTPUT_KEYS}


def _is_plain(asked: object) -> bool:
    """Whether it has messages in the form that channels take without a second look."""
    return isinstance(asked, dict) and type(asked.get("messages")) is list


def _binds_choices_only(config: RunnableConfig) -> bool:
    """Whether nothing is bound to the router but what ``with_options`` binds."""
    configurable = config.get("configurable") or {}
    return config.keys() <= {"configurable"} and configurable.keys() <= {BOUND}


def _is_observed(config: RunnableConfig) -> bool:
    """Whether LangChain or LangGraph would report the run to anything, or count its steps."""
    # A limit of the caller's own can end a run, and only the engine counts its steps.
    if config["recursion_limit"] != DEFAULT_RECURSION_LIMIT:
        return True
    return is_inside_a_graph(config) or is_heard(config)
