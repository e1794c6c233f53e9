"""Who hears a request while it is answered: the chat model, where the router is called through it.

A listener is a live object of one run. So it travels in the run's configuration, as callbacks do,
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

LISTENER = "__aegis_listener"
"""Key in ``configurable``. LangGraph leaves keys with this beginning out of what it stores."""


class Spoken(NamedTuple):
    """A piece of an answer."""

    chunk: AIMessageChunk


class Discarded(NamedTuple):
    """All pieces of an attempt so far are void: it broke off."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What the caller of one request wants to know of it, and when."""

    hear: Callable[[Spoken | Discarded], None] | None = None
    """Called on the loop of the attempt, for each piece; ``None`` for callers who wait for the
    whole answer."""
    ends_when_broken_off: bool = False
    """Whether an attempt that breaks off after its first piece ends the request."""
    problem: Callable[[Any], str | None] | None = None
    """Says where the value of an answer does not fit the caller's own idea of the schema."""
    quiet: bool = False
    """Whether a host that streams messages is shown nothing of this request."""
    thread_id: str | None = None
    """The conversation, where the run does not say it itself."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Of the node in which the chat model was called: a host streams the pieces as that node's."""

    _calls: list[asyncio.Task[Any]] = field(default_factory=list)
    _abandoned: threading.Event = field(default_factory=threading.Event)

    def began(self, call: asyncio.Task[Any]) -> None:
        """A call to a provider begins in a task.

        Raises:
            CancelledError: Nobody listens any more.
        """
        self._calls.append(call)
        if self._abandoned.is_set():
            raise asyncio.CancelledError

    def abandon(self) -> None:
        """End the call that runs, if any, and let no other begin. From any thread."""
        self._abandoned.set()
        for call in self._calls:
            if not call.done():
                call.get_loop().call_soon_threadsafe(call.cancel)

    def callbacks(self, config: RunnableConfig) -> AsyncCallbackManager:
        """The callbacks with which a provider's model is called in this run.

        To everybody but the listener the chat model's own run is the one that there is: a second
        one below it would be counted and shown twice. A host that streams messages is the
        exception: it is shown the attempt's pieces, under the metadata of its own node, because
        only these say whose they are; the chat model's own run is tagged ``nostream``.
        """
        manager = get_async_callback_manager_for_config(config)
        shown = [
            one for one in manager.handlers if type(one) is StreamMessagesHandler and not self.quiet
        ]
        return AsyncCallbackManager(handlers=[*shown], parent_run_id=manager.parent_run_id)


def listener_in(config: RunnableConfig) -> Listener | None:
    """The listener of a run, if it has one."""
    found = (config.get("configurable") or {}).get(LISTENER)
    return found if isinstance(found, Listener) else None


def with_listener(config: RunnableConfig, listener: Listener) -> RunnableConfig:
    """A configuration in which a listener travels."""
    own = {} if listener.thread_id is None else {"thread_id": listener.thread_id}
    return {**config, "configurable": {**own, **config.get("configurable", {}), LISTENER: listener}}


def with_handler(callbacks: Callbacks, handler: BaseCallbackHandler) -> Callbacks:
    """A run's callbacks and one more, for what is called with them and nothing else."""
    if callbacks is None or isinstance(callbacks, list):
        return [*(callbacks or []), handler]
    manager = callbacks.copy()
    manager.add_handler(handler)
    return manager


@contextmanager
def alone(listener: Listener | None) -> Iterator[None]:
    """Keep the callbacks that LangChain takes from its surroundings out of a call.

    A tracer is one, and ``get_usage_metadata_callback``: they see the chat model's own run
    already, and would count the provider's once more.
    """
    if listener is None:
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
