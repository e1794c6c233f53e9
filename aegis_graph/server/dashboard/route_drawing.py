"""The route of a request as a drawing: how it went from one attempt to the next; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aegis_graph.ledger.attempts import RecordedAttempt, RecordedRequest

BOX_WIDTH, BOX_HEIGHT, GAP = 200, 54, 30
"""In the drawing's own units, which its page scales."""
MARGIN = 10


@dataclass(frozen=True, slots=True)
class DrawnNode:
    """A box."""

    title: str
    detail: str
    kind: str
    """``plain``, or how the attempt ended."""
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class DrawnEdge:
    """An arrow between two boxes, with what led along it."""

    points: str
    label: str
    label_x: int
    label_y: int


@dataclass(frozen=True, slots=True)
class RouteDrawing:
    """Boxes and arrows, and what they say as one sentence."""

    width: int
    height: int
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]
    description: str
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


def draw_route(request: RecordedRequest) -> RouteDrawing:
    """Draw a request from top to bottom: admission, each attempt, and what became of it."""
    boxes = [("budget_check", "admission", "plain")]
    boxes += [
        (f"attempt_{row.provider}", f"{row.attempt}. {row.model}", row.status)
        for row in request.attempts
    ]
    boxes.append(("record_cost", _end(request), "plain"))
    step = BOX_HEIGHT + GAP
    nodes = tuple(
        DrawnNode(_short(title), _short(detail), kind, MARGIN, MARGIN + at * step)
        for at, (title, detail, kind) in enumerate(boxes)
    )
    labels = [*(_led_to(before) for before in (None, *request.attempts[:-1])), ""]
    if not request.attempts:
        labels = ["nothing admitted"]
    else:
        labels[-1] = "answered" if request.attempts[-1].status == "answered" else ""
    edges = tuple(_edge(node, label) for node, label in zip(nodes[:-1], labels, strict=True))
    return RouteDrawing(
        # As wide as a reason beside an arrow needs.
        width=2 * MARGIN + BOX_WIDTH,
        height=2 * MARGIN + len(nodes) * step - GAP,
        nodes=nodes,
        edges=edges,
        description=_sentence(request.attempts, _end(request)),
    )


def _edge(node: DrawnNode, label: str) -> DrawnEdge:
    middle, bottom = node.x + BOX_WIDTH // 2, node.y + BOX_HEIGHT
    return DrawnEdge(
        f"{middle},{bottom} {middle},{bottom + GAP - 6}", label, middle + 8, bottom + GAP // 2 + 2
    )


def _led_to(before: RecordedAttempt | None) -> str:
    """Why the next attempt was made."""
    return "admitted" if before is None else "fell back"


def _end(request: RecordedRequest) -> str:
    if request.unanswered is not None:
        return "no answer"
    last = request.attempts[-1].status if request.attempts else "no answer"
    return "under way" if last == "reserved" else last


def _short(text: str, most: int = 28) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _sentence(attempts: Sequence[RecordedAttempt], end: str) -> str:
    said = [
        f"attempt {row.attempt} at {row.provider}: {row.error_type or row.status}"
        for row in attempts
    ]
    return "; ".join(["admitted" if said else "nothing was admitted", *said, f"in the end: {end}"])
