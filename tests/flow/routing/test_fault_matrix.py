"""Every fault of every kind of provider at every place of the chain, streamed and not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.errors import AllProvidersFailedError, RoutingError
from aegis_graph.testing import Fault, LoopbackServer, Received, Reply
from aegis_graph.testing.loop_clock import LoopClock
from tests.flow.support import (
    KINDS,
    Row,
    ask,
    assert_one_row_per_call,
    assert_sound,
    made,
    make_config,
    open_router,
    provider,
    rows,
)

PARIS = Reply("The capital is Paris", input_tokens=50, output_tokens=6)
LIMIT_S = 60.0
PRICE = {"input_usd_per_mtok": "1", "output_usd_per_mtok": "10"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault, and what it comes to."""

    step: Reply | Fault
    error: str | None = None
    """The class of the attempt's error, where all clients agree on one."""
    tries: int = 1
    """How often the provider is asked."""
    worked: bool = True
    """Whether the provider may have done the work, so that it may cost something."""
    slow: bool = False
    """Whether the provider's time limit ends it."""


CASES: Mapping[str, Case] = {
    "400": Case(step=Fault.status(400), error="BadRequestError", worked=False),
    "401": Case(step=Fault.status(401), error="AuthenticationError", worked=False),
    "403": Case(step=Fault.status(403), error="ModelAccessError", worked=False),
    "404": Case(step=Fault.status(404), error="ModelAccessError", worked=False),
    "408": Case(
        step=Fault.status(408, error_code="RequestTimeOut"),
        error="ProviderUnavailableError",
        tries=2,
        worked=False,
    ),
    "429": Case(step=Fault.status(429), error="RateLimitError", tries=2, worked=False),
    "429 wait": Case(
        step=Fault.status(429, retry_after_s=0.01), error="RateLimitError", tries=2, worked=False
    ),
    "429 too long": Case(
        step=Fault.status(429, retry_after_s=60), error="RateLimitError", worked=False
    ),
    "500": Case(step=Fault.status(500), error="ProviderUnavailableError", tries=2, worked=False),
    "503": Case(step=Fault.status(503), error="ProviderUnavailableError", tries=2, worked=False),
    "hang": Case(step=Fault.hang(), error="ProviderTimeoutError", slow=True),
    "slow stream": Case(
        step=Fault.slow_stream(PARIS, interval_s=60), error="ProviderTimeoutError", slow=True
    ),
    "cut at 0": Case(step=Fault.cut(PARIS, after_chunks=0)),
    "cut at 2": Case(step=Fault.cut(PARIS, after_chunks=2)),
    "early end at 0": Case(step=Fault.end_early(PARIS, after_chunks=0)),
    "early end at 2": Case(step=Fault.end_early(PARIS, after_chunks=2)),
    "malformed at 0": Case(step=Fault.malformed(0)),
    "malformed at 1": Case(step=Fault.malformed(1)),
    "no usage": Case(step=Fault.no_usage(PARIS)),
    "error at 2": Case(step=Fault.stream_error(PARIS, after_chunks=2)),
    "drop": Case(step=Fault.drop(), error="ProviderUnavailableError"),
}


def combinations() -> Iterator[Any]:
    for name, case in CASES.items():
        for index, kind in enumerate(KINDS):
            for place in range(3):
                # Before the first byte the two modes do not differ: they take turns there.
                turns = case.slow or not case.worked
                for stream in [(index + place) % 2 == 0] if turns else [False, True]:
                    mode = "stream" if stream else "whole"
                    yield pytest.param(
                        name, kind, place, stream, id=f"{name}-{kind}-{place + 1}-{mode}"
                    )


class TimeLimit:
    """The time limit of the first slow call, which passes without a wait."""

    def __init__(self) -> None:
        self._clock = LoopClock(asyncio.get_running_loop())
        self._left_s = LIMIT_S

    def once(self) -> None:
        """Let it pass, unless it has."""
        self._clock.advance(self._left_s)
        self._left_s = 0.0

    def at_arrival(self, step: Reply | Fault) -> Callable[[Received], Reply | Fault]:
        """The step, at whose start it passes."""

        def play(_: Received) -> Reply | Fault:
            self.once()
            return step

        return play


def nothing() -> None:
    """Let no time pass."""


@dataclass
class Seen:
    """What the caller got."""

    text: str = ""
    attempts: tuple[dict[str, Any], ...] = ()
    discarded: tuple[str, ...] = ()
    error: RoutingError | None = None


async def run(router: Any, *, stream: bool, heard: Callable[[], None]) -> Seen:
    """Ask, and call ``heard`` when there is some text."""
    seen = Seen()
    try:
        if not stream:
            result = await router.ainvoke(ask())
            return Seen(result["messages"][-1].text, tuple(result["attempts"]))
        async for mode, part in router.astream(ask(), stream_mode=["messages", "custom", "values"]):
            if mode == "messages":
                seen.text += part[0].text
                if part[0].text:
                    heard()
            elif mode == "values":
                seen.attempts = tuple(part.get("attempts") or ())
            elif part["event"] == "attempt_discarded":
                seen.discarded += (seen.text,)
                seen.text = ""
    except RoutingError as error:
        seen.error = error
        seen.attempts = tuple(error.attempts)
    return seen


@pytest.mark.parametrize(("name", "kind", "place", "stream"), tuple(combinations()))
async def test_every_fault_ends_in_the_right_answer_and_in_one_row_per_call(
    server: LoopbackServer, db: Path, name: str, kind: Any, place: int, stream: bool
) -> None:
    case = CASES[name]
    chain = _chain(kind, place)
    passing = TimeLimit()
    at_arrival = case.slow and not (stream and name == "slow stream")
    for before in chain[:place]:
        server.always(before, Fault.status(404))
    server.always(kind, passing.at_arrival(case.step) if at_arrival else case.step)
    for after in chain[place + 1 :]:
        server.always(after, PARIS)
    specs = [provider(server, row, price=PRICE, timeout_s=LIMIT_S) for row in chain]
    router = open_router(make_config(server, db, providers=specs))

    in_the_stream = case.slow and not at_arrival
    seen = await run(router, stream=stream, heard=passing.once if in_the_stream else nothing)

    answering = _answering(name, chain, place)
    asked = [call.protocol for call in server.calls()]
    tries = _tries(name, kind, stream)
    expected = [*chain[:place], *[kind] * tries]
    assert asked == expected + ([answering] if answering not in (None, kind) else [])
    _check_outcome(name, seen, answering)
    _check_records(seen, db)
    _check_costs(case, [row for row in made(db) if row["provider"] == kind], tries)
    assert_one_row_per_call(db, server.calls())
    assert_sound(db)


def _chain(kind: Any, place: int) -> list[Any]:
    others = [other for other in KINDS if other != kind]
    return [*others[:place], kind, *others[place:]]


def _answering(name: str, chain: list[Any], place: int) -> Any:
    """Who answers in the end, if anybody."""
    if name == "no usage":
        return chain[place]
    if place == 2:
        return None
    return chain[place + 1]


def _tries(name: str, kind: str, stream: bool) -> int:
    if name == "error at 2" and kind == "openai" and not stream:
        return 2  # Without a stream it is an honest status 500.
    return CASES[name].tries


def _check_outcome(name: str, seen: Seen, answering: Any) -> None:
    if answering is not None:
        assert seen.error is None
        assert seen.text == PARIS.text
        assert (seen.attempts[-1]["provider"], seen.attempts[-1]["status"]) == (
            answering,
            "answered",
        )
    else:
        assert type(seen.error) is AllProvidersFailedError
    # Whatever a dead attempt said was announced as discarded.
    assert all(PARIS.text.startswith(text) or text == "piece " for text in seen.discarded)
    if answering is None:
        assert seen.text == ""


def _check_records(seen: Seen, db: Path) -> None:
    keys = ("attempt", "provider", "status", "error_type", "cost_basis")
    assert [[row[key] for key in keys] for row in rows(db)] == [
        [attempt[key] for key in keys] for attempt in seen.attempts
    ]


def _check_costs(case: Case, faulty: list[Row], tries: int) -> None:
    assert len(faulty) == tries
    for row in faulty:
        assert case.error in (None, row["error_type"])
        if case.worked and tries == 1:
            assert row["cost_basis"] in {"held", "estimated"}
            assert 0 < row["cost_nano_usd"] <= row["hold_nano_usd"]
        else:
            assert (row["cost_basis"], row["cost_nano_usd"]) == ("none", 0)
