"""Nodes that need no task of their own; those that only compute wait for nothing either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from typing_extensions import override


class OwnNode(Runnable[Any, Any]):
    """A node of this package's code alone, which leaves context variables as they are."""


class InlineNode(OwnNode):
    """A node that only computes: an async host runs it on its loop, and not in a thread.

    LangGraph sends each plain function of an async host to a thread, which takes longer than what
    most of them do. Where they go on to is not read from the function: name the destinations.

    Args:
        function: Turns a state into the node's update, in a few milliseconds at most.
        is_short: Whether it takes no longer for this state; else it goes to a thread after all.

    Example:
        >>> InlineNode(str.upper).invoke("ab")
        'AB'
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        is_short: Callable[[Any], bool] = lambda state: True,
    ) -> None:
        self._function = function
        self._is_short = is_short

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return self._function(input)

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        if self._is_short(input):
            return self._function(input)
        return await asyncio.to_thread(self._function, input)
