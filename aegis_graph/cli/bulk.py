"""``aegis bulk run``, ``forecast`` and ``resume``: a graph over many items under one envelope."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from aegis_graph.bulk.forecast import JobForecast
from aegis_graph.bulk.graph_source import find_parts, open_graph
from aegis_graph.bulk.job import BulkJob, create_bulk
from aegis_graph.bulk.progress_facts import progress_of
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.records import BulkSummary
from aegis_graph.bulk.register import JobRegister, job_folder
from aegis_graph.bulk.sources import ItemFiles
from aegis_graph.cli import OK
from aegis_graph.cli.bulk_begun import BegunJob, running_options
from aegis_graph.cli.bulk_output import (
    going_on,
    print_forecast,
    print_summary,
    shown_progress,
    status_of_end,
)
from aegis_graph.cli.interrupts import run_async
from aegis_graph.components.documents.skipped import SkippedDocument, skipped_lines

T = TypeVar("T")


def run(options: argparse.Namespace) -> int:
    """Run a graph over items, or over those that have no result yet."""
    return _run(BegunJob.of(options), as_json=options.json, read_items=True)


def resume(options: argparse.Namespace) -> int:
    """Go on with a job as it was begun."""
    folder = job_folder(options.job).absolute()
    begun = BegunJob.read(folder)
    # The paths of the command that began it count from where that was given.
    os.chdir(begun.folder)
    begun = replace(
        begun,
        recipe=replace(begun.recipe, results=str(folder)),
        running={**begun.running, **running_options(options)},
    )
    with closing(WorkQueue.open(folder)) as queue:
        # Items are added all or none: where that was broken off, they are read again.
        none_yet = not queue.facts().total
    return _run(begun, as_json=options.json, read_items=none_yet)


def _run(begun: BegunJob, *, as_json: bool, read_items: bool) -> int:
    as_json = as_json or not sys.stdout.isatty()
    work = _arun(begun, as_json=as_json, read_items=read_items)
    summary, skipped = run_async(work, before_leaving=lambda: _say_stopped(begun))
    print_summary(summary, as_json=as_json)
    for line in skipped_lines(skipped):
        print(line, file=sys.stderr)
    following = going_on(summary.progress)
    if following is not None:
        print(f"aegis: {following}", file=sys.stderr)
    return status_of_end(summary.progress)


async def _arun(
    begun: BegunJob, *, as_json: bool, read_items: bool
) -> tuple[BulkSummary, list[SkippedDocument]]:
    async with _opened(begun) as (job, files):
        items: Iterable[Any] = files if read_items else ()
        run_job = partial(job.arun, items, **begun.running)
        return await _watched(run_job, as_json=as_json), files.skipped


def forecast(options: argparse.Namespace) -> int:
    """Run a few items, and say what all of them would cost and take."""
    begun = BegunJob.of(options)
    as_json = options.json or not sys.stdout.isatty()
    work = _aforecast(begun, sample=options.sample, as_json=as_json)
    found, skipped = run_async(work, before_leaving=lambda: _say_stopped(begun))
    print_forecast(begun.name, found, as_json=as_json)
    for line in skipped_lines(skipped):
        print(line, file=sys.stderr)
    return OK


async def _aforecast(
    begun: BegunJob, *, sample: int, as_json: bool
) -> tuple[JobForecast, list[SkippedDocument]]:
    running = {name: begun.running[name] for name in _FORECAST if name in begun.running}
    async with _opened(begun) as (job, files):
        run_sample = partial(job.aforecast, files, sample=sample, **running)
        return await _watched(run_sample, as_json=as_json), files.skipped


_FORECAST = ("max_cost_usd", "concurrency", "workers", "max_attempts")
"""What a forecast goes by of how a job is run."""


@asynccontextmanager
async def _opened(begun: BegunJob) -> AsyncIterator[tuple[BulkJob, ItemFiles]]:
    """The job in its folder, noted there and by its name, and its items."""
    async with AsyncExitStack() as stack:
        graph = await open_graph(begun.recipe, stack)
        files = begun.items(graph)
        results = Path(begun.recipe.results)
        # First: of a folder that is another job's nothing may change.
        WorkQueue(results, find_parts(graph).identity(begun.name, begun.format)).close()
        begun.keep()
        JobRegister().remember(begun.name, results)
        here = begun.running.get("workers", 1) == 1 and begun.running.get("engine") != "ray"
        yield (
            create_bulk(
                graph if here else begun.recipe,
                name=begun.name,
                results=results,
                format=begun.format,
            ),
            files,
        )


async def _watched(run_job: Callable[..., Coroutine[Any, Any, T]], *, as_json: bool) -> T:
    """Run a job and show how far it is; where it is to stop, what is under way ends first."""
    with shown_progress(as_json=as_json) as show:
        task = asyncio.create_task(run_job(progress=show))
        with suppress(asyncio.CancelledError):
            return await asyncio.shield(task)
    # Without the bar: a second Ctrl-C ends the process at once, and leaves a terminal as it is.
    print("aegis: items under way end first; Ctrl-C again ends at once", file=sys.stderr)
    task.cancel()
    await asyncio.wait([task])
    raise asyncio.CancelledError


def _say_stopped(begun: BegunJob) -> None:
    with closing(WorkQueue.open(begun.recipe.results)) as queue:
        progress = progress_of(queue.facts())
    print(
        f"aegis: {progress.done:,} of {progress.total:,} items are done;"
        f" go on with: aegis bulk resume {begun.name}",
        file=sys.stderr,
        flush=True,
    )
