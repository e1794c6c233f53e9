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
        here = {"kind": kind, "url": url, "folder": str(field.folder)}
        wanted |= {
            f"host_{name}": ("host_contestants.bare_host", here),
            f"host_empty_{name}": ("host_contestants.empty_host", here),
            f"host_ours_{name}": (
                "host_contestants.routed_host",
                {**here, "ledger": field.ledger()},
            ),
        }
    with field.workers(True, **wanted) as workers:
        found = measured(scale.host_rounds, workers, "stream", count=scale.streams)

    def per_chunk(name: Name, key: str) -> list[float]:
        more = added(found, f"{name}_long", f"{name}_short", key)
        return [milliseconds * 1000 / scale.pieces for milliseconds in more]

    def first_token(name: Name, bare: Name = "bare") -> list[float]:
        return added(found, f"{name}_short", f"{bare}_short", "first_ms")

    first, graph = "first token of a stream over the bare client", "empty graph around it"
    rows = []
    for name, what in (("ours", kind), ("model", f"{kind}, RoutedChatModel")):
        title, empty = f"{first}, {what}", first_token("empty")
        rows.append(
            Row(title, "ms p50", first_token(name), empty, graph, "1.4 times", at_most(1.4))
        )
        for key, measured_by in (("whole_ms", ""), ("cpu_ms", ", processor time")):
            title, ours = f"each chunk of a stream, {what}{measured_by}", per_chunk(name, key)
            for beside, called, most in (
                ("default", "bare client as it comes", 1.3),
                ("bare", "bare client, our transport", None),
                ("empty", graph, 1.25),
            ):
                goal = {} if most is None else {"target": f"{most} times", "met": at_most(most)}
                rows.append(Row(title, "us", ours, per_chunk(beside, key), called, **goal))
    title = f"first token of a host's stream over the bare client's, {kind}"
    token = [first_token(name, "host") for name in ("host_ours", "host_empty")]
    chunk = [per_chunk(name, "whole_ms") for name in ("host_ours", "host_empty")]
    inside = "empty subgraph of three nodes"
    return [
        *rows,
        Row(title, "ms p50", *token, inside, "1.4 times", at_most(1.4)),
        Row(
            f"each chunk of a host's stream, {kind}",
            "us",
            *chunk,
            inside,
            "1.25 times",
            at_most(1.25),
        ),
    ]
