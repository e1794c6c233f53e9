"""The compiled router, which also continues a run that began on another chain of providers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint
from typing_extensions import Unpack, override

from aegis_graph.request.choices import RouterContext
from aegis_graph.routing.hosts.host import HostCheck, bound_choices
from aegis_graph.routing.hosts.langchain_internals import (
    CHECKPOINTER_KEY,
    DURABILITY_KEY,
    RECURSION_LIMIT,
)
from aegis_graph.routing.hosts.private_runs import PrivateRuns
from aegis_graph.routing.route import asked_again
from aegis_graph.routing.state import RouterInput, RouterOutput, RouterState
from aegis_graph.routing.tracing.watched_runs import watched_stream, watched_stream_sync
from aegis_graph.telemetry.telemetry import Telemetry
from aegis_graph.types import DEFAULT_SENSITIVITY

_EDGE = "branch:to:"
"""How LangGraph begins the name of the channel that says which node is next."""

_ACCEPT = f"{_EDGE}accept"
_BUDGET_CHECK, _RECORD_COST = f"{_EDGE}budget_check", f"{_EDGE}record_cost"
_MEMORY = frozenset({CHECKPOINTER_KEY, DURABILITY_KEY})


class CompiledRouter(PrivateRuns[RouterState, RouterContext, RouterInput, RouterOutput]):
    """A compiled routing graph, as ``create_router`` returns it.

    Example:
        >>> def add_router(host: StateGraph, router: Router) -> None:
        ...     host.add_node("llm", router)
    """

    def with_options(self, **choices: Unpack[RouterContext]) -> Self:
        """The same router with choices for every request, also where a host's state has no key.

        The strictest sensitivity and the smallest envelope, price and time of all that speak count;
        and all of their tags; a bound model or list of providers can be narrowed and not replaced;
        of the other choices what the request itself says.

        Args:
            **choices: ``task``, ``sensitivity``, ``user_id``, ``run_id``, ``max_cost_usd`` (USD, as
                decimal text), ``max_output_tokens``, ``tags``, ``model``, ``providers``,
                ``timeout_s`` (in seconds), ``max_price_usd`` (USD), ``order`` and
                ``hedge_after_s``, as in the state.

        Raises:
            InvalidRequestError: One of them is unknown, or wrong.

        Example:
            >>> from aegis_graph import RouterConfig, create_router
            >>> private = create_router(RouterConfig()).with_options(sensitivity="pii")
        """
        names = getattr(self.builder, "provider_names", None)
        return self.with_config(bound_choices(self.config or {}, choices, names))

    @override
    def stream(
        self, input: Any, config: RunnableConfig | None = None, **more: Any
    ) -> Iterator[Any]:
        self._check_input(input, config)
        stream, own = super().stream, self._of_own_steps(config)
        watching = self._watching
        if watching is None:
            return stream(input, own, **more)
        return watched_stream_sync(lambda: stream(input, own, **more), watching)

    @override
    def astream(
        self, input: Any, config: RunnableConfig | None = None, **more: Any
    ) -> AsyncIterator[Any]:
        self._check_input(input, config)
        stream, own = super().astream, self._of_own_steps(config)
        watching = self._watching
        if watching is None:
            return stream(input, own, **more)
        return watched_stream(lambda: stream(input, own, **more), watching)

    @property
    @override
    def default_sensitivity(self) -> str:
        return getattr(self.builder, "default_sensitivity", DEFAULT_SENSITIVITY)

    @property
    def _watching(self) -> Telemetry | None:
        """The router's telemetry, where a request would be seen by anything."""
        telemetry: Telemetry | None = getattr(self.builder, "telemetry", None)
        return telemetry if telemetry is not None and telemetry.is_on() else None

    def _check_input(self, asked: object, config: RunnableConfig | None) -> None:
        # On the builder, because every copy of a compiled graph is made from its fields.
        check: HostCheck | None = getattr(self.builder, "host_check", None)
        if check is not None:
            check.check(asked, self.config, config)

    def _of_own_steps(self, config: RunnableConfig | None) -> RunnableConfig:
        # A limit is there for graphs that go in circles. A request's way ends by itself, and one
        # that ended at the limit of its host's steps would lose an answer that is paid. LangGraph
        # passes over its default itself, where a run around this one has another.
        return {
            **(self._without_host_memory(config) or {}),
            "recursion_limit": int(RECURSION_LIMIT),
        }

    def _without_host_memory(self, config: RunnableConfig | None) -> RunnableConfig | None:
        # A graph without a checkpointer in a host that runs with ``durability="sync"`` would wait
        # for a checkpoint that it never writes, and fail; only the host has something to keep. Nor
        # may the nodes take the host's checkpointer for one that keeps what they were answered.
        configurable = (config or {}).get("configurable") or {}
        if config is None or self.checkpointer is not False or not _MEMORY & configurable.keys():
            return config
        kept = {key: value for key, value in configurable.items() if key not in _MEMORY}
        return {**config, "configurable": kept}

    @override
    def _migrate_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Lead a run whose next provider was removed back to ``budget_check``.

        So is a request that ended without an answer: a run that is resumed asks again. An
        answer for which there is no check any more goes to ``record_cost``. LangGraph asks each
        graph to read older checkpoints as its own; without this, such a run has no next node and
        ends without an answer.
        """
        super()._migrate_checkpoint(checkpoint)
        values, versions = checkpoint["channel_values"], checkpoint["channel_versions"]
        for edge in [name for name in values if name.startswith((f"{_EDGE}attempt_", _ACCEPT))]:
            if edge.removeprefix(_EDGE) not in self.nodes:
                instead = f"{_EDGE}{'record_cost' if edge == _ACCEPT else 'budget_check'}"
                values[instead] = values.pop(edge)
                versions[instead] = versions.pop(edge)
                # LangGraph looks only at the channels that are named here, where any is.
                checkpoint["updated_channels"] = None
        if _ended_without_answer(values):
            values["route"] = asked_again(values["route"])
            values[_BUDGET_CHECK] = values.pop(_RECORD_COST)
            versions[_BUDGET_CHECK] = versions.pop(_RECORD_COST)
            checkpoint["updated_channels"] = None


def _ended_without_answer(values: Mapping[str, Any]) -> bool:
    route = values.get("route")
    # What went out before it broke off is not said a second time.
    ended = _RECORD_COST in values and "answer" not in values
    return ended and route is not None and route["broken_off"] is None
