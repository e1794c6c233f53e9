"""Rows about streams: how soon the first token comes, and what each one after it costs."""

from __future__ import annotations

from field import Field, Name, Scale, added, measured
from table import Row, at_most


def streams(scale: Scale, field: Field, kind: str) -> list[Row]:
    """Time to the first token, and for each one after it."""
    few, many = 20, 20 + scale.pieces
    wanted = {}
    for name, words in (("short", few), ("long", many)):
        url = field.url(kind, words=words)
        wanted |= {
            f"default_{name}": ("default_client", {"kind": kind, "url": url}),
            f"bare_{name}": ("same_client", {"kind": kind, "url": url}),
            f"empty_{name}": ("empty_graph", {"kind": kind, "url": url}),
            f"ours_{name}": ("router", {"kind": kind, "url": url, "ledger": field.ledger()}),
            f"model_{name}": ("routed_model", {"kind": kind, "url": url, "ledger": field.ledger()}),
        }
    with field.workers(**wanted) as workers:
        found = measured(scale.rounds, workers, "stream", count=scale.streams)

    def per_chunk(name: Name, key: str) -> list[float]:
        more = added(found, f"{name}_long", f"{name}_short", key)
        return [milliseconds * 1000 / scale.pieces for milliseconds in more]

    def first_token(name: Name) -> list[float]:
        return added(found, f"{name}_short", "bare_short", "first_ms")

    first, graph = "first token of a stream over the bare client", "empty graph around it"
    rows = []
    for name, what in (("ours", kind), ("model", f"{kind}, RoutedChatModel")):
        title, empty = f"{first}, {what}", first_token("empty")
        rows.append(
            Row(title, "ms p50", first_token(name), empty, graph, "1.6 times", at_most(1.6))
        )
        for key, measured_by in (("whole_ms", ""), ("cpu_ms", ", processor time")):
            title, ours = f"each chunk of a stream, {what}{measured_by}", per_chunk(name, key)
            for beside, called in (
                ("default", "bare client as it comes"),
                ("bare", "bare client, our transport"),
                ("empty", graph),
            ):
                goal = {} if beside == "empty" else {"target": "1.3 times", "met": at_most(1.3)}
                rows.append(Row(title, "us", ours, per_chunk(beside, key), called, **goal))
    return rows
