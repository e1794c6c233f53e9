"""Rows about what a router can do besides: unused it costs nothing, and used not much."""

from __future__ import annotations

from typing import Any

from field import Field, Scale, measured, pick
from table import Row, at_most

FEATURES = ("limits", "tags", "hooks", "accept", "telemetry")
OFF, ON = 1.05, 1.2


def features(scale: Scale, field: Field) -> list[Row]:
    """A call with each feature, used by the call and not, beside the same without any."""
    there = {"kind": "openai", "url": field.url()}
    wanted: dict[str, tuple[str, dict[str, Any]]] = {
        "plain": ("feature_contestants.plain", {**there, "ledger": field.ledger()})
    }
    for feature in FEATURES:
        for used in (False, True):
            options = {**there, "ledger": field.ledger(), "feature": feature, "used": used}
            wanted[f"{feature} {used}"] = ("feature_contestants.with_feature", options)
    with field.workers(True, **wanted) as workers:
        found = measured(scale.rounds, workers, "latency", count=scale.calls)
    plain = pick(found, "plain", "p50_ms")
    return [
        Row(
            f"a routed call, {feature} {'on' if used else 'off'}",
            "ms p50",
            pick(found, f"{feature} {used}", "p50_ms"),
            plain,
            "without any of them",
            f"{most} times",
            at_most(most),
        )
        for used, most in ((False, OFF), (True, ON))
        for feature in FEATURES
    ]
