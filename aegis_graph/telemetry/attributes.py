"""What a call is in the words of OpenTelemetry's GenAI conventions. Pure.

Source: https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai/client-inference)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from aegis_graph.pricing.money import usd_text
from aegis_graph.telemetry.facts import CallFacts, EndedCall
from aegis_graph.types import FINISH_REASON, SettlementRecord

USAGE: Mapping[str, str] = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_input_tokens",
    "gen_ai.usage.cache_write.input_tokens": "cache_write_tokens",
    "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
}
"""Counts of tokens, and the fields of a settlement that have them."""

_OLD: Mapping[str, str] = {
    "gen_ai.provider.name": "gen_ai.system",
    "gen_ai.usage.cache_write.input_tokens": "gen_ai.usage.cache_creation.input_tokens",
}
"""What these were called before: the first until 1.36, the second until 1.41 of the conventions."""

_PORTS = {"http": 80, "https": 443}


def call_labels(facts: CallFacts) -> dict[str, Any]:
    """What spans and metrics of a call both have: nothing in it names a user."""
    return {
        "gen_ai.operation.name": facts.operation,
        "gen_ai.provider.name": facts.system,
        "gen_ai.request.model": facts.model,
        "aegis.provider": facts.provider,
        **_server(facts.address),
    }


def before_call(facts: CallFacts) -> dict[str, Any]:
    """What is known of a call when it begins, so that a sampler can go by it."""
    found = {**call_labels(facts), "aegis.attempt": facts.number}
    if facts.operation == "chat":
        found["gen_ai.request.max_tokens"] = facts.max_tokens
    if facts.streams:
        found["gen_ai.request.stream"] = True
    return found


def settled_attributes(facts: CallFacts, outcome: EndedCall) -> dict[str, Any]:
    """What came of a call, with its tokens and its cost."""
    settled = outcome.settlement
    found: dict[str, Any] = {
        "aegis.status": settled["status"],
        "aegis.cost.usd": usd_text(settled["cost_nano_usd"]),
        "aegis.cost.nano_usd": settled["cost_nano_usd"],
        "aegis.cost.basis": settled["cost_basis"],
    }
    for name, field in USAGE.items():
        count = usage_of(settled).get(field)
        if count is not None:
            found[_name_of_count(name, facts, outcome)] = count
    if settled["served_model"]:
        found["gen_ai.response.model"] = settled["served_model"]
    if outcome.first_ms is not None and facts.streams:
        found["gen_ai.response.time_to_first_chunk"] = outcome.first_ms / 1000
    metadata = {} if outcome.answer is None else outcome.answer.response_metadata
    if isinstance(metadata.get(FINISH_REASON), str):
        found["gen_ai.response.finish_reasons"] = [metadata[FINISH_REASON]]
    if isinstance(metadata.get("id"), str):
        found["gen_ai.response.id"] = metadata["id"]
    return found


def usage_of(settled: SettlementRecord) -> Mapping[str, Any]:
    """The settlement as a plain table, from which fields are taken by name."""
    return settled


def old_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The same facts under the older names, where they had others."""
    return {_OLD[key]: value for key, value in attributes.items() if key in _OLD}


def _name_of_count(name: str, facts: CallFacts, outcome: EndedCall) -> str:
    """Under which a count of tokens is told, so that whoever adds them up has each once."""
    if not outcome.has_usage:
        # An upper bound, which was paid for and which no provider counted.
        return name.replace("gen_ai.usage.", "aegis.usage.estimated.")
    return name.replace("gen_ai.", "aegis.") if facts.counted_elsewhere else name


def _server(address: str | None) -> dict[str, Any]:
    parts = urlsplit(address or "")
    if not parts.hostname:
        return {}
    port = parts.port or _PORTS.get(parts.scheme)
    return {"server.address": parts.hostname, **({"server.port": port} if port else {})}
