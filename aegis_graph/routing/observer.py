"""What the caller of a request gets of it while it runs, and what it is spared.

An observer is a live object of one run. So it travels in the run's configuration, as callbacks do,
and never in the state.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, Callbacks
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_async_callback_manager_for_config
from langgraph.pregel._messages import StreamMessagesHandler

OBSERVER = "__aegis_observer"
"""Key in ``configurable``. LangGraph leaves keys with this beginning out of what it stores."""


class ChunkEvent(NamedTuple):
    """A piece of an answer arrived."""

    chunk: AIMessageChunk


class AttemptDiscarded(NamedTuple):
    """An attempt broke off: all its pieces so far are void."""

    payload: Mapping[str, Any]
    """The router's ``attempt_discarded`` event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunObserver:
    """What the caller of one request wants to know of it, and when."""

    on_event: Callable[[ChunkEvent | AttemptDiscarded], None] | None = None
    """Called on the loop of the attempt, for each piece; ``None`` for callers that wait for the
    whole answer."""
    ends_on_interrupt: bool = False
    """Whether an attempt that breaks off after its first piece ends the request."""
    find_problem: Callable[[Any], str | None] | None = None
    """Returns where the value of an answer does not fit the caller's own form of the schema."""
    hidden: bool = False
    """Whether a host that streams messages is shown nothing of this request."""
    thread_id: str | None = None
    """The conversation, where the run's configuration names none."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Of the node in which the chat model was called: a host streams the pieces as that node's."""

    _calls: list[asyncio.Task[Any]] = field(default_factory=list)
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def call_started(self, call: asyncio.Task[Any]) -> None:
        """Take note of the task in which a call to a provider begins.

        Raises:
            CancelledError: The caller has stopped waiting.
        """
        self._calls.append(call)
        if self._cancelled.is_set():
            raise asyncio.CancelledError

    def cancel(self) -> None:
        """End the call that runs, if any, and let no other begin. From any thread."""
        self._cancelled.set()
        for call in self._calls:
            if not call.done():
                call.get_loop().call_soon_threadsafe(call.cancel)

    def callbacks(self, config: RunnableConfig) -> AsyncCallbackManager:
        """The callbacks with which a provider's model is called in this run.

        For all other callbacks the chat model's own run is the only one: a second one below it
        would be counted and shown twice. A host that streams messages is the exception: it is shown
        the attempt's pieces, under the metadata of its own node, because only these say which node
        they belong to; the chat model's own run is tagged ``nostream``.
        """
        manager = get_async_callback_manager_for_config(config)
        shown = [
            one
            for one in manager.handlers
            if type(one) is StreamMessagesHandler and not self.hidden
        ]
        return AsyncCallbackManager(handlers=[*shown], parent_run_id=manager.parent_run_id)


def observer_in(config: RunnableConfig) -> RunObserver | None:
    """The observer of a run, if it has one."""
    found = (config.get("configurable") or {}).get(OBSERVER)
    return found if isinstance(found, RunObserver) else None


def with_observer(config: RunnableConfig, observer: RunObserver) -> RunnableConfig:
    """A configuration in which an observer travels."""
    own = {} if observer.thread_id is None else {"thread_id": observer.thread_id}
    return {**config, "configurable": {**own, **config.get("configurable", {}), OBSERVER: observer}}


def with_handler(callbacks: Callbacks, handler: BaseCallbackHandler) -> Callbacks:
    """A run's callbacks and one more, for what is called with them and nothing else."""
    if callbacks is None or isinstance(callbacks, list):
        return [*(callbacks or []), handler]
    manager = callbacks.copy()
    manager.add_handler(handler)
    return manager


@contextmanager
def without_ambient_callbacks(observer: RunObserver | None) -> Iterator[None]:
    """Keep the callbacks that LangChain takes from its surroundings out of a call.

    A tracer is one, and ``get_usage_metadata_callback``: they see the chat model's own run
    already, and would count the provider's once more.
    """
    if observer is None:
        yield
        return
    # LangChain loads these with the first call, because they take 130 ms.
    from langchain_core.tracers.context import (  # noqa: PLC0415
        _configure_hooks,
        tracing_v2_callback_var,
    )
    from langsmith.run_helpers import tracing_context  # noqa: PLC0415

    variables: list[ContextVar[Any]] = [hook[0] for hook in _configure_hooks]
    tokens = [(one, one.set(None)) for one in (*variables, tracing_v2_callback_var)]
    try:
        with tracing_context(enabled=False):
            yield
    finally:
        for variable, token in tokens:
            variable.reset(token)
