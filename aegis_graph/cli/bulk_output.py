"""How a job looks on a command line: its progress while it runs, and what it came to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from aegis_graph.bulk.forecast import JobForecast
from aegis_graph.bulk.progress import (
    OnProgress,
    progress_bar,
    progress_json,
    progress_lines,
    rate_text,
    time_text,
)
from aegis_graph.bulk.records import BulkProgress, BulkSummary, JobState
from aegis_graph.bulk.set_aside import SetAsideItem
from aegis_graph.cli import ITEMS_LEFT, NOT_ADMITTED, OK, PROVIDERS_FAILED, USAGE_ERROR
from aegis_graph.cli.output import new_console, print_lines
from aegis_graph.pricing.money import usd_text

_STATUS: dict[JobState, int] = {
    "money_ended": NOT_ADMITTED,
    "paused": PROVIDERS_FAILED,
    "cancelled": ITEMS_LEFT,
}
"""The exit status of a state; of the others it is whether items were set aside."""


@contextmanager
def shown_progress(*, as_json: bool) -> Iterator[OnProgress]:
    """A bar where a person watches, JSON lines where a program reads.

    Beside these lines nothing is on standard output: what Ray and the graph print meanwhile, in
    this process or another that it starts, goes to standard error.
    """
    with ExitStack() as stack:
        shown: list[OnProgress] = []
        if not as_json or not sys.stdout.isatty():
            shown.append(stack.enter_context(progress_bar(sys.stderr)))
        if as_json:
            shown.append(progress_lines(stack.enter_context(_own_output())))

        def show(progress: BulkProgress) -> None:
            for one in shown:
                one(progress)

        yield show


@contextmanager
def _own_output() -> Iterator[TextIO]:
    """Standard output as it was; all that is printed meanwhile goes to standard error."""
    sys.stdout.flush()
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with open(own, "w", encoding="utf-8") as stream:
        try:
            yield stream
        finally:
            sys.stdout.flush()
            os.dup2(own, sys.stdout.fileno())


def exit_status(progress: BulkProgress) -> int:
    """The exit status that a job's state means."""
    return _STATUS.get(progress.state, ITEMS_LEFT if progress.set_aside else OK)


def status_of_end(progress: BulkProgress) -> int:
    """The exit status of a run that has ended by itself."""
    if not progress.total:
        return USAGE_ERROR
    # A worker gives up where no provider has answered for long.
    return PROVIDERS_FAILED if progress.state == "stopped" else exit_status(progress)


def print_progress(
    progress: BulkProgress, results: Path, aside: Sequence[SetAsideItem], *, as_json: bool
) -> None:
    """Print how far a job is.

    Args:
        progress: The figures.
        results: The folder of its results.
        aside: Some of the items that were set aside.
        as_json: Whether for a program.
    """
    if as_json:
        rows = [one._asdict() for one in aside]
        shown = {**progress_json(progress), "results": str(results), "set_aside_items": rows}
        print(json.dumps(shown, ensure_ascii=False))
        return
    lines = [*progress_lines_of(progress, results), *_aside_lines(progress, aside)]
    print_lines(new_console(), lines)


def _aside_lines(progress: BulkProgress, aside: Sequence[SetAsideItem]) -> Iterator[str]:
    for one in aside:
        place = f" ({one.source})" if one.source and one.source != one.key else ""
        yield f"Aside    {one.key}{place}: {one.error}"
    rest = progress.set_aside - len(aside)
    if rest > 0:
        yield f"         and {rest:,} more, at the end of the results"


def print_summary(summary: BulkSummary, *, as_json: bool) -> None:
    """Print what a run of a job came to."""
    rest = summary.rest_nano_usd
    if as_json:
        more: dict[str, Any] = {
            "results": summary.results,
            "rest_usd": None if rest is None else usd_text(rest),
        }
        print(json.dumps({**progress_json(summary.progress), **more}))
        return
    lines = list(progress_lines_of(summary.progress, Path(summary.results)))
    if rest:
        lines.append(f"Rest     would cost about ${usd_text(rest)}, by what the others did")
    print_lines(new_console(), lines)


def print_forecast(name: str, found: JobForecast, *, as_json: bool) -> None:
    """Print what a job will cost and take."""
    if as_json:
        amounts = ("cost_usd", "least_cost_usd", "most_cost_usd")
        exact = {key: f"{getattr(found, key):f}" for key in amounts}
        print(json.dumps({"job": name, **asdict(found), **exact}))
        return
    time, least, most = map(time_text, (found.seconds, found.least_seconds, found.most_seconds))
    lines = [
        f"Items    {found.total:,}, of which {found.sample:,} were run",
        f"Cost     ${found.cost_usd:f}; ${found.least_cost_usd:f} to ${found.most_cost_usd:f}",
        f"Time     {time}; {least} to {most}",
        f"Go on    with: aegis bulk resume {name}; what was run is kept",
    ]
    print_lines(new_console(), lines)


def progress_lines_of(progress: BulkProgress, results: Path) -> Iterator[str]:
    """A job as lines of text."""
    reason = f": {progress.reason}" if progress.reason else ""
    yield f"Job      {progress.name}, {progress.state.replace('_', ' ')}{reason}"
    counts = [f"{progress.done:,} of {progress.total:,} done"]
    counts += [f"{progress.leased:,} under way"] if progress.leased else []
    counts += [f"{progress.failed:,} failed, to be tried again"] if progress.failed else []
    counts += [f"{progress.set_aside:,} set aside"] if progress.set_aside else []
    yield f"Items    {', '.join(counts)}"
    money = f"${usd_text(progress.spent_nano_usd)} spent"
    if progress.envelope_nano_usd is not None:
        left = usd_text(progress.left_nano_usd or 0)
        money += f", ${left} left of ${usd_text(progress.envelope_nano_usd)}"
    yield f"Cost     {money}"
    if progress.bought_twice_at_most:
        twice = usd_text(progress.bought_twice_nano_usd)
        yield f"Twice    {progress.bought_twice_at_most:,} items bought again at most, for ${twice}"
    if progress.items_per_s:
        left_s = progress.seconds_left
        to_go = "" if left_s is None else f", {time_text(left_s)} to go"
        yield f"Rate     {rate_text(progress.items_per_s)}{to_go}"
    yield f"Results  {results}"


def going_on(progress: BulkProgress) -> str | None:
    """What goes on with a job that has ended before its last item; ``None`` where nothing need."""
    name = progress.name
    if not progress.total:
        return "the input has no item; nothing was run"
    if progress.state == "money_ended":
        return f"more money: aegis bulk resume {name} --max-cost-usd USD"
    if progress.state in ("stopped", "paused", "cancelled", "running"):
        return f"go on with: aegis bulk resume {name}"
    if progress.set_aside:
        return f"once more: aegis bulk retry {name}, then aegis bulk resume {name}"
    return None
