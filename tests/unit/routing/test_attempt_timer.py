"""When an attempt is ended: as a whole, before its first piece, and between two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.config.time_limits import TimeLimits
from aegis_graph.routing.exchange.attempt_timer import AttemptTimer
from aegis_graph.testing.loop_clock import LoopClock

ROW = {"name": "p", "kind": "openai", "model": "m"}
LIMITS = TimeLimits(1000.0, 300.0, 60.0)


def run(
    play: Callable[[AttemptTimer, LoopClock], object],
    limits: TimeLimits = LIMITS,
    *,
    in_pieces: bool = True,
) -> str | None:
    """Let a script play while an attempt waits for its answer; the limit that ended it."""

    async def attempt() -> str | None:
        timer = AttemptTimer(limits, in_pieces=in_pieces)
        clock = LoopClock(asyncio.get_running_loop())
        answered = asyncio.Event()

        async def script() -> None:
            for step in play(timer, clock):  # type: ignore[attr-defined]
                step()
                # Timers that are due, and what they have called.
                for _ in range(5):
                    await asyncio.sleep(0)
            answered.set()

        try:
            async with timer:
                # Its cancellation at the end must not be taken for the attempt's.
                playing = asyncio.create_task(script())
                await answered.wait()
        except TimeoutError:
            assert timer.problem is not None
        await playing
        return timer.problem

    return asyncio.run(attempt())


def test_an_attempt_without_pieces_has_the_whole_time() -> None:
    def play(timer: AttemptTimer, clock: LoopClock) -> object:
        yield lambda: clock.advance(999)

    assert run(play, in_pieces=False) is None


def test_a_whole_answer_that_takes_too_long_is_ended() -> None:
    def play(timer: AttemptTimer, clock: LoopClock) -> object:
        yield lambda: clock.advance(1000)

    assert run(play, in_pieces=False) == "no complete answer within 1000 s"


def test_a_first_piece_that_does_not_come_ends_an_attempt_in_pieces() -> None:
    def play(timer: AttemptTimer, clock: LoopClock) -> object:
        yield lambda: clock.advance(300)

    assert run(play) == "no first token within 300 s"


def test_pieces_that_keep_coming_are_waited_for() -> None:
    def play(timer: AttemptTimer, clock: LoopClock) -> object:
        for _ in range(15):
            yield lambda: clock.advance(55)
            yield timer.piece_arrived

    assert run(play) is None


def test_a_pause_that_is_too_long_ends_the_attempt() -> None:
    def play(timer: AttemptTimer, clock: LoopClock) -> object:
        for _ in range(3):
            yield lambda: clock.advance(55)
            yield timer.piece_arrived
        yield lambda: clock.advance(60)

    assert run(play) == "nothing for 60 s in the middle of the answer"


def test_a_pause_counts_from_the_last_piece_alone() -> None:
    def play(timer: AttemptTimer, clock: LoopClock) -> object:
        yield timer.piece_arrived
        yield lambda: clock.advance(59)
        yield timer.piece_arrived
        yield lambda: clock.advance(59)

    assert run(play) is None


def test_pieces_that_keep_coming_do_not_lift_the_limit_of_the_whole() -> None:
    def play(timer: AttemptTimer, clock: LoopClock) -> object:
        for _ in range(20):
            yield timer.piece_arrived
            yield lambda: clock.advance(55)

    assert run(play) == "no complete answer within 1000 s"


def test_without_limits_on_pieces_the_whole_counts_alone() -> None:
    def play(timer: AttemptTimer, clock: LoopClock) -> object:
        yield lambda: clock.advance(400)
        yield timer.piece_arrived
        yield lambda: clock.advance(400)

    assert run(play, TimeLimits(1000.0)) is None


def test_pieces_may_be_reported_from_another_thread() -> None:
    async def attempt() -> None:
        timer = AttemptTimer(LIMITS, in_pieces=True)
        clock = LoopClock(asyncio.get_running_loop())

        async def ask() -> None:
            async with timer:
                await asyncio.to_thread(timer.piece_arrived)
                clock.advance(60)
                await asyncio.Event().wait()

        with pytest.raises(TimeoutError):
            await ask()
        assert timer.problem == "nothing for 60 s in the middle of the answer"

    asyncio.run(attempt())


def test_a_piece_in_the_last_moment_leaves_no_timer_behind() -> None:
    async def attempt() -> None:
        loop = asyncio.get_running_loop()
        faults: list[object] = []
        loop.set_exception_handler(lambda _, context: faults.append(context))
        timer = AttemptTimer(LIMITS, in_pieces=True)
        clock = LoopClock(loop)
        async with timer:
            timer.piece_arrived()
        clock.advance(60)
        for _ in range(5):
            await asyncio.sleep(0)
        assert faults == []
        assert timer.problem is None

    asyncio.run(attempt())


def test_a_cancellation_is_no_limit_that_has_passed() -> None:
    async def attempt() -> None:
        timer = AttemptTimer(LIMITS, in_pieces=True)
        begun = asyncio.Event()

        async def ask() -> None:
            async with timer:
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(ask())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert timer.problem is None

    asyncio.run(attempt())


@pytest.mark.parametrize(
    ("changes", "limits"),
    [
        ({"location": "cloud"}, (60.0, None, None)),
        ({"location": "local"}, (600.0, 300.0, 60.0)),
        ({"location": "local", "timeout_s": 30}, (30.0, 300.0, 60.0)),
        ({"location": "local", "idle_timeout_s": 5}, (600.0, 300.0, 5.0)),
        ({"location": "cloud", "first_token_timeout_s": 9}, (60.0, 9.0, None)),
    ],
    ids=["cloud", "local", "whole", "idle", "first"],
)
def test_a_local_model_has_more_time_unless_the_row_says_otherwise(
    changes: dict[str, object], limits: tuple[float | None, ...]
) -> None:
    assert ProviderSpec.model_validate({**ROW, **changes}).time_limits == limits


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [(TimeLimits(60.0), 60.0), (TimeLimits(600.0, 300.0), 300.0), (TimeLimits(30.0, 300.0), 30.0)],
)
def test_a_server_that_loads_is_waited_for_within_both_limits(
    limits: TimeLimits, seconds: float
) -> None:
    assert limits.to_load_s() == seconds
