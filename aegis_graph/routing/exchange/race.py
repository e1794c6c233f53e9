"""Two calls of one request at once, of which one counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aegis_graph.routing.call import Call
from aegis_graph.routing.exchange.outcome import CallOutcome
from aegis_graph.routing.services import SharedServices


@dataclass(slots=True, eq=False)
class Race:
    """Two calls of one request, of which the first complete answer counts.

    Where the pieces are shown as they come, the first that says something counts instead: pieces of
    two answers are never mixed. No call waits for the end of one that it has overtaken.

    Args:
        services: Where the costs of both are settled.
        first: The call that begins.
        prepare: Makes the other one ready; returns ``None`` where there is to be none.
        make: Makes a call.
    """

    services: SharedServices
    first: Call
    prepare: Callable[[], Awaitable[Call | None]]
    make: Callable[[Call], Coroutine[Any, Any, CallOutcome]]
    _calls: list[Call] = field(default_factory=list)
    _tasks: list[asyncio.Task[CallOutcome | None]] = field(default_factory=list)
    """Of the calls, in their order; the last may still make its call ready."""
    _given_up: dict[int, CallOutcome] = field(default_factory=dict)
    """By the call's place."""

    async def run(self, delay_s: float) -> list[CallOutcome]:
        """How the calls ended, in the order in which they began.

        Args:
            delay_s: How long the first is waited for before the second begins, in seconds.

        Raises:
            BaseException: What ends the request: the caller is gone, or its own callback failed.
        """
        self._calls.append(self.first)
        self._tasks.append(asyncio.create_task(self.make(self.first)))
        try:
            if await self._takes_long(delay_s):
                self._tasks.append(asyncio.create_task(self._second()))
            await self._first_answer()
            for outcome in self._given_up.values():
                await self.services.unclaimed.register(outcome.settlement)
            return _without_waits(list(self._ended().values()))
        except BaseException:
            # Nothing is awaited here, because a task that was cancelled can be cancelled again.
            self._give_up_others(None)
            for outcome in self._given_up.values():
                self.services.ledger.settle_soon(outcome.settlement)
            raise

    async def _takes_long(self, delay_s: float) -> bool:
        """Whether the first has nothing to show after that time, which begins when it is sent."""
        first, task = self.first, self._tasks[0]
        # Before that its client may have to be loaded.
        while not task.done() and (left_s := delay_s - first.timer.running_s) > 0:
            await asyncio.wait([task], timeout=left_s)
        return not task.done() and not (first.streams and first.recorder.has_content)

    async def _second(self) -> CallOutcome | None:
        loop = asyncio.get_running_loop()
        if self.first.streams:
            self.first.recorder.on_content = partial(self._spoke, loop, 0)
        call = await self.prepare()
        if call is None:
            return None
        self._calls.append(call)
        if call.streams:
            call.recorder.on_content = partial(self._spoke, loop, 1)
        return await self.make(call)

    def _spoke(self, loop: asyncio.AbstractEventLoop, place: int) -> None:
        """The caller is shown this call's pieces, and so the other one's are not needed."""
        if _runs(loop):
            self._give_up_others(place)
        else:
            # A model without an asynchronous client reports its pieces from a thread.
            loop.call_soon_threadsafe(self._give_up_others, place)

    async def _first_answer(self) -> None:
        while running := self._running():
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for place, outcome in self._ended().items():
                if outcome.ends_request:
                    self._give_up_others(place)
                    return

    def _running(self) -> list[asyncio.Task[CallOutcome | None]]:
        return [
            task
            for place, task in enumerate(self._tasks)
            if place not in self._given_up and not task.done()
        ]

    def _ended(self) -> dict[int, CallOutcome]:
        """By their place. It raises what ended a call that was not given up."""
        ended = {}
        for place, task in enumerate(self._tasks):
            outcome = self._given_up.get(place)
            if outcome is None and task.done():
                outcome = task.result()
            if outcome is not None:
                ended[place] = outcome
        return ended

    def _give_up_others(self, winner: int | None) -> None:
        if winner in self._given_up:
            return
        name = None if winner is None else self._calls[winner].provider.spec.name
        for place, call in enumerate(self._calls):
            if place != winner and place not in self._given_up and not self._tasks[place].done():
                self._given_up[place] = call.give_up(name)
                self._tasks[place].cancel()
        if len(self._tasks) > len(self._calls):
            # It gives its reservation back by itself.
            self._tasks.pop().cancel()


def _runs(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _without_waits(outcomes: Sequence[CallOutcome]) -> list[CallOutcome]:
    """Where two have failed, the others are asked at once: neither is waited for."""
    if len(outcomes) < 2 or any(one.ends_request for one in outcomes):
        return list(outcomes)
    return [
        one._replace(exclude=one.record["provider"], retry_after_s=0.0)
        if one.retry_after_s
        else one
        for one in outcomes
    ]
