"""Nodes that sync and async hosts run alike, from one body.

The body of a dual node is written once, as a coroutine function. It awaits nothing but its
``DualCall``, which takes both forms of a function: an async host awaits the one, a sync host runs
the other instead. A node that waits for nothing is an ``InlineNode``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, ensure_config
from typing_extensions import override

from aegis_graph.concurrency.inline_node import OwnNode

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DualCall:
    """Calls one of two forms of a function; what it gives and raises passes through."""

    is_async: bool

    async def __call__(
        self,
        sync: Callable[P, T],
        asynchronous: Callable[P, Awaitable[T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call the form that the host needs."""
        if self.is_async:
            return await asynchronous(*args, **kwargs)
        return sync(*args, **kwargs)


Body = Callable[[Any, Any, RunnableConfig, DualCall], Coroutine[Any, Any, Any]]
"""Takes the target, the node's state, the run's configuration and the call."""


def dual_node(target: Any, body: Body, *, is_own: bool = False) -> Runnable[Any, Any]:
    """Build a node from its one body.

    Args:
        target: What the body calls; a graph is drawn inside the node.
        body: Turns a state into the node's update.
        is_own: Whether it runs code of this package alone, see ``OwnNode``; graphs that it asks
            give each node of their own that does not a task.

    Example:
        >>> async def double(shout, text, config, call):
        ...     return 2 * await call(shout.invoke, shout.ainvoke, text)
        >>> dual_node(RunnableLambda(str.upper), double).invoke("ab")
        'ABAB'
    """

    # LangGraph looks for a subgraph to draw among the variables that these two functions name.
    def run(state: Any, config: RunnableConfig) -> Any:
        return _finish(body(target, state, config, DualCall(is_async=False)))

    async def arun(state: Any, config: RunnableConfig) -> Any:
        return await body(target, state, config, DualCall(is_async=True))

    asynchronous = cast("Callable[[Any], Awaitable[Any]]", arun)
    kind = _OwnDualRunnable if is_own else _DualRunnable
    return kind(run, asynchronous, name=body.__name__.lstrip("_"))


class _DualRunnable(RunnableLambda[Any, Any]):
    """A lambda, because LangGraph looks into one for a subgraph; its node traces it already."""

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return cast(Any, self.func)(input, config or ensure_config())

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return await cast(Any, self.afunc)(input, config or ensure_config())


class _OwnDualRunnable(_DualRunnable, OwnNode):
    pass


def _finish(body: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits, without an event loop: the thread may have one already."""
    try:
        body.send(None)
    except StopIteration as done:
        return done.value
    # Else Python warns that it was never awaited.
    body.close()
    raise RuntimeError("a node's body awaited something else than its call")
