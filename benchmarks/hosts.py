"""Rows about the router as a node of a host graph, beside the same host around other nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from field import NO_PEERS, Field, Name, Result, Scale, added, measured, pick
from host_ways import CALLS, CHECKPOINTS, STREAMS
from table import Row, at_least, at_most

Found = Mapping[Name, list[Result]]

AS_A_NODE, KEPT = "1.2 times", "1.3 times"
EMPTY = "empty subgraph of three nodes"
MEASURED = (("p50_ms", "ms p50", ""), ("cpu_ms", "ms", ", processor time"))
CHECKPOINTED = {"none": "no checkpointer", "memory": "in memory", "sqlite": "SQLite"}


def hosts(scale: Scale, field: Field) -> list[Row]:
    """Time that a node adds to a host: alone, for each checkpointer, in each way to run."""
    rows = []
    for checkpoints in CHECKPOINTS:
        with field.workers(True, **_contestants(field, checkpoints)) as workers:
            some = {name: workers[name] for name in ("bare", "empty", "ours")}
            calls = {
                way: measured(
                    scale.host_rounds, workers, "latency", count=scale.host_calls, way=way
                )
                for way in CALLS
            }
            streams = {
                way: measured(scale.host_rounds, some, "latency", count=scale.host_streams, way=way)
                for way in STREAMS
            }
        rows += [row for way in CALLS for row in _call_rows(checkpoints, way, calls[way])]
        rows += [_beside_empty(checkpoints, way, found) for way, found in streams.items()]
        if checkpoints == "none":
            rows += _three_rows(calls["ainvoke"])
    return rows


def _contestants(field: Field, checkpoints: str) -> dict[Name, tuple[str, dict[str, Any]]]:
    url = field.url()
    openai = {"kind": "openai", "url": url}
    there = {"folder": str(field.folder), "checkpoints": checkpoints}
    wanted: dict[Name, tuple[str, dict[str, Any]]] = {
        "bare": ("host_contestants.bare_host", {**openai, **there}),
        "empty": ("host_contestants.empty_host", {**openai, **there}),
        "ours": ("host_contestants.routed_host", {**openai, **there, "ledger": field.ledger()}),
        "litellm": ("peers.litellm_host", {"url": url, **there}),
    }
    if checkpoints == "none":
        three = {**openai, **there, "nodes": 3}
        wanted |= {
            "bare_alone": ("host_contestants.bare_alone", openai),
            "ours_alone": ("router", {**openai, "ledger": field.ledger()}),
            "bare_three": ("host_contestants.bare_host", three),
            "ours_three": ("host_contestants.routed_host", {**three, "ledger": field.ledger()}),
        }
    return wanted


def _call_rows(checkpoints: str, way: str, found: Found) -> list[Row]:
    rows = []
    for key, unit, how in MEASURED:
        ours = added(found, "ours", "bare", key)
        if checkpoints == "none":
            alone = added(found, "ours_alone", "bare_alone", key)
            goal = {} if how else {"target": AS_A_NODE, "met": at_most(1.2)}
            name = f"{_title(checkpoints, way)}{how}"
            rows.append(Row(name, unit, ours, alone, "added to a call without a host", **goal))
        rows.append(_beside_empty(checkpoints, way, found, key, unit, how))
    name = _title(checkpoints, way)
    if "litellm" not in found:
        return [*rows, Row(name, "ms p50", skipped=NO_PEERS)]
    ours, theirs = (added(found, one, "bare", "p50_ms") for one in ("ours", "litellm"))
    return [*rows, Row(name, "ms p50", ours, theirs, "LiteLLM Router, its client included")]


def _beside_empty(
    checkpoints: str,
    way: str,
    found: Found,
    key: str = "p50_ms",
    unit: str = "ms p50",
    how: str = "",
) -> Row:
    ours, empty = (added(found, name, "bare", key) for name in ("ours", "empty"))
    # A host that streams nothing and keeps nothing is compared with the call alone.
    aimed = checkpoints != "none" and not how
    goal = {"target": KEPT, "met": at_most(1.3)} if aimed else {}
    return Row(f"{_title(checkpoints, way)}{how}", unit, ours, empty, EMPTY, **goal)


def _title(checkpoints: str, way: str) -> str:
    run = way if way in CALLS else f"stream of {way}"
    return f"added as a node, {CHECKPOINTED[checkpoints]}, {run}"


def _three_rows(found: Found) -> list[Row]:
    name, one = "three routed nodes in one host", "one routed node"
    goal = ("3.2 times", at_most(3.2))
    whole = [pick(found, name, "p50_ms") for name in ("ours_three", "ours")]
    three = added(found, "ours_three", "bare_three", "p50_ms")
    return [
        Row(name, "ms p50", *whole, one, *goal),
        Row(f"{name}, added", "ms p50", three, added(found, "ours", "bare", "p50_ms"), one, *goal),
    ]


def crowded_hosts(scale: Scale, field: Field) -> list[Row]:
    """Calls per second of many callers of one host."""
    rows = []
    for checkpoints in CHECKPOINTS:
        wanted = _contestants(field, checkpoints)
        chosen = {name: wanted[name] for name in ("bare", "empty", "ours", "litellm")}
        if checkpoints == "none":
            alone = {"kind": "openai", "url": field.url(), "folder": str(field.folder)}
            chosen["default"] = ("host_contestants.default_host", alone)
        with field.workers(True, **chosen) as workers:
            load = {"callers": scale.callers, "each": scale.each}
            found = measured(scale.few_rounds, workers, "flight", **load)
        rows += _crowded_rows(scale, checkpoints, found)
    return rows


def _crowded_rows(scale: Scale, checkpoints: str, found: Found) -> list[Row]:
    name = f"{scale.callers} callers of a host, {CHECKPOINTED[checkpoints]}"
    ours = pick(found, "ours", "per_s")
    goal = {"target": "0.85 times", "met": at_least(0.85)} if checkpoints == "none" else {}
    rows = [
        Row(name, "/s", ours, pick(found, "bare", "per_s"), "bare client", **goal),
        Row(name, "/s", ours, pick(found, "empty", "per_s"), EMPTY),
    ]
    if "default" in found:
        default = pick(found, "default", "per_s")
        rows.append(Row(name, "/s", ours, default, "bare client as it comes"))
    if "litellm" not in found:
        return [*rows, Row(name, "/s", skipped=NO_PEERS)]
    return [*rows, Row(name, "/s", ours, pick(found, "litellm", "per_s"), "LiteLLM Router")]
