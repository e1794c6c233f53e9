"""What the caller of a request gets of it while it runs, and what others are not shown of it.

An observer is a live object of one run. So it travels in the run's configuration, as callbacks do,
and never in the state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from traceback import walk_tb
from typing import Any, NamedTuple

from langchain_core.callbacks import (
    AsyncCallbackManager,
    BaseCallbackHandler,
    BaseCallbackManager,
    Callbacks,
)
from langchain_core.callbacks.manager import BaseRunManager, ahandle_event
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import get_async_callback_manager_for_config

from aegis_graph.routing.events import stream_writer
from aegis_graph.routing.hosts.langchain_internals import (
    EventStreamingHandler,
    MessageStreamHandler,
    StreamingHandler,
    ambient_callbacks,
)
from aegis_graph.routing.stream_recorder import StreamRecorder
from aegis_graph.routing.tracing.span_makers import makes_spans
from aegis_graph.telemetry.suppression import suppressed_instrumentation

OBSERVER = "__aegis_observer"
"""Key in ``configurable``. LangGraph leaves keys with this beginning out of what it stores."""

_TELLERS = frozenset({ahandle_event.__module__, StreamRecorder.__module__})
"""Modules that call callbacks."""
# The first is one of the second, which is a protocol: Python looks at each of its members.
_STREAMING = (MessageStreamHandler, StreamingHandler, EventStreamingHandler)


class ChunkEvent(NamedTuple):
    """A piece of an answer arrived."""

    chunk: AIMessageChunk
    provider: str
    """That gives the answer."""
    model: str
    route_id: str


class AttemptDiscarded(NamedTuple):
    """An attempt broke off: all its pieces so far are void."""

    payload: Mapping[str, Any]
    """The router's ``attempt_discarded`` event."""


StreamEvent = ChunkEvent | AttemptDiscarded
"""What happens to an answer while a provider gives it."""


@dataclass(slots=True)
class _Calls:
    """The calls of a request, which every observer of it shares."""

    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunObserver:
    """What the caller of one request wants of it while it runs."""

    keep: Callable[[AIMessage], None] | None = None
    """Called once, with the complete answer, before the ledger has its cost: a process that is
    killed has then either kept the answer, or left a hold that counts as spent. What it raises ends
    the request, whose cost is settled all the same."""
    on_event: Callable[[StreamEvent], None] | None = None
    """Called on the loop of the attempt, for each piece; ``None`` for callers that wait for the
    whole answer."""
    ends_on_interrupt: bool = False
    """Whether an attempt that breaks off after its first piece ends the request."""
    find_problem: Callable[[Any], str | None] | None = None
    """Returns where the value of an answer does not fit the caller's own form of the schema."""
    has_own_run: bool = False
    """Whether callbacks see the request as a run of the caller's, as they do a chat model's. They
    do not see the attempts then: these would be counted and shown a second time."""
    run: BaseRunManager | None = None
    """That run, below which tracers are shown the attempts."""
    hidden: bool = False
    """Whether a host that streams messages is shown nothing of such a request."""
    thread_id: str | None = None
    """The conversation, where the run's configuration names none."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Of the node in which the chat model was called: a host streams the pieces as that node's."""

    _calls: _Calls = field(default_factory=_Calls)

    def call_started(self, call: asyncio.Task[Any]) -> None:
        """Take note of the task in which a call to a provider begins.

        Raises:
            CancelledError: The caller has stopped waiting.
        """
        # ``cancel`` sets first and looks second, this the other way round: a race leaves no gap.
        self._calls.tasks.append(call)
        if self._calls.is_cancelled:
            raise asyncio.CancelledError

    def cancel(self) -> None:
        """End the call that runs, if any, and let no other begin. From any thread."""
        self._calls.is_cancelled = True
        for call in self._calls.tasks:
            if not call.done():
                call.get_loop().call_soon_threadsafe(call.cancel)

    def streams(self, config: RunnableConfig) -> bool:
        """Whether the pieces of answers go to the caller, or to a host that streams messages."""
        if self.on_event is not None:
            return True
        callbacks = config.get("callbacks")
        handlers = callbacks.handlers if isinstance(callbacks, BaseCallbackManager) else callbacks
        # Of the others LangChain makes the caller's own run stream, and not the attempts.
        wanted = (MessageStreamHandler,) if self.has_own_run else _STREAMING
        return not self.hidden and any(isinstance(one, wanted) for one in handlers or ())

    def callbacks(self, config: RunnableConfig) -> AsyncCallbackManager:
        """The callbacks with which a provider's model is called where the caller has its own run.

        Only a host that streams messages is left: it is shown the attempt's pieces, under the
        metadata of its own node, because these alone say which node they belong to. The caller's
        own run is tagged ``nostream``.
        """
        manager = get_async_callback_manager_for_config(config)
        shown: list[BaseCallbackHandler] = []
        if not self.hidden:
            shown += [one for one in manager.handlers if type(one) is MessageStreamHandler]
        return AsyncCallbackManager(handlers=shown, parent_run_id=manager.parent_run_id)


def observer_in(config: RunnableConfig) -> RunObserver:
    """The observer of a run; one that observes nothing where there is none."""
    found = (config.get("configurable") or {}).get(OBSERVER)
    return found if isinstance(found, RunObserver) else RunObserver()


def with_observer(observer: RunObserver, config: RunnableConfig | None = None) -> RunnableConfig:
    """The running configuration, and what another one has beside it, with an observer in it."""
    # A ``configurable`` of one's own replaces the running one, which says what graph runs around.
    merged = ensure_config(config)
    own = {} if observer.thread_id is None else {"thread_id": observer.thread_id}
    return {**merged, "configurable": {**own, **merged["configurable"], OBSERVER: observer}}


def keep_answer(answer: AIMessage, config: RunnableConfig) -> None:
    """Hand the answer over; its cost is settled after this node, with nothing awaited before."""
    keep = observer_in(config).keep
    if keep is not None:
        keep(answer)


def retract(observer: RunObserver, event: Mapping[str, Any]) -> bool:
    """Say that the pieces of an attempt are void; whether that ends the request.

    Args:
        observer: What the caller wants of the request.
        event: The router's ``attempt_discarded`` event.
    """
    stream_writer()(event)
    if observer.on_event is None:
        return False
    observer.on_event(AttemptDiscarded(event))
    return observer.ends_on_interrupt


def with_handler(callbacks: Callbacks, handler: BaseCallbackHandler) -> Callbacks:
    """A run's callbacks and one more, for what is called with them and nothing else."""
    if callbacks is None or isinstance(callbacks, list):
        return [*(callbacks or []), handler]
    manager = callbacks.copy()
    manager.add_handler(handler)
    return manager


def without_ambient_callbacks(observer: RunObserver) -> AbstractContextManager[None]:
    """Keep the callbacks that LangChain takes from its surroundings out of a call.

    A tracer is one, and ``get_usage_metadata_callback``. Where the caller has its own run, they see
    that run already, and would count the provider's once more; elsewhere they stay.
    """
    return _silenced(observer) if observer.has_own_run else nullcontext()


@contextmanager
def _silenced(observer: RunObserver) -> Iterator[None]:
    # LangChain loads it with the first call, as it does the variables.
    from langsmith.run_helpers import tracing_context  # noqa: PLC0415

    tokens = [(variable, variable.set(None)) for variable in ambient_callbacks()]
    # Some of them come with every manager of callbacks that is made, and can only be silenced.
    seen = observer.run is not None and any(map(makes_spans, observer.run.handlers))
    try:
        with (
            tracing_context(enabled=False),
            suppressed_instrumentation() if seen else nullcontext(),
        ):
            yield
    finally:
        for variable, token in tokens:
            variable.reset(token)


def raised_by_callback(error: Exception) -> bool:
    """Whether the application's own callback failed, which says nothing about the provider."""
    # It is raised through the model's own call, so only the traceback tells it apart.
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__") in _TELLERS for frame in frames)
