"""Rows about one caller: what the router adds to a call, and to one whose first provider fails."""

from __future__ import annotations

from collections.abc import Mapping

from field import NO_PEERS, Field, Name, Result, Scale, added, measured, pick
from table import Row, at_most

ADDED, FALLBACK = "added by a routed call", "a call whose first provider fails"
Found = Mapping[Name, list[Result]]


def one_caller(scale: Scale, field: Field) -> list[Row]:
    """Time added to a call, and to one whose first provider fails."""
    url, failing = field.url(), field.url(status=500)
    openai = {"kind": "openai", "url": url}
    with field.workers(
        openai=("peers.openai_client", {"url": url}),
        litellm=("peers.litellm_router", {"url": url}),
        litellm_fallback=("peers.litellm_router", {"url": url, "failing_url": failing}),
        any_llm=("peers.any_llm", {"url": url}),
        bare=("same_client", openai),
        alone=("empty_graph", {}),
        around=("empty_graph", openai),
        disk=("disk", {"folder": str(field.folder)}),
        by_hand=("client_and_ledger_by_hand", {**openai, "ledger": field.ledger()}),
        ours=("router", {**openai, "ledger": field.ledger()}),
        no_ledger=("router", {**openai, "ledger": None}),
        ours_fallback=("router", {**openai, "failing_url": failing, "ledger": field.ledger()}),
        with_fallbacks=("with_fallbacks", {"url": url, "failing_url": failing}),
    ) as workers:
        found = measured(scale.rounds, workers, "latency", count=scale.calls)
    beside = _beside_peers(found) if field.has_peers else [_no_peers(ADDED), _no_peers(FALLBACK)]
    return [*beside, *_beside_an_empty_graph(found), *_beside_floors(found)]


def _no_peers(name: str) -> Row:
    return Row(name, "ms p50", skipped=NO_PEERS)


def _beside_peers(found: Found) -> list[Row]:
    ours = added(found, "ours", "bare", "p50_ms")
    theirs = added(found, "litellm", "openai", "p50_ms")
    cpu = added(found, "ours", "bare", "cpu_ms")
    their_cpu = added(found, "litellm", "openai", "cpu_ms")
    any_llm = added(found, "any_llm", "openai", "p50_ms")
    failed = pick(found, "ours_fallback", "p50_ms")
    their_failed = pick(found, "litellm_fallback", "p50_ms")
    router = "LiteLLM Router over the OpenAI client"
    return [
        Row(ADDED, "ms p50", ours, theirs, router, "0.5 times", at_most(0.5)),
        Row(f"{ADDED}, processor time", "ms", cpu, their_cpu, router),
        Row(ADDED, "ms p50", ours, any_llm, "any-llm over the OpenAI client"),
        Row(FALLBACK, "ms p50", failed, their_failed, "LiteLLM Router", "0.4 times", at_most(0.4)),
    ]


def _beside_an_empty_graph(found: Found) -> list[Row]:
    """Around the same client, and alone in a loop that does nothing else and so stays warm."""
    rows = []
    for key, unit, how in (("p50_ms", "ms p50", ""), ("cpu_ms", "ms", ", processor time")):
        ours = added(found, "ours", "bare", key)
        for beside, called in (
            (added(found, "around", "bare", key), "added by an empty graph of three nodes"),
            (pick(found, "alone", key), "empty graph of three nodes, alone"),
        ):
            goal = ("", None) if how else ("1.6 times", at_most(1.6))
            rows.append(Row(f"{ADDED}{how}", unit, ours, beside, called, *goal))
    return rows


def _beside_floors(found: Found) -> list[Row]:
    around = added(found, "around", "bare", "p50_ms")
    graph = "added by an empty graph of three nodes"
    by_hand = added(found, "by_hand", "bare", "p50_ms")
    less_disk = added(found, "ours", "bare", "p50_ms", "disk")
    no_ledger = added(found, "no_ledger", "bare", "p50_ms")
    failed = pick(found, "ours_fallback", "p50_ms")
    return [
        Row("added by a ledger by hand, no router", "ms p50", by_hand, around, graph),
        Row(f"{ADDED}, without a ledger", "ms p50", no_ledger, around, graph),
        Row(f"{ADDED}, less the disk's share", "ms p50", less_disk, around, graph),
        Row(FALLBACK, "ms p50", failed, pick(found, "with_fallbacks", "p50_ms"), "with_fallbacks"),
    ]
