"""Names of LangChain and LangGraph that are not public, and that the package cannot do without.

Everything else takes them from here. A release may move or change them, so each has a test of what
it is used for.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from langchain_core.runnables.config import var_child_runnable_config as RUNNING_CONFIG
from langchain_core.tracers._streaming import _StreamingCallbackHandler as StreamingHandler
from langgraph.pregel._messages import StreamMessagesHandler as MessageStreamHandler

__all__ = ["RUNNING_CONFIG", "MessageStreamHandler", "StreamingHandler", "ambient_callbacks"]


def ambient_callbacks() -> list[ContextVar[Any]]:
    """The context variables from which LangChain takes callbacks that no configuration names."""
    # LangChain loads these with the first call, because they take 130 ms.
    from langchain_core.tracers.context import (  # noqa: PLC0415
        _configure_hooks,
        tracing_v2_callback_var,
    )

    return [*(hook[0] for hook in _configure_hooks), tracing_v2_callback_var]
