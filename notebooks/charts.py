"""The notebooks' charts: money over calls and days, and images with what was read in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

NANO = Decimal(10) ** 9
HELD, SPENT, LIMIT = "#fbe3b3", "#4a90a4", "#b3261e"
BARS = ("#4a90a4", "#7fb069", "#e6aa68")


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
    for axes, (group, rows), colour in zip(panels, by.items(), BARS, strict=True):
        names = [row.name[5:] if group == "day" else row.name for row in rows]
        axes.bar(names, [float(usd(row.spent_nano_usd)) for row in rows], color=colour)
        axes.set(title=f"Spent by {group}", ylabel="USD" if group == "day" else None)
        axes.tick_params(axis="x", labelrotation=60 if group == "day" else 30)
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
