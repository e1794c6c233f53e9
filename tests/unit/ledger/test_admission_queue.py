"""The lines of a process: who is first, when it asks, and who is passed over."""

from __future__ import annotations

import asyncio

from aegis_graph.ledger.admission_queue import AdmissionQueue, PlaceInLine
from aegis_graph.ledger.limits import LimitRefusal, UnitLimit
from aegis_graph.testing.loop_clock import LoopClock

SLOT = UnitLimit("provider:gpu", "max_concurrency", 1)
FULL = LimitRefusal("gpu", SLOT, SLOT.scope, 1, 1, None)


async def waiting(queue: AdmissionQueue, place: PlaceInLine) -> asyncio.Task[None]:
    before = queue.waiting()
    task = asyncio.ensure_future(place.wait(FULL, at_most_s=3600))
    await asyncio.sleep(0)
    assert queue.waiting() == before + 1
    return task


async def test_who_came_first_is_first_whenever_it_was_refused() -> None:
    queue = AdmissionQueue()
    first, second = queue.arrive(), queue.arrive()
    late = await waiting(queue, second)
    early = await waiting(queue, first)
    assert queue.refusal_ahead([SLOT.scope], first) is None
    assert queue.refusal_ahead([SLOT.scope], second) == FULL
    assert queue.refusal_ahead(["provider:other"], second) is None
    queue.wake()
    await early
    first.leave()
    await late
    second.leave()
    assert queue.waiting() == 0


async def test_only_the_first_asks_by_itself_and_less_and_less_often() -> None:
    queue = AdmissionQueue()
    clock = LoopClock(asyncio.get_running_loop())
    first, second = queue.arrive(), queue.arrive()
    early, late = await waiting(queue, first), await waiting(queue, second)
    for pause_s in (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 1.5):
        assert not early.done()
        clock.advance(pause_s)
        await early
        early = asyncio.ensure_future(first.wait(FULL, at_most_s=3600))
        await asyncio.sleep(0)
    assert not late.done()
    for task, place in ((early, first), (late, second)):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        place.leave()


async def test_what_was_freed_while_it_asked_is_asked_for_at_once() -> None:
    queue = AdmissionQueue()
    place = queue.arrive()
    task = await waiting(queue, place)
    queue.wake()
    await task
    queue.wake()
    again = asyncio.ensure_future(place.wait(FULL, at_most_s=3600))
    await asyncio.sleep(0)
    assert again.done()
    place.leave()


async def test_of_an_event_loop_that_has_ended_none_is_waited_for() -> None:
    queue = AdmissionQueue()
    first, gone, last = (queue.arrive() for _ in range(3))
    early = await waiting(queue, first)
    loop = asyncio.new_event_loop()
    sleeper = loop.create_task(gone.wait(FULL, at_most_s=3600))
    await asyncio.to_thread(loop.run_until_complete, asyncio.sleep(0))
    loop.close()
    late = await waiting(queue, last)
    queue.wake()
    await early
    first.leave()
    await late
    last.leave()
    assert queue.waiting() == 0
    assert not sleeper.done()
    sleeper._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio would report it
