"""One contestant in a process of its own: does what a line of JSON asks, and answers with one.

``worker.py MODULE CONTESTANT OPTIONS`` imports only what that contestant needs. It is standard
library alone, because peers run it in an environment that has nothing of this package.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

PROMPT = "Which city is the capital of France? Answer with one word."


@dataclass(frozen=True)
class Contestant:
    """What is measured: a call, and the pieces of text of a streamed one."""

    call: Callable[[], Awaitable[Any]]
    stream: Callable[[], AsyncIterator[Any]] | None = None
    close: Callable[[], Awaitable[Any]] | None = None
    ways: Mapping[str, Callable[[], Awaitable[Any]]] = field(default_factory=dict)
    """Other ways of the same call, by name."""


def _memory_kb(name: str) -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith(name)).split()[1])


def _forget_peak_kb() -> int:
    """Memory now, from where the peak is counted again."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory_kb("VmRSS:")


async def latency(
    contestant: Contestant, *, count: int, way: str | None = None
) -> dict[str, float]:
    """One caller: median milliseconds of wall clock, and mean milliseconds of processor, a call."""
    call = contestant.call if way is None else contestant.ways[way]
    await call()
    taken, began_cpu = [], time.process_time()
    for _ in range(count):
        began = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - began)
    cpu = time.process_time() - began_cpu
    return {"p50_ms": median(taken) * 1000, "cpu_ms": cpu / count * 1000}


async def flight(contestant: Contestant, *, callers: int, each: int) -> dict[str, float]:
    """So many callers at once, each asking ``each`` times one after the other."""
    await contestant.call()
    before = _forget_peak_kb()
    taken = []

    async def caller() -> None:
        for _ in range(each):
            began = time.perf_counter()
            await contestant.call()
            taken.append(time.perf_counter() - began)

    began, began_cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds = time.perf_counter() - began
    return {
        "per_s": callers * each / seconds,
        "seconds": seconds,
        "p50_ms": median(taken) * 1000,
        "cpu_ms": (time.process_time() - began_cpu) / (callers * each) * 1000,
        "kb_each": (_memory_kb("VmHWM:") - before) / callers,
    }


async def stream(contestant: Contestant, *, count: int) -> dict[str, float]:
    """One caller: median milliseconds until the first piece, and until the end; pieces a call."""
    assert contestant.stream is not None
    first, whole, pieces, began_cpu = [], [], 0, 0.0
    for number in range(count + 1):
        began = time.perf_counter()
        heard = 0
        async for _ in contestant.stream():
            heard += 1
            if heard == 1:
                early = time.perf_counter() - began
        # The first one opens the connection.
        if number == 0:
            began_cpu = time.process_time()
            continue
        first.append(early)
        whole.append(time.perf_counter() - began)
        pieces = heard
    return {
        "first_ms": median(first) * 1000,
        "whole_ms": median(whole) * 1000,
        "cpu_ms": (time.process_time() - began_cpu) / count * 1000,
        "pieces": pieces,
    }


async def _ended(close: Callable[[], Awaitable[Any]]) -> None:
    await close()


MEASURES = {"latency": latency, "flight": flight, "stream": stream}


def work(
    module: str,
    name: str,
    options: dict[str, Any],
    requests: Iterable[dict[str, Any]],
    answer: Callable[[dict[str, float]], object],
) -> None:
    """Build the contestant and say so, then measure until the requests end.

    Args:
        module: Where the contestant is.
        name: The function that builds it.
        options: The function's arguments.
        requests: Which measurement to make, and its arguments.
        answer: Takes what was found.
    """
    with asyncio.Runner() as runner:
        build = getattr(importlib.import_module(module), name)

        async def built() -> Contestant:
            made = build(**options)
            return await made if inspect.isawaitable(made) else made

        contestant = runner.run(built())
        answer({})
        for request in requests:
            measure = MEASURES[request.pop("measure")]
            answer(runner.run(measure(contestant, **request)))
        if contestant.close is not None:
            runner.run(_ended(contestant.close))


def main() -> None:
    """Measure until the standard input ends."""
    module, name, options = sys.argv[1:]
    # Libraries print: what they say goes to the errors, and the answers keep this channel.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    work(
        module,
        name,
        json.loads(options),
        map(json.loads, sys.stdin),
        lambda found: print(json.dumps(found), file=answers),
    )


if __name__ == "__main__":
    main()
