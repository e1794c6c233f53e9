"""Ways to ask a provider a question for each of many items; each runs in a process of its own.

``bulk_contestants.py NAME OPTIONS`` prints what it found as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from contestants import MAX_OUTPUT_TOKENS, same_client
from worker import PROMPT

Options = dict[str, Any]
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
SAMPLE_S = 0.1
"""How often memory is looked at, in seconds."""


def processes() -> list[Path]:
    """This process and all below it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(path.parent.name))
    found, ahead = [], [os.getpid()]
    while ahead:
        number = ahead.pop()
        found.append(Path(f"/proc/{number}"))
        ahead += parents.get(number, [])
    return found


def memory_mb() -> float:
    """What this process and all below it have in memory; what they share counts for each."""
    total = 0.0
    for process in processes():
        try:
            total += int((process / "statm").read_text().split()[1]) * PAGE_MB
        except OSError:
            continue
    return total


class Measure:
    """Seconds from the start of the work to its end, and the memory at most."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    @contextmanager
    def working(self) -> Iterator[None]:
        """The work; what is loaded and started before it does not count."""
        before, most, over = memory_mb(), [0.0], threading.Event()

        def watch() -> None:
            while not over.wait(SAMPLE_S):
                most[0] = max(most[0], memory_mb())

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        began = time.perf_counter()
        yield
        self.found["seconds"] = time.perf_counter() - began
        over.set()
        watching.join()
        self.found["memory_mb"] = max(most[0], memory_mb())
        self.found["grown_mb"] = self.found["memory_mb"] - before


def inputs(count: int) -> Iterable[dict[str, Any]]:
    """As many questions, each with a number."""
    for number in range(count):
        yield {"messages": [{"role": "user", "content": f"{PROMPT} ({number})"}]}


def gather(measure: Measure, *, url: str, items: int, concurrency: int, **_: Any) -> int:
    """``asyncio.gather`` with a semaphore over the bare client: no record, nothing is kept."""

    async def work() -> int:
        client = same_client(kind="openai", url=url)
        await client.call()
        room = asyncio.Semaphore(concurrency)

        async def one(_: Any) -> str:
            async with room:
                return str((await client.call()).content)

        with measure.working():
            answers = await asyncio.gather(*(one(item) for item in inputs(items)))
        if client.close is not None:
            await client.close()
        return sum(bool(answer) for answer in answers)

    return asyncio.run(work())


def opened_router(url: str, ledger: str) -> Any:
    """A router under a budget that is never reached."""
    from contestants import new_router  # noqa: PLC0415  in an actor, too, from this folder

    return new_router("openai", url, ledger)


def job(
    measure: Measure, *, url: str, items: int, concurrency: int, ledger: str, engine: str, **_: Any
) -> int:
    """A job of this package: durable ledger, durable results, an envelope."""
    from aegis_graph import create_bulk  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        opener = partial(opened_router, url, ledger)
        more: Options = {"concurrency": concurrency, "max_cost_usd": "1000"}
        if engine == "ray":
            from aegis_graph.bulk.ray_cluster import connect  # noqa: PLC0415

            connect(2)
            more = {**more, "engine": "ray", "workers": 2, "concurrency": concurrency // 2}
        else:
            opener = opener()  # type: ignore[assignment]  # a graph will do
        warm = create_bulk(opener, name="warm", results=f"{folder}/warm")
        warm.run(inputs(2), **more)
        with measure.working():
            summary = create_bulk(opener, name="all", results=f"{folder}/all").run(
                inputs(items), **more
            )
        return summary.progress.done


def ray_data(measure: Measure, *, url: str, items: int, concurrency: int, **_: Any) -> int:
    """Ray Data's own processor of HTTP requests, which keeps the answers in memory."""
    import ray  # noqa: PLC0415
    from ray.data.llm import HttpRequestProcessorConfig, build_processor  # noqa: PLC0415

    from aegis_graph.bulk.ray_cluster import connect  # noqa: PLC0415

    connect(2)
    ray.data.DataContext.get_current().enable_progress_bars = False
    processor = build_processor(
        HttpRequestProcessorConfig(
            url=f"{url}/chat/completions",
            # It waits for the answers of a batch one after the other; only its actors overlap.
            batch_size=8,
            concurrency=2,
        ),
        preprocess=lambda row: {
            "payload": {
                "model": "gpt-4o",
                "messages": [{"role": "user", "content": row["question"]}],
                "max_tokens": MAX_OUTPUT_TOKENS,
            }
        },
        postprocess=lambda row: {
            "answer": row["http_response"]["choices"][0]["message"]["content"]
        },
    )

    def run(count: int) -> int:
        questions = [{"question": one["messages"][0]["content"]} for one in inputs(count)]
        done = processor(ray.data.from_items(questions)).take_all()
        return sum(bool(row["answer"]) for row in done)

    run(2)
    with measure.working():
        return run(items)


CONTESTANTS: dict[str, Callable[..., int]] = {
    "gather": gather,
    "job": partial(job, engine="local"),
    "job_on_ray": partial(job, engine="ray"),
    "ray_data": ray_data,
}


def main() -> None:
    """Run one, and say what it took."""
    logging.disable(logging.WARNING)
    name, options = sys.argv[1], json.loads(sys.argv[2])
    measure = Measure()
    done = CONTESTANTS[name](measure, **options)
    print(json.dumps({**measure.found, "done": done}), flush=True)


if __name__ == "__main__":
    main()
