"""A long picture's parts on their way to a model, and the one result that they make."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from aegis_graph.components.image_describer.colors import Colour, dominant_colours
from aegis_graph.components.image_describer.results import ImageResult
from aegis_graph.request.image_files import (
    MAX_SIDE,
    as_part,
    encode_to_fit,
    image_part,
    open_image,
)
from aegis_graph.request.image_slices import Slices, is_long, join_texts, open_slices, owned_rows
from aegis_graph.request.images import read_image_header
from aegis_graph.types import ResultKind

LEAST_SCALE = 0.5
"""Below it, writing of a usual size is too small to be read."""


class Part(NamedTuple):
    """What one request shows of an image."""

    content: dict[str, Any]
    """The content part of a message."""
    top: int = 0
    shared: bool = False
    """Whether the part before shows some of its rows as well."""
    rows: tuple[float, float] = (0.0, float("inf"))
    """The rows of the image of which this part has the say."""


class Parts(NamedTuple):
    """An image as it is sent."""

    parts: list[Part]
    colours: list[Colour]
    note: str | None = None
    """What cannot be read of it, in any case."""


def parts_of(data: bytes, kind: ResultKind) -> Parts:
    """The image in one part, or in slices where its text is wanted and it is long.

    Raises:
        InvalidRequestError: It is broken, or no image; nothing was bought.
    """
    header = read_image_header(data)
    if kind == "text" and header is not None and is_long(header.size):
        opened = open_slices(data)
        # One that is wide once it is upright stays whole, and is scaled down as any other.
        if len(opened.slices) > 1:
            return _sliced(opened, lossy=header.format == "JPEG")
    scale = 1.0 if header is None else min(1.0, MAX_SIDE / max(header.size))
    note = None
    if scale < LEAST_SCALE:
        note = f"the image was scaled down to {scale:.0%} of its sides, so small text is lost"
    colours = dominant_colours(open_image(data))
    return Parts([Part(image_part(data, shrink=True))], colours, note)


def _sliced(opened: Slices, *, lossy: bool) -> Parts:
    parts = []
    for number, one in enumerate(opened.slices):
        content = as_part(*encode_to_fit(one.picture, lossy=lossy))
        rows = owned_rows(opened.slices, number)
        parts.append(Part(content, one.top, bool(one.shared), rows))
    note = None
    if opened.unread_rows:
        note = f"the lowest {opened.unread_rows:,} rows of pixels were not read: too many slices"
    return Parts(parts, dominant_colours(opened.slices[0].picture), note)


def joined_result(results: Sequence[ImageResult], parts: Parts) -> ImageResult:
    """One result from those of the parts.

    Args:
        results: As many as there are parts, or fewer, when the rest was not asked about.
        parts: What was shown.
    """
    answered = [one for one in results if one["error"] is None]
    first = answered[0] if answered else results[0]
    reasons = list(dict.fromkeys(one["degraded_reason"] for one in results))
    missing = len(parts.parts) - len(answered)
    if missing and answered:
        why = next((one["error"] for one in results if one["error"]), None)
        reasons.append(f"{missing} of {len(parts.parts)} slices without an answer: {why}")
    reason = "; ".join(why for why in [*reasons, parts.note] if why) or None
    return {
        **first,
        "text": _text(results, parts),
        "lines": _lines(results, parts),
        "colours": first["colours"] if len(parts.parts) == 1 else parts.colours,
        "cost_usd": f"{sum((Decimal(one['cost_usd']) for one in results), Decimal(0)):f}",
        "kept": all(one["kept"] for one in results),
        "degraded": reason is not None and bool(answered),
        "degraded_reason": reason if answered else None,
        "attempts": [attempt for one in results for attempt in one["attempts"]],
    }


def _text(results: Sequence[ImageResult], parts: Parts) -> str:
    if len(parts.parts) == 1:
        return results[0]["text"]
    shared = [part.shared for part in parts.parts[: len(results)]]
    return join_texts([one["text"] for one in results], shared)


def _lines(results: Sequence[ImageResult], parts: Parts) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one, part in zip(results, parts.parts, strict=False):
        for line in one["lines"]:
            box = [[x, y + part.top] for x, y in line["box"]]
            middle = sum(y for _, y in box) / len(box)
            if part.rows[0] <= middle < part.rows[1]:
                found.append({**line, "box": box})
    return found
