"""What the notebooks show things with: tables and pictures of graphs, made on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any

import matplotlib.pyplot as plt
import networkx as nx  # type: ignore[import-untyped]
from matplotlib.axes import Axes
from matplotlib.text import Text
from typing_extensions import override

INK = "#1f2933"
EDGE = "#7b8794"
COLOURS: Mapping[str, str] = {
    "attempt_": "#cfe8d5",
    "budget_check": "#fbe3b3",
    "record_cost": "#d6e4f5",
    "accept": "#f6d5d5",
    "__": "#e4e7eb",
}
"""The colour of a node, by how its name begins."""

COLUMN = 2.0
"""From one column of nodes to the next; nodes of a column are 1 apart."""

LONG = 20
"""Characters that a node's name may have on one line."""

CIRCLE = 3800
"""The area of a node of a network, in square points; the longest word of a name fits into it."""

BEND = 0.18
"""How far a dotted edge bends, as a share of its length."""


class Table:
    """Rows of dicts, as an HTML table and as text; numbers are aligned by their point."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        texts = [[_text(row.get(column)) for row in rows] for column in columns]
        self._right = [_is_number(column) for column in texts]
        pointed = [_to_one_point(column) if _is_number(column) else column for column in texts]
        self._rows = [list(row) for row in zip(*pointed, strict=True)]
        self._columns = list(columns)

    @override
    def __repr__(self) -> str:
        lines = [self._columns, *self._rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(line, widths, self._right, strict=True)
            ).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        head = self._html(self._columns, "th")
        body = "".join(f"<tr>{self._html(row, 'td')}</tr>" for row in self._rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _html(self, cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag} style='text-align:{'right' if right else 'left'}'>{escape(cell)}</{tag}>"
            for cell, right in zip(cells, self._right, strict=True)
        )


def table(rows: Sequence[Mapping[str, Any]], *columns: str) -> Table:
    """Show some columns of some rows; all columns of the first row when none are named."""
    return Table(rows, columns or list(rows[0]) if rows else columns)


def draw(
    graph: Any, *, title: str = "", xray: bool = False, size: tuple[float, float] = (11, 4.5)
) -> None:
    """Draw a compiled LangGraph graph from left to right: dotted edges are choices.

    Args:
        graph: The compiled graph.
        title: Stands above the picture.
        xray: Whether to open the graphs inside its nodes.
        size: Inches.
    """
    drawn = graph.get_graph(xray=xray)
    edges = {(edge.source, edge.target): edge.conditional for edge in drawn.edges}
    figure, axes = plt.subplots(figsize=size)
    boxes = {
        name: _box(axes, name, place) for name, place in _places(list(drawn.nodes), edges).items()
    }
    # Texts do not widen the axes by themselves, and have no outline before they are drawn.
    axes.update_datalim([box.get_position() for box in boxes.values()])
    axes.autoscale_view()
    axes.margins(0.12)
    figure.canvas.draw()
    attempts = [name for name in boxes if name.startswith("attempt_")]
    for (source, target), chosen in edges.items():
        if source == target:
            _loop(axes, boxes[source])
            continue
        far = boxes[target].get_position()[0] - boxes[source].get_position()[0] > COLUMN
        # Between the rows of what it passes: an even number of nodes leaves the middle free.
        bend = BEND if (target, source) in edges else (3 - len(attempts) % 2) * BEND * far
        if far and source in attempts and boxes[source].get_position()[1] > 0:
            # Around what is below it.
            bend = -bend
        _arrow(axes, boxes[source], boxes[target], bend=bend, dotted=chosen)
    _finish(axes, title)


def draw_plan(steps: Sequence[Mapping[str, Any]], *, title: str = "") -> None:
    """Draw the steps of a plan, each with an arrow from those it needs."""
    plan = nx.DiGraph()
    for step in steps:
        plan.add_node(step["id"], label=f"{step['id']}. {step['question']}")
        plan.add_edges_from((needed, step["id"]) for needed in step["needs"])
    for row, generation in enumerate(nx.topological_generations(plan)):
        for number in generation:
            plan.nodes[number]["layer"] = -row
    places = nx.multipartite_layout(plan, subset_key="layer", align="horizontal")
    _, axes = plt.subplots(figsize=(9, 1 + 0.8 * len(steps)))
    nx.draw_networkx_edges(
        plan, places, ax=axes, edge_color=EDGE, arrowsize=14, node_size=1800, min_target_margin=14
    )
    labels = nx.get_node_attributes(plan, "label")
    box = {"boxstyle": "round,pad=0.5", "facecolor": "#d6e4f5", "edgecolor": INK}
    nx.draw_networkx_labels(plan, places, labels, ax=axes, font_size=9, bbox=box)
    _finish(axes, title)


def draw_network(
    graph: Any, *, title: str = "", node: str = "type", edge: str = "relation"
) -> None:
    """Draw a graph of named nodes and their relations.

    Args:
        graph: A networkx graph whose nodes may have a ``name``.
        title: Stands above the picture.
        node: The attribute that colours nodes.
        edge: The attribute that is written on edges.
    """
    _, axes = plt.subplots(figsize=(9, 5.5))
    places = nx.circular_layout(graph)
    kinds = sorted({str(data.get(node, "")) for _, data in graph.nodes(data=True)})
    tints = [plt.get_cmap("Pastel1")(number) for number in range(len(kinds))]
    directed = graph if graph.is_directed() else nx.DiGraph(graph.edges(data=True))
    style = "-|>" if graph.is_directed() else "-"
    nx.draw_networkx_edges(
        directed, places, ax=axes, edge_color=EDGE, arrowstyle=style, node_size=CIRCLE
    )
    for kind, tint in zip(kinds, tints, strict=True):
        members = [name for name, data in graph.nodes(data=True) if str(data.get(node, "")) == kind]
        nx.draw_networkx_nodes(
            graph,
            places,
            members,
            ax=axes,
            node_color=[tint],
            node_size=CIRCLE,
            edgecolors=INK,
            linewidths=0.6,
            label=kind,
        )
    # A word on a line, so that a name has room in its circle.
    names = {
        name: str(data.get("name", name)).replace(" ", "\n")
        for name, data in graph.nodes(data=True)
    }
    nx.draw_networkx_labels(graph, places, names, ax=axes, font_size=8, font_color=INK)
    said = {(head, tail): data.get(edge, "") for head, tail, data in graph.edges(data=True)}
    nx.draw_networkx_edge_labels(
        nx.DiGraph(directed), places, said, ax=axes, font_size=7, font_color=INK
    )
    axes.legend(markerscale=0.2, loc="upper left", bbox_to_anchor=(0.95, 1), fontsize=8)
    _finish(axes, title)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=11, color=INK)
    axes.margins(0.18)
    axes.axis("off")
    plt.show()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _is_number(column: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-?\d+(\.\d+)?|", cell) for cell in column) and any(column)


def _to_one_point(column: Sequence[str]) -> list[str]:
    """Numbers with as many decimals as the one that has most."""
    most = max(len(cell.partition(".")[2]) for cell in column)
    return [f"{Decimal(cell):.{most}f}" if cell else "" for cell in column]


def _places(
    nodes: Sequence[str], edges: Iterable[tuple[str, str]]
) -> dict[str, tuple[float, float]]:
    """A column per distance from the start, the end last; nodes of a column below each other."""
    column = dict.fromkeys(nodes, 0)
    seen = frontier = {nodes[0]}
    while frontier:
        frontier = {target for source, target in edges if source in frontier} - seen
        column.update(dict.fromkeys(frontier, max(column.values()) + 1))
        seen = seen | frontier
    for name in nodes:
        if name.endswith("record_cost"):
            before = [other for other in nodes if "attempt_" in other or other.endswith("accept")]
            column[name] = max(column[other] for other in before) + 1
    column[nodes[-1]] = max(column[name] for name in nodes[:-1]) + 1
    places = {}
    for number in set(column.values()):
        members = [name for name in nodes if column[name] == number]
        for row, name in enumerate(members):
            places[name] = (COLUMN * number, (len(members) - 1) / 2 - row)
    return places


def _box(axes: Axes, name: str, place: tuple[float, float]) -> Text:
    colour = next((tint for start, tint in COLOURS.items() if start in name), "#ffffff")
    label = name.removeprefix("__").removesuffix("__").replace(":", "\n")
    if len(label) > LONG:
        label = label.replace("attempt_", "attempt_\n")
    look = {"boxstyle": "round,pad=0.45", "facecolor": colour, "edgecolor": INK, "linewidth": 0.8}
    return axes.text(
        *place, label, ha="center", va="center", fontsize=9, color=INK, bbox=look, zorder=3
    )


def _loop(axes: Axes, box: Text) -> None:
    """A way from a node back to itself, above it."""
    column, row = box.get_position()
    look = {
        "arrowstyle": "-|>",
        "mutation_scale": 11,
        "connectionstyle": "arc3,rad=-1.3",
        "linestyle": (0, (4, 3)),
        "color": EDGE,
        "linewidth": 1.1,
        "shrinkA": 12,
        "shrinkB": 12,
    }
    axes.annotate("", xy=(column + 0.3, row), xytext=(column - 0.3, row), arrowprops=look, zorder=2)


def _arrow(axes: Axes, start: Text, end: Text, *, bend: float, dotted: bool) -> None:
    look = {
        "arrowstyle": "-|>",
        "mutation_scale": 11,
        "connectionstyle": f"arc3,rad={bend}",
        "linestyle": (0, (4, 3)) if dotted else "solid",
        "color": EDGE,
        "linewidth": 1.1,
        "patchA": start.get_bbox_patch(),
        "patchB": end.get_bbox_patch(),
    }
    # Above the boxes: drawn before them, an arrow does not know yet where they end.
    axes.annotate("", xy=end.get_position(), xytext=start.get_position(), arrowprops=look, zorder=4)
