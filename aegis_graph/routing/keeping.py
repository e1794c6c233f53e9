"""How the package asks the router for itself: unseen, and keeping what it buys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackManager
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, ensure_config
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.constants import TAG_NOSTREAM
from langgraph.types import StreamMode

from aegis_graph.routing.router import Router
from aegis_graph.routing.state import RouterInput


@contextmanager
def unseen() -> Iterator[RunnableConfig]:
    """The running configuration, for calls whose messages are not for whoever streams messages.

    The tag hides a model's tokens; the router's nodes would still show the whole answer. It is the
    running one inside the block, because LangGraph adds the callbacks of that to those it is given.
    """
    config = ensure_config(RunnableConfig(tags=[TAG_NOSTREAM]))
    callbacks = config.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        config["callbacks"] = callbacks = callbacks.copy()
        for handler in [one for one in callbacks.handlers if _shows_messages(one)]:
            callbacks.remove_handler(handler)
    elif callbacks:
        config["callbacks"] = [one for one in callbacks if not _shows_messages(one)]
    token = var_child_runnable_config.set(config)
    try:
        yield config
    finally:
        var_child_runnable_config.reset(token)


def _shows_messages(handler: object) -> bool:
    # LangGraph has no public name for it.
    return any(kind.__module__ == "langgraph.pregel._messages" for kind in type(handler).__mro__)


async def ask_and_keep(
    router: Router,
    request: Mapping[str, Any],
    config: RunnableConfig,
    *,
    keep: Callable[[AIMessage], None],
) -> dict[str, Any]:
    """Ask the router, and hand the answer over before the ledger has its cost.

    A process that is killed has then either kept the answer, or left an attempt in the ledger whose
    outcome nobody knows.

    Args:
        router: The compiled router.
        request: Its input.
        config: Of the run.
        keep: Called once with a complete answer. What it raises ends the run; the attempt's hold
            is then settled as a call whose outcome is unknown.

    Returns:
        The router's output.
    """
    result: dict[str, Any] = {}
    modes: list[StreamMode] = ["updates", "values"]
    # Between two steps the graph waits for whoever reads its stream.
    stream: AsyncIterator[Any] = router.astream(
        cast(RouterInput, request), config, stream_mode=modes
    )
    async for mode, found in stream:
        if mode == "values":
            result = found
            continue
        answers = [update.get("answer") for update in found.values() if update]
        for answer in answers:
            if answer is not None:
                keep(answer)
    return result
