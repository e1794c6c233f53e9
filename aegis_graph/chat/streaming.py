"""Gives a chat model's caller the chunks of an answer while a provider still writes it.

Async callers read them on their own loop. For sync callers a thread of its own waits for the
router, and the caller's thread reads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import copy_context
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from langchain_core.callbacks.manager import BaseRunManager

from aegis_graph.chat.chunks import RouterResult
from aegis_graph.routing.hosts.langchain_internals import MessageStreamHandler, StreamingHandler
from aegis_graph.routing.observer import RunObserver, StreamEvent


async def stream_events(
    ask: Callable[[RunObserver], Coroutine[Any, Any, RouterResult]], observer: RunObserver
) -> AsyncGenerator[StreamEvent | RouterResult, None]:
    """Yield the events of a request as they happen, and the router's output last.

    Args:
        ask: Asks the router. It is cancelled when the caller stops reading.
        observer: What else the caller wants to know of the request.

    Raises:
        AegisError: What the router raises.
    """
    events: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
    running = asyncio.ensure_future(ask(replace(observer, on_event=events.put_nowait)))
    # The end comes through the same queue, and so behind the last event.
    running.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        yield running.result()
    finally:
        if not running.done():
            # The chunks that went out are settled before this ends, and nothing stays held.
            running.cancel()
            await asyncio.wait([running])


def stream_events_sync(
    ask: Callable[[RunObserver], RouterResult], observer: RunObserver
) -> Generator[StreamEvent | RouterResult, None, None]:
    """Yield the same for callers without a loop.

    Args:
        ask: Asks the router, and waits. That ends when the caller stops reading.
        observer: What else the caller wants to know of the request.

    Raises:
        AegisError: What the router raises.
    """
    events: SimpleQueue[Any] = SimpleQueue()
    observer = replace(observer, on_event=events.put)

    def work() -> None:
        try:
            events.put(ask(observer))
        except BaseException as error:  # noqa: BLE001  raised again by the reader
            events.put(error)

    # Not of a pool, which could wait on itself: the thread waits for the portal's loop, and that
    # loop waits for no thread.
    context = copy_context()
    thread = threading.Thread(target=lambda: context.run(work), name="aegis-stream", daemon=True)
    thread.start()
    try:
        while isinstance(event := events.get(), StreamEvent):
            yield event
        if isinstance(event, BaseException):
            raise event
        yield event
    finally:
        # As in ``stream_events``: the attempt is settled before the caller goes on.
        observer.cancel()
        thread.join()


def has_streaming_callback(run: BaseRunManager | None) -> bool:
    """Whether a callback asks for each chunk even of an answer that its caller asks for whole.

    LangGraph's own does not count: it gets the attempts' chunks, and not those of the chat model.
    """
    return run is not None and any(
        isinstance(one, StreamingHandler) and not isinstance(one, MessageStreamHandler)
        for one in run.handlers
    )
