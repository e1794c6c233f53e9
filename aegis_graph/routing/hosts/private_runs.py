"""Requests that stay on local providers leave nothing of themselves with tracers.

A tracer is a callback handler that sends runs, with what went in and what came out, to a server of
its own. Where a graph or a model is asked something private, it runs without any.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    ExitStack,
    aclosing,
    closing,
    contextmanager,
    nullcontext,
)
from typing import Any, Self, TypeVar

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager, Callbacks
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.typing import ContextT, InputT, OutputT, StateT
from typing_extensions import override

from aegis_graph.request.choices import refuse_misspelt, strictest
from aegis_graph.routing.hosts.host import choices_around, choices_of_context, configurable_of
from aegis_graph.routing.hosts.langchain_internals import (
    RUNNING_CONFIG,
    StreamingHandler,
    ambient_callbacks,
)
from aegis_graph.telemetry.suppression import suppressed_instrumentation
from aegis_graph.types import DEFAULT_SENSITIVITY, LOCAL_ONLY, SENSITIVITIES

Piece = TypeVar("Piece")

_EXPORTERS = frozenset(
    {
        "agentops",
        "comet_llm",
        "ddtrace",
        "deepeval",
        "langfuse",
        "langsmith",
        "langtrace_python_sdk",
        "literalai",
        "lunary",
        "mlflow",
        "newrelic",
        "openinference",
        "openlit",
        "opentelemetry",
        "opik",
        "phoenix",
        "posthog",
        "promptlayer",
        "sentry_sdk",
        "traceloop",
        "wandb",
        "weave",
    }
)
"""Packages whose handlers send runs away without being LangChain's tracers."""

# No set: a level that is no text at all must be found to be none, too.
_PUBLIC = tuple(level for level in SENSITIVITIES if level not in LOCAL_ONLY)


@contextmanager
def untraced(config: RunnableConfig | None = None) -> Iterator[RunnableConfig]:
    """A configuration without tracers, for a block in which none comes from elsewhere either.

    They come from a configuration, from the running one, from the environment, and, with
    OpenTelemetry, from classes that are exchanged: it has a word for not doing it.
    """
    # LangChain loads it with the first call.
    from langsmith.run_helpers import tracing_context  # noqa: PLC0415

    with ExitStack() as stack:
        stack.enter_context(tracing_context(enabled=False, parent=False))
        for variable in ambient_callbacks():
            if is_tracer(variable.get()):
                stack.callback(variable.reset, variable.set(None))
        running = RUNNING_CONFIG.get()
        if running is not None:
            stack.callback(RUNNING_CONFIG.reset, RUNNING_CONFIG.set(_without_tracers(running)))
        stack.enter_context(suppressed_instrumentation())
        yield _without_tracers(config or {})


def untraced_where(private: bool, config: RunnableConfig) -> AbstractContextManager[RunnableConfig]:
    """The configuration for a block that runs untraced where what it does is private."""
    return untraced(config) if private else nullcontext(config)


async def untraced_stream(
    open_stream: Callable[[RunnableConfig], AsyncIterator[Piece]], config: RunnableConfig | None
) -> AsyncIterator[Piece]:
    """The pieces of a stream that runs untraced, while whatever its reader does is traced."""
    with untraced(config) as own:
        stream: Any = open_stream(own)
    async with aclosing(stream):
        while True:
            with untraced():
                try:
                    piece = await anext(stream)
                except StopAsyncIteration:
                    return
            yield piece


def untraced_stream_sync(
    open_stream: Callable[[RunnableConfig], Iterator[Piece]], config: RunnableConfig | None
) -> Iterator[Piece]:
    """The same for synchronous callers."""
    with untraced(config) as own:
        stream: Any = open_stream(own)
    with closing(stream):
        while True:
            with untraced():
                try:
                    piece = next(stream)
                except StopIteration:
                    return
            yield piece


class PrivateRuns(CompiledStateGraph[StateT, ContextT, InputT, OutputT]):
    """A graph that runs untraced where its input is private."""

    @classmethod
    def of(
        cls,
        graph: CompiledStateGraph[StateT, ContextT, InputT, OutputT],
        *,
        router: object = None,
    ) -> Self:
        """The same graph as one of this class, made as every compiled graph's ``copy`` is.

        Args:
            graph: The graph.
            router: The router that the graph asks. What is bound to it, and its default, count for
                the graph's input as well.
        """
        # On the builder, because every copy of a compiled graph is made from its fields.
        vars(graph.builder)["router"] = router
        return cls(**{key: value for key, value in vars(graph).items() if key != "__orig_class__"})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy that asks the same providers and writes to the same ledger."""
        return self.copy()

    @property
    def default_sensitivity(self) -> str:
        """How private an input is that does not say it."""
        return getattr(self._router, "default_sensitivity", DEFAULT_SENSITIVITY)

    @property
    def runs_functions(self) -> bool:
        """Whether functions that are not this package's run in its nodes, for all that is known."""
        return True

    @property
    def _router(self) -> object:
        return getattr(self.builder, "router", None)

    def said_levels(
        self, asked: object, config: RunnableConfig | None = None, context: object = None
    ) -> list[Any]:
        """What each place that may say how private an input is says, where it does.

        Args:
            asked: The input.
            config: The call's configuration; the running one counts beside it.
            context: The call's context.
        """
        around = choices_around({"configurable": configurable_of(self.config, config)})
        places = [choices_of_context(asked), choices_of_context(context), *around]
        levels = [place.get("sensitivity") for place in places]
        bound = getattr(self._router, "said_levels", None)
        return [level for level in levels if level is not None] + (bound({}) if bound else [])

    def is_private(
        self, asked: object, config: RunnableConfig | None = None, context: object = None
    ) -> bool:
        """Whether any place that may say so says that an input is private.

        A run that is resumed counts as private: how private it is stands in its checkpoint.

        Args:
            asked: The input.
            config: The call's configuration; the running one counts beside it.
            context: The call's context.
        """
        if not isinstance(asked, Mapping):
            return True
        levels = self.said_levels(asked, config, context) or [self.default_sensitivity]
        return any(level not in _PUBLIC for level in levels)

    @override
    def astream(
        self, input: Any, config: RunnableConfig | None = None, **more: Any
    ) -> AsyncIterator[Any]:
        input, private = self._read(input, config, more.get("context"))
        if not private:
            return super().astream(input, config, **more)
        stream = super(PrivateRuns, self._without_own_tracers()).astream
        return untraced_stream(lambda own: stream(input, own, **more), config)

    @override
    def stream(
        self, input: Any, config: RunnableConfig | None = None, **more: Any
    ) -> Iterator[Any]:
        input, private = self._read(input, config, more.get("context"))
        if not private:
            return super().stream(input, config, **more)
        stream = super(PrivateRuns, self._without_own_tracers()).stream
        return untraced_stream_sync(lambda own: stream(input, own, **more), config)

    def _read(self, asked: Any, config: RunnableConfig | None, context: object) -> tuple[Any, bool]:
        """The input with the level that counts, and whether it is private.

        It has the level because a retriever or a store asks no router for it.
        """
        if self._router is None or not isinstance(asked, Mapping):
            return asked, self.is_private(asked, config, context)
        # LangGraph drops what a graph's input lacks in silence.
        refuse_misspelt(
            "the request", asked, tuple(self.builder.schemas[self.builder.input_schema])
        )
        levels = self.said_levels(asked, config, context)
        level = strictest(levels, default=self.default_sensitivity)
        return {**asked, "sensitivity": level}, level not in _PUBLIC

    def _without_own_tracers(self) -> Self:
        """The graph itself, or where ``with_config`` gave it tracers, one without them."""
        if not (self.config or {}).get("callbacks"):
            return self
        return self.copy({"config": _without_tracers(self.config or {})})


def asks_privately(router: object, sensitivity: str | None) -> bool:
    """Whether a request of a level is private for a router, which may be bound to another one."""
    # Any other graph than a router of this package says nothing of it.
    ask = getattr(router, "is_private", None)
    if ask is not None:
        return bool(ask({"sensitivity": sensitivity}))
    return (sensitivity or DEFAULT_SENSITIVITY) not in _PUBLIC


def is_tracer(handler: object) -> bool:
    """Whether a callback handler sends runs away; those of streams stay in this process."""
    from langchain_core.tracers.base import (  # noqa: PLC0415  loaded with the first call
        AsyncBaseTracer,
        BaseTracer,
    )

    if isinstance(handler, StreamingHandler):
        return False
    packages = {kind.__module__.partition(".")[0] for kind in type(handler).__mro__}
    return isinstance(handler, BaseTracer | AsyncBaseTracer) or bool(packages & _EXPORTERS)


def _without_tracers(config: RunnableConfig) -> RunnableConfig:
    callbacks = config.get("callbacks")
    return {**config, "callbacks": kept_callbacks(callbacks)} if callbacks else config


def kept_callbacks(callbacks: Callbacks) -> Callbacks:
    """A run's callbacks without its tracers."""
    if not isinstance(callbacks, BaseCallbackManager):
        return [one for one in callbacks or [] if not is_tracer(one)]
    manager = callbacks.copy()
    tracers: list[BaseCallbackHandler] = [one for one in manager.handlers if is_tracer(one)]
    for handler in tracers:
        manager.remove_handler(handler)
    return manager
