"""``aegis bulk status``, ``retry`` and ``cancel``: what needs a job's own file alone."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aegis_graph.bulk.progress_facts import progress_of
from aegis_graph.bulk.queue import WorkQueue
from aegis_graph.bulk.register import job_folder
from aegis_graph.bulk.set_aside import set_aside_items
from aegis_graph.cli import OK
from aegis_graph.cli.bulk_output import exit_status, print_progress

SHOWN_ITEMS = 5
"""Items that were set aside of which the reason is shown; the results have all."""


def status(options: argparse.Namespace) -> int:
    """Show how far a job is, whatever runs it."""
    with _opened(options.job) as (queue, folder):
        progress = progress_of(queue.facts())
        aside = set_aside_items(queue, most=SHOWN_ITEMS)
    print_progress(progress, folder, aside, as_json=options.json)
    return exit_status(progress)


def retry(options: argparse.Namespace) -> int:
    """Put the items that were set aside back."""
    with _opened(options.job) as (queue, _):
        count = queue.retry()
    if options.json:
        print(json.dumps({"put_back": count}))
    else:
        items = "1 item is" if count == 1 else f"{count:,} items are"
        print(f"{items} put back; run with: aegis bulk resume {options.job}")
    return OK


def cancel(options: argparse.Namespace) -> int:
    """Let the workers of a job stop, in whatever process they are."""
    with _opened(options.job) as (queue, _):
        queue.set_state("cancelled", "it was cancelled")
        workers = queue.facts().workers
    if options.json:
        print(json.dumps({"workers": workers}))
    else:
        ends = "1 worker stops" if workers == 1 else f"{workers:,} workers stop"
        print(f"{ends}; go on with: aegis bulk resume {options.job}")
    return OK


@contextmanager
def _opened(name: str) -> Iterator[tuple[WorkQueue, Path]]:
    folder = job_folder(name)
    queue = WorkQueue.open(folder)
    try:
        yield queue, folder
    finally:
        queue.close()
