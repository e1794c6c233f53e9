"""How far a job is: a bar in a terminal, JSON lines in a pipe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from aegis_graph.bulk.records import BulkProgress
from aegis_graph.pricing.money import usd_text

OnProgress = Callable[[BulkProgress], None]

LINE_S = 10.0
"""Seconds between two lines of JSON, at least, unless the job's state changes."""

_MOST_BAR = 60
"""Columns of the bar, at most."""
_DIGITS = Decimal("0.0001")


@contextmanager
def progress_bar(stream: TextIO) -> Iterator[OnProgress]:
    """A bar that is drawn where the stream is a terminal, and taken away at the end.

    Args:
        stream: Where to, such as standard error.
    """
    if not stream.isatty():
        yield lambda progress: None
        return
    with Live(console=Console(file=stream, highlight=False), transient=True) as live:
        yield lambda progress: live.update(ProgressView(progress))


def progress_lines(
    stream: TextIO, *, monotonic: Callable[[], float] = time.monotonic
) -> OnProgress:
    """Writes a line of JSON at first, now and then, and where the job's state changes.

    Args:
        stream: Where to.
        monotonic: Seconds from any beginning.
    """
    last: float | None = None
    state = ""

    def show(progress: BulkProgress) -> None:
        nonlocal last, state
        now = monotonic()
        if last is None or now - last >= LINE_S or progress.state != state:
            last, state = now, progress.state
            print(json.dumps(progress_json(progress)), file=stream, flush=True)

    return show


def progress_json(progress: BulkProgress) -> dict[str, Any]:
    """The figures for a program; amounts are exact decimal text."""
    envelope, left = progress.envelope_nano_usd, progress.left_nano_usd
    return {
        "job": progress.name,
        "state": progress.state,
        "reason": progress.reason,
        "done": progress.done,
        "failed": progress.failed,
        "set_aside": progress.set_aside,
        "leased": progress.leased,
        "pending": progress.pending,
        "total": progress.total,
        "spent_usd": usd_text(progress.spent_nano_usd),
        "envelope_usd": None if envelope is None else usd_text(envelope),
        "left_usd": None if left is None else usd_text(left),
        "bought_twice_at_most": progress.bought_twice_at_most,
        "items_per_s": round(progress.items_per_s, 2),
        "seconds_left": None if progress.seconds_left is None else round(progress.seconds_left),
    }


@dataclass(frozen=True, slots=True)
class ProgressView:
    """The figures for a person, whole at any width: what does not fit goes into the next line."""

    progress: BulkProgress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The name and the bar, then the figures."""
        width = options.max_width
        ended, total = self.progress.done + self.progress.set_aside, self.progress.total
        share = f" {100 * ended // total if total else 0} %"
        name = Text(self.progress.name, overflow="ellipsis", no_wrap=True)
        # A name that leaves no room for a bar gets a line of its own.
        if name.cell_len > width // 3:
            name.truncate(width, overflow="ellipsis")
            yield name
            name = Text("")
        before = name.cell_len + 1 if name else 0
        size = min(_MOST_BAR, width - before - len(share))
        if size > 1:
            bar = ProgressBar(total=total or 1, completed=ended, width=size)
            segments = console.render(bar, options.update(width=size, no_wrap=True))
            drawn = Text.assemble(*((one.text, one.style or "") for one in segments))
            drawn.rstrip()
            yield Text.assemble(name, " " if name else "", drawn, share)
        yield Text("\n".join(packed(progress_parts(self.progress), width)))


def progress_parts(progress: BulkProgress) -> Iterator[str]:
    """The figures in words, the most important ones first."""
    yield f"{progress.done:,} of {progress.total:,} done"
    if progress.failed:
        yield f"{progress.failed:,} failed"
    if progress.set_aside:
        yield f"{progress.set_aside:,} set aside"
    yield f"${_rounded(progress.spent_nano_usd, ROUND_CEILING)} spent"
    if progress.left_nano_usd is not None:
        yield f"${_rounded(progress.left_nano_usd, ROUND_FLOOR)} left"
    if progress.bought_twice_at_most:
        yield f"{progress.bought_twice_at_most:,} bought twice at most"
    if progress.items_per_s:
        yield rate_text(progress.items_per_s)
    if progress.seconds_left is not None:
        yield f"{time_text(progress.seconds_left)} to go"
    if progress.state != "running":
        yield progress.state.replace("_", " ")
    if progress.reason:
        yield progress.reason


def packed(parts: Iterator[str], width: int, *, between: str = " · ") -> Iterator[str]:
    """Parts in lines of at most so many columns; a part that is wider is broken between words."""
    line = ""
    for part in parts:
        joined = f"{line}{between}{part}" if line else part
        if cell_len(joined) <= width:
            line = joined
            continue
        if line:
            yield line
        *whole, line = _broken(part, width)
        yield from whole
    if line:
        yield line


def rate_text(items_per_s: float) -> str:
    """Items in a time of which there is at least one.

    Example:
        >>> rate_text(412.4), rate_text(0.05)
        ('412 items/s', '3.0 items/min')
    """
    if items_per_s >= 10:
        return f"{items_per_s:,.0f} items/s"
    return f"{items_per_s:.1f} items/s" if items_per_s >= 1 else f"{items_per_s * 60:.1f} items/min"


def time_text(seconds: float) -> str:
    """How long something takes.

    Example:
        >>> time_text(94.2), time_text(100_000)
        ('0:01:34', '1 day, 3:46:40')
    """
    return str(timedelta(seconds=round(seconds)))


def _broken(part: str, width: int) -> list[str]:
    text = Text(part)
    return [line.plain.rstrip() for line in text.wrap(Console(width=width), width)] or [""]


def _rounded(nano_usd: int, rounding: str) -> str:
    usd = Decimal(nano_usd).scaleb(-9).quantize(_DIGITS, rounding)
    text = f"{usd:,f}"
    # Cents at least, and no digits that say nothing.
    return text[:-2] if text.endswith("00") else text
