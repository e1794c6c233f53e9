"""How the writer's thread answers: an event loop is woken once for all that wait there.

Woken one by one, the first would ask again before the last is awake, and batches would stay small.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What came of a job, and who waits for it."""

    future: Future[Any]
    """Has the outcome, also when nobody waits any more."""
    waiting: asyncio.Future[Any] | None
    """Belongs to a task in an event loop."""


def hand_over(answers: Iterable[Answer]) -> None:
    """Wake the tasks that wait for outcomes that are there."""
    loops: dict[asyncio.AbstractEventLoop, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.waiting is not None:
            loops[answer.waiting.get_loop()].append(answer)
    for loop, theirs in loops.items():
        with suppress(RuntimeError):  # a loop that was closed: nobody waits there
            loop.call_soon_threadsafe(_wake, theirs)


def _wake(answers: Iterable[Answer]) -> None:
    for future, waiting in answers:
        if waiting is None or waiting.done():
            continue
        error = future.exception()
        if error is None:
            waiting.set_result(future.result())
        else:
            waiting.set_exception(error)


async def outcome(answer: Answer) -> Any:
    """Wait for the writer; giving up the wait does not call the work back."""
    waiting = answer.waiting
    assert waiting is not None, "asked for by a task"
    try:
        return await waiting
    except asyncio.CancelledError:
        if not waiting.cancelled():
            waiting.exception()  # Taken note of, or asyncio reports that nobody did.
        raise
