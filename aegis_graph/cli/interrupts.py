"""What Ctrl-C does: one line, exit status 130, and a call that runs is settled before."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from aegis_graph.cli import INTERRUPTED

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

SAME_PRESS_S = 0.2
"""Signals that come closer are one key press: ``timeout`` sends two, to a process and its group."""

SETTLE_S = 5.0
"""How long an interrupted command waits for what must still be written to the ledger."""


class InterruptHandler:
    """Handles SIGINT for a process that is one command.

    While modules are imported, and once the command has ended, the process ends at once. Between
    the two the first press is a ``KeyboardInterrupt``, or cancels the coroutine that runs; the
    second ends the process whatever it waits for.
    """

    def __init__(self) -> None:
        self._command_runs = False
        self._cancel: Callable[[], object] | None = None
        self._presses = 0
        self._last = -SAME_PRESS_S

    def __call__(self, *_: object) -> None:
        """Handle a signal."""
        if not self._command_runs:
            leave()
        now = time.monotonic()
        if now - self._last < SAME_PRESS_S:
            return
        self._last = now
        self._presses += 1
        if self._presses > 1:
            leave()
        if self._cancel is None:
            raise KeyboardInterrupt
        self._cancel()

    def command_starts(self) -> None:
        """From here on there may be something to put down."""
        self._command_runs = True

    def command_ended(self) -> None:
        """From here on there is not."""
        self._command_runs = False

    def run(self, runner: asyncio.Runner, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end.

        Raises:
            KeyboardInterrupt: It was cancelled by Ctrl-C, and has put its work down.
        """
        # Not at the top: the handler is there before anything that takes a while.
        import asyncio  # noqa: PLC0415

        async def cancellable() -> T:
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None, "a coroutine of a runner is a task"
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
            with _woken_by_signals(loop):
                return await work

        self._presses = 0
        try:
            return runner.run(cancellable())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            self._cancel = None


def run_async(
    work: Coroutine[Any, Any, T], *, before_leaving: Callable[[], None] | None = None
) -> T:
    """``asyncio.run`` for a command: Ctrl-C cancels it and ends the process.

    Not by unwinding: a thread that waits for a server or for a lock would hold up the end.

    Args:
        work: What the command does.
        before_leaving: Writes down what the cancelled work has left, such as a ledger's ``close``;
            bounded, because a person waits for it.
    """
    import asyncio  # noqa: PLC0415  as above

    handler = signal.getsignal(signal.SIGINT)
    if not isinstance(handler, InterruptHandler):
        return asyncio.run(work)
    with asyncio.Runner() as runner:
        try:
            return handler.run(runner, work)
        except KeyboardInterrupt:
            runner.run(_put_down())
            if before_leaving is not None:
                before_leaving()
            leave()


@contextmanager
def _woken_by_signals(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Have each signal end the wait of an event loop, so that its handler runs.

    A signal that comes after the last instruction before the wait, or to another thread, would be
    handled at the loop's next event. Not ``loop.add_signal_handler``: at its end no handler of
    ours is left. On Windows asyncio does it.
    """
    if sys.platform == "win32":
        yield
        return
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        loop.add_reader(receiver, receiver.recv, 4096)
        before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(receiver)


async def _put_down() -> None:
    """End what the command left behind, such as the settlement of a call."""
    import asyncio  # noqa: PLC0415  as above

    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=SETTLE_S)


def leave() -> NoReturn:
    """End the process now, with the line that says why."""
    # A terminal shows ^C, and the half of a line before it.
    os.write(2, b"\naegis: interrupted\n" if os.isatty(2) else b"aegis: interrupted\n")
    try:
        sys.stdout.flush()
    finally:
        os._exit(INTERRUPTED)
