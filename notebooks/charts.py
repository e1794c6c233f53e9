"""The notebooks' charts: calls and money over time, and images with what was read in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

NANO = Decimal(10) ** 9
HELD, SPENT, LIMIT = "#fbe3b3", "#4a90a4", "#b3261e"
EDGE = "#9aa5b1"
BARS = ("#4a90a4", "#7fb069", "#e6aa68", "#9a86c4")


def usd(nano_usd: int) -> Decimal:
    """Nano-USD of the ledger, in USD."""
    return Decimal(nano_usd) / NANO


def draw_reservations(moments: Sequence[Mapping[str, int]], limit_usd: str) -> None:
    """Draw what was spent and what was held, at one moment of each call.

    Args:
        moments: Each with ``spent`` and ``held``, in nano-USD.
        limit_usd: The budget's limit.
    """
    figure, axes = plt.subplots(figsize=(9, 3.6))
    calls = range(1, len(moments) + 1)
    spent = [float(usd(moment["spent"])) for moment in moments]
    held = [float(usd(moment["held"])) for moment in moments]
    axes.axhline(float(limit_usd), color=LIMIT, linewidth=1, label="limit")
    axes.bar(calls, held, bottom=spent, color=HELD, label="reserved for this call")
    axes.bar(calls, spent, color=SPENT, label="spent before it")
    axes.set(
        xlabel="call", ylabel="USD", title="Reservations touch the limit, spending stays below"
    )
    axes.set_xticks(range(1, len(moments) + 1, 2))
    # Beside the bars: inside, it would stand on some of them.
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    _plain(axes)
    figure.tight_layout()
    plt.show()


def draw_spending(by: Mapping[str, Sequence[Any]]) -> None:
    """Draw the rows of three reports: by day, and by two other groups."""
    figure, panels = plt.subplots(1, len(by), figsize=(12, 3.6), width_ratios=[2.2, 1, 1.2])
    for axes, (group, rows), colour in zip(panels, by.items(), BARS, strict=False):
        names = [row.name[5:] if group == "day" else row.name for row in rows]
        axes.bar(names, [float(usd(row.spent_nano_usd)) for row in rows], color=colour)
        axes.set(title=f"Spent by {group}", ylabel="USD" if group == "day" else None)
        axes.tick_params(axis="x", labelrotation=60 if group == "day" else 30)
        _plain(axes)
    figure.tight_layout()
    plt.show()


def draw_traffic(days: Sequence[Mapping[str, Any]], traffic: Sequence[Mapping[str, int]]) -> None:
    """Draw the prices of some days, and below them who answered on each.

    Args:
        days: Each with its ``day`` and the price of each provider, in USD per million tokens.
        traffic: The calls that each provider answered, by day.
    """
    names = list(dict.fromkeys(name for day in days for name in day if name != "day"))
    figure, (prices, calls) = plt.subplots(2, 1, figsize=(9, 4.6), sharex=True)
    places = range(len(days))
    for name, colour in zip(names, BARS, strict=False):
        known = [place for place in places if name in days[place]]
        # From the middle of the night before a day to that after it.
        edges = [known[0] - 0.5, *(place + 0.5 for place in known)]
        values = [float(days[place][name]) for place in known]
        prices.stairs(values, edges, baseline=None, color=colour, linewidth=2.5, label=name)
        counts = [counted.get(name, 0) for counted in traffic]
        bars = calls.bar(places, counts, color=colour, width=0.6)
        calls.bar_label(bars, [name if count else "" for count in counts], label_type="center")
    prices.set(
        ylabel="USD per million\noutput tokens", title="The price moves, and the calls follow"
    )
    prices.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    calls.set(ylabel="calls answered")
    calls.set_xticks(places, [f"day {day['day']}" for day in days])
    for axes in (prices, calls):
        _plain(axes)
    figure.tight_layout()
    plt.show()


def draw_queue(rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw when each request waited and when its call ran.

    Args:
        rows: Of the ledger, with ``user_id``, ``timestamp``, ``queued_ms`` and ``latency_ms``.
    """
    figure, axes = plt.subplots(figsize=(9, 3.6))
    admitted = [datetime.fromisoformat(row["timestamp"]) for row in rows]
    waited = [row["queued_ms"] / 1000 for row in rows]
    starts = [
        (moment - admitted[0]).total_seconds() + waited[0] - seconds
        for moment, seconds in zip(admitted, waited, strict=True)
    ]
    ran = [row["latency_ms"] / 1000 for row in rows]
    names = [row["user_id"] for row in rows]
    axes.barh(names, waited, left=starts, color=HELD, label="waits, and holds nothing")
    sent = [start + seconds for start, seconds in zip(starts, waited, strict=True)]
    axes.barh(names, ran, left=sent, color=SPENT, label="its call runs")
    axes.invert_yaxis()
    axes.set(xlabel="seconds", title="One slot: the calls come one after the other")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    _plain(axes)
    figure.tight_layout()
    plt.show()


def draw_savings(costs: Sequence[Mapping[str, Any]], baseline: int) -> None:
    """Draw what the parts of a cascade cost, above what the baseline would have cost.

    Args:
        costs: Each with ``what`` it was for and its ``cost``, in nano-USD.
        baseline: In nano-USD.
    """
    figure, axes = plt.subplots(figsize=(9, 2.4))
    left = 0.0
    for row, colour in zip(costs, (BARS[0], HELD, BARS[1]), strict=True):
        width = float(usd(row["cost"]))
        axes.barh(["the cascade"], width, left=left, color=colour, label=row["what"])
        left += width
    axes.barh(["all at the baseline"], float(usd(baseline)), color=EDGE)
    for place, total in enumerate((left, float(usd(baseline)))):
        axes.annotate(
            f"${total:.6f}", (total, place), xytext=(6, 0), textcoords="offset points", va="center"
        )
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * float(usd(baseline)))
    axes.set(xlabel="USD", title="What twelve good answers cost")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    _plain(axes)
    figure.tight_layout()
    plt.show()


def draw_allowed(rows: Sequence[Mapping[str, int]], limits: Sequence[int]) -> None:
    """Draw what calls cost on top of each other, below the limit that was in force for each.

    Args:
        rows: Each with its ``cost`` and ``hold``, in nano-USD.
        limits: For each call, in nano-USD.
    """
    figure, axes = plt.subplots(figsize=(9, 3.6))
    places = range(1, len(rows) + 1)
    costs = [float(usd(row["cost"])) for row in rows]
    holds = [float(usd(row["hold"])) for row in rows]
    before = [sum(costs[:place]) for place in range(len(costs))]
    axes.bar(places, holds, bottom=before, color=HELD, label="reserved beyond its cost")
    axes.bar(places, costs, bottom=before, color=BARS[1], label="its cost")
    axes.bar(places, before, color=SPENT, label="spent before it")
    edges = [place - 0.5 for place in range(1, len(rows) + 2)]
    allowed = [float(usd(limit)) for limit in limits]
    axes.stairs(allowed, edges, baseline=None, color=LIMIT, linewidth=1.5, label="limit in force")
    raised = next(place for place, limit in enumerate(limits) if limit > limits[0])
    axes.annotate(
        "a person allows more",
        (edges[raised], allowed[raised]),
        xytext=(-8, 0),
        textcoords="offset points",
        ha="right",
        va="center",
    )
    axes.set(xlabel="call", ylabel="USD", title="The limit rises by an answer, and holds again")
    axes.set_xticks(places)
    axes.margins(y=0.12)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    _plain(axes)
    figure.tight_layout()
    plt.show()


def draw_items(runs: Mapping[str, Sequence[int]], envelopes: Sequence[int]) -> None:
    """Draw what each item of a job cost, and below it the sum under the envelope in force.

    Args:
        runs: The costs of the items that each run of the job bought, in nano-USD and in order.
        envelopes: The envelope of each run, in nano-USD.
    """
    figure, (each, together) = plt.subplots(2, 1, figsize=(9, 5), sharex=True)
    place, spent = 0, 0.0
    for (name, run), colour, envelope in zip(runs.items(), BARS, envelopes, strict=True):
        places = range(place + 1, place + len(run) + 1)
        costs = [float(usd(cost)) for cost in run]
        sums = [spent + sum(costs[: number + 1]) for number in range(len(costs))]
        each.bar(places, costs, color=colour, label=name)
        together.bar(places, sums, color=colour)
        edges = (place + 0.5, place + len(run) + 0.5)
        together.hlines(float(usd(envelope)), *edges, color=LIMIT, linewidth=1.5)
        place, spent = place + len(run), sums[-1]
    each.set(ylabel="USD of the item", title="Each item is bought once, whichever run comes to it")
    each.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    together.set(xlabel="item, in the order of buying", ylabel="USD so far")
    together.plot([], [], color=LIMIT, linewidth=1.5, label="envelope")
    together.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    for axes in (each, together):
        _plain(axes)
    figure.tight_layout()
    plt.show()


def show_images(paths: Sequence[Path]) -> None:
    """Show images beside each other, each with its name."""
    _, panels = plt.subplots(1, len(paths), figsize=(11, 3.4))
    for axes, path in zip(panels, paths, strict=True):
        _image(axes, path, path.name)
    plt.show()


def show_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Show an image with the outlines of the lines that were recognized."""
    _, axes = plt.subplots(figsize=(5, 5))
    _image(axes, path, "Lines that were recognized")
    for line in lines:
        corners = [*line["box"], line["box"][0]]
        axes.plot(*zip(*corners, strict=True), color=LIMIT, linewidth=1)
    plt.show()


def _image(axes: Axes, path: Path, title: str) -> None:
    axes.imshow(Image.open(path))
    axes.set_title(title, fontsize=10)
    axes.axis("off")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
