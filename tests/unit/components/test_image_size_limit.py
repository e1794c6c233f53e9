"""The semaphore: never too many inside, never too large together, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from aegis_graph.components.image_describer.size_limit import SizedSemaphore


class Inside:
    """Who is inside now, and what was the most."""

    def __init__(self, semaphore: SizedSemaphore) -> None:
        self.semaphore = semaphore
        self.sizes: list[int] = []
        self.most_count = self.most_bytes = 0
        self.order: list[int] = []

    async def visit(self, size: int) -> None:
        async with self.semaphore.acquired(size):
            self.sizes.append(size)
            self.order.append(size)
            self.most_count = max(self.most_count, len(self.sizes))
            self.most_bytes = max(self.most_bytes, sum(self.sizes))
            for _ in range(3):
                await asyncio.sleep(0)
            self.sizes.remove(size)


@pytest.mark.parametrize(
    ("most", "room", "count", "size"),
    [(3, 1000, 3, 30), (100, 25, 2, 20), (1, 1000, 1, 10), (100, 1000, 20, 200)],
)
async def test_it_is_bounded_by_count_and_by_size(
    most: int, room: int, count: int, size: int
) -> None:
    inside = Inside(SizedSemaphore(most, room))
    await asyncio.gather(*(inside.visit(10) for _ in range(20)))
    assert (inside.most_count, inside.most_bytes) == (count, size)
    assert inside.sizes == []


async def test_one_that_is_larger_than_the_room_goes_in_alone_and_in_its_turn() -> None:
    inside = Inside(SizedSemaphore(4, 100))
    await asyncio.gather(*(inside.visit(size) for size in (40, 50, 500, 20, 30)))
    assert inside.order == [40, 50, 500, 20, 30]
    assert inside.most_bytes == 500


async def test_who_gives_up_takes_no_room() -> None:
    semaphore = SizedSemaphore(1, 100)
    inside = Inside(semaphore)
    async with semaphore.acquired(10):
        waiting = [asyncio.create_task(inside.visit(1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[2].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert inside.order == [1]
    async with semaphore.acquired(100):
        assert inside.sizes == []


async def test_who_is_cancelled_just_as_it_was_let_in_gives_the_room_back() -> None:
    semaphore = SizedSemaphore(1, 100)
    inside = Inside(semaphore)
    async with semaphore.acquired(10):
        unlucky = asyncio.create_task(inside.visit(1))
        await asyncio.sleep(0)
    # The turn is given, and the task has not run since.
    unlucky.cancel()
    await asyncio.gather(unlucky, return_exceptions=True)
    await inside.visit(7)
    assert inside.order == [7]
