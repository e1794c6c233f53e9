"""How sync callers run async nodes: on one background event loop, which waits for no thread.

LangGraph runs a plain coroutine function for async callers only. A ``Node`` has one async body; for
``invoke`` and ``stream`` it runs on the ``Portal``'s loop while the caller's thread waits.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig
from typing_extensions import override

from aegis_graph.concurrency.forks import reset_in_child

_parents_loops: list[object] = []

T = TypeVar("T")
Body = Callable[[Any, RunnableConfig], Coroutine[Any, Any, Any]]

EXIT_WAIT_S = 5.0
"""How long the interpreter's exit waits for work in flight to be put down, in seconds."""


class Node(Runnable[Any, Any]):
    """Runs a coroutine function on the caller's loop, or on the portal's for sync callers.

    Args:
        body: The node: takes the state and the run's configuration.
        portal: Where sync callers run it.
    """

    def __init__(self, body: Body, portal: Portal) -> None:
        self.body = body
        self.portal = portal

    @override
    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the body on the portal's loop and wait for it."""
        return self.portal.run(lambda: self.body(input, config or {}))

    @override
    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the body on the running loop."""
        return await self.body(input, config or {})


class Portal:
    """One background event loop on which sync callers run coroutines.

    The loop runs on a daemon thread, started by the first caller. Callers wait for their own
    coroutine only, so any number of threads can wait at once, and a caller that is itself inside a
    running loop works too. The caller's context variables reach the coroutine.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        reset_in_child(self, Portal._forget_loop)

    def _forget_loop(self) -> None:
        """In a forked process: the loop's thread is the parent's, and so are its connections."""
        if self._end is not None:
            # Kept without an end: closed here, the loop would wake the parent's through the pipe
            # that both have.
            _parents_loops.append(self._end.detach())
        self._lock, self._loop, self._end = threading.Lock(), None, None

    def close(self) -> None:
        """End the loop, and with it the clients that were opened on it. Use after it begins anew.

        Work that is still under way is cancelled. Not for the loop's own thread.
        """
        with self._lock:
            end, self._end, self._loop = self._end, None, None
        if end is not None:
            end()

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the background loop and return its result.

        Raises:
            BaseException: Whatever the coroutine raises. When the waiting thread is interrupted,
                the coroutine is cancelled and given time to put its work down first.
        """
        done, cancel = self._start(work)
        try:
            return done.result()
        except (KeyboardInterrupt, SystemExit):
            cancel()
            done.exception(timeout=EXIT_WAIT_S)
            raise

    async def arun(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the background loop for an async caller.

        When the caller is cancelled, so is the coroutine, and its end is awaited: it may have work
        to put down.

        Raises:
            BaseException: Whatever the coroutine raises.
        """
        if asyncio.get_running_loop() is self._loop:
            return await work()
        done, cancel = self._start(work)
        waiting = asyncio.wrap_future(done)
        try:
            # Cancelling the future would not stop the coroutine on the other loop.
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            cancel()
            await asyncio.wait([waiting])
            raise

    def _start(
        self, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> tuple[Future[T], Callable[[], None]]:
        """Start a coroutine on the background loop: its outcome, and how to cancel it."""
        loop = self._running_loop()
        done: Future[T] = Future()
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            task = loop.create_task(work())
            tasks.append(task)
            task.add_done_callback(lambda finished: _copy_outcome(finished, done))

        loop.call_soon_threadsafe(start, context=copy_context())

        def cancel() -> None:
            # Behind the start in the loop's queue: by then there is a task.
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])

        return done, cancel

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=_serve, args=(loop,), name="aegis-portal", daemon=True
                )
                thread.start()
                self._end = weakref.finalize(self, _stop, loop, thread)
                self._loop = loop
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        # First the tasks, which settle what they began; then the generators, which close the
        # connections that this takes.
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
    # The last reference to a portal may be dropped on its own thread.
    if thread is not threading.current_thread():
        thread.join(EXIT_WAIT_S)


def _copy_outcome(task: asyncio.Task[T], done: Future[T]) -> None:
    if task.cancelled():
        done.set_exception(CancelledError())
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())
