"""Whether anything would notice that a graph of this package runs without LangGraph's engine.

LangGraph hands a node all that a graph inside it could report to: the host's checkpointer, its
streams, its callbacks. Where there is none of these, and nothing else that is not known here, the
graph's nodes can be run one after the other in the task of the host's node. A router that is made
without a checkpointer of any kind keeps nothing in the host's either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, cast

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackManager
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import DEFAULT_RECURSION_LIMIT, merge_configs
from langgraph.errors import ErrorCode, GraphDrained, GraphRecursionError, create_error_message
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import RunControl, Runtime

from aegis_graph.routing.events import no_writer
from aegis_graph.routing.hosts.host import BOUND
from aegis_graph.routing.hosts.langchain_internals import (
    CALL_KEY,
    CHECKPOINTER_KEY,
    READ_KEY,
    RECURSION_LIMIT,
    RUNNING_CONFIG,
    RUNTIME_KEY,
    SCRATCHPAD_KEY,
    SEND_KEY,
    TASK_ID_KEY,
)

_ENGINE_KEY = "__pregel_"
"""How LangGraph's own entries in ``configurable`` begin: they are there inside a run of a graph."""

_OF_EVERY_NODE = frozenset(
    {
        CALL_KEY,
        CHECKPOINTER_KEY,
        READ_KEY,
        RUNTIME_KEY,
        SCRATCHPAD_KEY,
        SEND_KEY,
        TASK_ID_KEY,
    }
)
"""What a node is given in a run that is neither streamed nor resumed."""

_COORDINATES = frozenset({"thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map"})
"""By which a caller addresses another run than the one around it."""


def is_inside_a_graph(config: RunnableConfig) -> bool:
    """Whether a run of a graph has given this configuration to one of its nodes."""
    return any(key.startswith(_ENGINE_KEY) for key in config.get("configurable") or ())


def is_heard(config: RunnableConfig) -> bool:
    """Whether any callback or tracer hears of a run."""
    # ``configure`` also finds the tracers that the environment and the context switch on.
    return bool(AsyncCallbackManager.configure(config.get("callbacks")).handlers)


def _has_handlers(config: RunnableConfig) -> bool:
    callbacks = config.get("callbacks")
    return bool(callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks)


def binds_choices_only(config: RunnableConfig) -> bool:
    """Whether nothing is bound to a graph but what a router's ``with_options`` binds."""
    configurable = config.get("configurable") or {}
    return config.keys() <= {"configurable"} and configurable.keys() <= {BOUND}


def remembers_or_pauses(graph: CompiledStateGraph[Any, Any, Any, Any]) -> bool:
    """Whether a graph was compiled with what only the engine has."""
    return bool(
        graph.checkpointer
        or graph.interrupt_before_nodes
        or graph.interrupt_after_nodes
        or graph.step_timeout
        or graph.debug
    )


def alone_config(bound: RunnableConfig, config: RunnableConfig | None) -> RunnableConfig | None:
    """A run's whole configuration with no host around it, or ``None`` where it is observed.

    Args:
        bound: What is bound to the graph.
        config: The call's.
    """
    merged = ensure_config(merge_configs(bound, config) if bound else config)
    # A limit of the caller's own can end a run, and only the engine counts its steps.
    if merged["recursion_limit"] != DEFAULT_RECURSION_LIMIT or is_inside_a_graph(merged):
        return None
    return None if is_heard(merged) else merged


def unobserved_config(
    around: RunnableConfig, bound: RunnableConfig, config: RunnableConfig | None
) -> RunnableConfig | None:
    """A run's configuration inside a host, or ``None`` where the host would miss the engine.

    Args:
        around: The running configuration, of the host's node.
        bound: What is bound to the graph.
        config: The call's.
    """
    host = around["configurable"]
    said = (config or {}).get("configurable") or {}
    if not _is_the_same_node(host, said) or not _keeps_and_shows_nothing(host):
        return None
    # A node that is the router itself is called with the running configuration.
    merged = around if config is around else ensure_config(config)
    # What the environment and the context switch on would hear of both.
    if is_heard(merged) or _has_handlers(around):
        return None
    # As LangGraph joins them; LangChain would let the last one replace the others.
    joined = {**host, **(bound.get("configurable") or {}), **said}
    runtime = cast("Runtime[Any]", host[RUNTIME_KEY])
    # A host that does not stream its subgraphs is shown no events of theirs.
    joined[RUNTIME_KEY] = runtime.override(stream_writer=no_writer)
    # LangChain would fill in another default than LangGraph.
    limits = [one["recursion_limit"] for one in (config or {}, around) if "recursion_limit" in one]
    steps = limits[0] if limits else RECURSION_LIMIT
    return {**merged, "configurable": joined, "recursion_limit": steps}


def _is_the_same_node(host: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    """Whether a call says of the run around it what this says of itself, or nothing."""
    if not said or said is host:
        return True
    keys = [key for key in {**host, **said} if key.startswith(_ENGINE_KEY) or key in _COORDINATES]
    return all(key in host and key in said and said[key] is host[key] for key in keys)


def _keeps_and_shows_nothing(host: Mapping[str, Any]) -> bool:
    if host.get(CHECKPOINTER_KEY) is not None or not isinstance(host.get(RUNTIME_KEY), Runtime):
        return False
    unknown = [key for key in host.keys() - _OF_EVERY_NODE if host[key] is not None]
    return not any(key.startswith(_ENGINE_KEY) for key in unknown)


class Steps:
    """Ends a run between two of its nodes where the engine would.

    Inside a host, the run is the one around whatever its nodes call, while this is entered.

    Args:
        config: The run's configuration.
    """

    def __init__(self, config: RunnableConfig) -> None:
        runtime = (config.get("configurable") or {}).get(RUNTIME_KEY)
        self._control: RunControl | None = None
        self._around: RunnableConfig | None = None
        self._limit: int = RECURSION_LIMIT
        # Any other configuration than one of ``unobserved_config`` is of a run that stands alone.
        if isinstance(runtime, Runtime) and runtime.stream_writer is no_writer:
            self._around, self._control = config, runtime.control
            self._limit = config["recursion_limit"]
        self._left = self._limit

    def __enter__(self) -> Self:
        """Begin the run."""
        self._token = None if self._around is None else RUNNING_CONFIG.set(self._around)
        return self

    def __exit__(self, *error: object) -> None:
        """End it, however it did."""
        if self._token is not None:
            RUNNING_CONFIG.reset(self._token)

    def begin(self) -> None:
        """Begin the next step.

        Raises:
            GraphRecursionError: There is none left.
            GraphDrained: The host was asked to end.
        """
        self.end()
        if self._control is not None and self._control.drain_requested:
            raise GraphDrained(self._control.drain_reason or "shutdown")
        self._left -= 1

    def end(self) -> None:
        """End the run after its last step; one more must be left, as the engine has it.

        Raises:
            GraphRecursionError: There is none.
        """
        if self._left > 0:
            return
        message = (
            f"Recursion limit of {self._limit} reached without hitting a stop condition. You can"
            " increase the limit by setting the `recursion_limit` config key."
        )
        code = ErrorCode.GRAPH_RECURSION_LIMIT
        raise GraphRecursionError(create_error_message(message=message, error_code=code))
