"""Hears an answer while it is being given: on the running loop, or from a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

from langchain_core.callbacks.manager import BaseRunManager
from langchain_core.tracers._streaming import _StreamingCallbackHandler
from langgraph.pregel._messages import StreamMessagesHandler

from aegis_graph.chat.chunks import Heard, Result
from aegis_graph.routing.observer import Discarded, Spoken


async def hear(
    heard: asyncio.Queue[Heard | None], ask: Coroutine[Any, Any, Result]
) -> AsyncGenerator[Heard | Result, None]:
    """What is said as it is said, then the router's output.

    Args:
        heard: Where the listener puts what it hears.
        ask: Asks the router. It is cancelled when nobody wants to hear any more.

    Raises:
        AegisError: What the router raises.
    """
    asking = asyncio.ensure_future(ask)
    asking.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        while (item := await heard.get()) is not None:
            yield item
        yield asking.result()
    finally:
        if not asking.done():
            # What was said so far is settled before this ends, and nothing stays held.
            asking.cancel()
            await asyncio.wait([asking])


def hear_sync(
    heard: SimpleQueue[Any], ask: Callable[[], Result], abandon: Callable[[], None]
) -> Generator[Heard | Result, None, None]:
    """The same for callers without a loop.

    Args:
        heard: Where the listener puts what it hears.
        ask: Asks the router, and waits.
        abandon: Ends that waiting, because nobody wants to hear any more.

    Raises:
        AegisError: What the router raises.
    """

    def work() -> None:
        try:
            heard.put(ask())
        except BaseException as error:  # noqa: BLE001  raised again by the reader
            heard.put(error)

    # A thread of its own, not of a pool: it waits for the portal, which waits for nobody.
    context = copy_context()
    asking = threading.Thread(target=lambda: context.run(work), name="aegis-stream", daemon=True)
    asking.start()
    try:
        while isinstance(item := heard.get(), Spoken | Discarded):
            yield item
        if isinstance(item, BaseException):
            raise item
        yield item
    finally:
        abandon()
        asking.join()


def is_watched(run: BaseRunManager | None) -> bool:
    """Whether a callback wants to be told each piece of an answer that is asked for whole.

    LangGraph's own is shown the attempts' pieces, and not those of the chat model.
    """
    return run is not None and any(
        isinstance(one, _StreamingCallbackHandler) and not isinstance(one, StreamMessagesHandler)
        for one in run.handlers
    )
