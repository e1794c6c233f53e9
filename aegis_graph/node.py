"""A graph node with one async body that also serves ``invoke`` and ``stream``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig

from aegis_graph.loops import Portal

Body = Callable[[Any, RunnableConfig], Coroutine[Any, Any, Any]]


class Node(Runnable[Any, Any]):
    """Runs a coroutine function on the caller's loop, or on the portal's for sync callers.

    LangGraph runs a plain coroutine function for async callers only.

    Args:
        body: The node: takes the state and the run's configuration.
        portal: Where sync callers run it.
    """

    def __init__(self, body: Body, portal: Portal) -> None:
        self._body = body
        self._portal = portal

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the body on the portal's loop and wait for it."""
        return self._portal.run(lambda: self._body(input, config or {}))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the body on the running loop."""
        return await self._body(input, config or {})
