"""Names of LangChain and LangGraph that are not public, and that the package cannot do without.

Everything else takes them from here. A release may move or change them, so each has a test of what
it is used for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

from langchain_core.language_models._utils import _normalize_messages as normalize_messages
from langchain_core.runnables.config import var_child_runnable_config as RUNNING_CONFIG
from langchain_core.tracers._streaming import _StreamingCallbackHandler as StreamingHandler
from langchain_core.tracers._streaming import _V2StreamingCallbackHandler as EventStreamingHandler
from langgraph._internal._config import DEFAULT_RECURSION_LIMIT as RECURSION_LIMIT
from langgraph._internal._constants import CONFIG_KEY_CALL as CALL_KEY
from langgraph._internal._constants import CONFIG_KEY_CHECKPOINTER as CHECKPOINTER_KEY
from langgraph._internal._constants import CONFIG_KEY_DURABILITY as DURABILITY_KEY
from langgraph._internal._constants import CONFIG_KEY_READ as READ_KEY
from langgraph._internal._constants import CONFIG_KEY_RUNTIME as RUNTIME_KEY
from langgraph._internal._constants import CONFIG_KEY_SCRATCHPAD as SCRATCHPAD_KEY
from langgraph._internal._constants import CONFIG_KEY_SEND as SEND_KEY
from langgraph._internal._constants import CONFIG_KEY_TASK_ID as TASK_ID_KEY
from langgraph.pregel._messages import StreamMessagesHandler as MessageStreamHandler

__all__ = [
    "CALL_KEY",
    "CHECKPOINTER_KEY",
    "DURABILITY_KEY",
    "READ_KEY",
    "RECURSION_LIMIT",
    "RUNNING_CONFIG",
    "RUNTIME_KEY",
    "SCRATCHPAD_KEY",
    "SEND_KEY",
    "TASK_ID_KEY",
    "EventStreamingHandler",
    "MessageStreamHandler",
    "StreamingHandler",
    "ambient_callbacks",
    "channels_around",
    "normalize_messages",
]


def ambient_callbacks() -> list[ContextVar[Any]]:
    """The context variables from which LangChain takes callbacks that no configuration names."""
    # LangChain loads these with the first call, because they take 130 ms.
    from langchain_core.tracers.context import (  # noqa: PLC0415
        _configure_hooks,
        tracing_v2_callback_var,
    )

    return [*(hook[0] for hook in _configure_hooks), tracing_v2_callback_var]


def channels_around(configurable: Mapping[str, Any]) -> Collection[str] | None:
    """The keys of the state of the graph in which a node runs; ``None`` outside of a graph."""
    read = configurable.get(READ_KEY)
    # LangGraph binds the scratchpad and the channels, in this order.
    if not isinstance(read, partial) or len(read.args) < 2 or not isinstance(read.args[1], Mapping):
        return None
    return read.args[1].keys()
