"""Measurements of calls, in the names of OpenTelemetry's GenAI conventions.

Source: https://github.com/open-telemetry/semantic-conventions-genai
(docs/gen-ai/client-inference, client-embeddings and gen-ai-token-metrics)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider

from aegis_graph.telemetry.attributes import USAGE, call_labels, old_attributes, usage_of
from aegis_graph.telemetry.facts import CallFacts, EndedCall

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Bounds that the conventions name for durations."""
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216)
"""Bounds that the conventions name for tokens."""


class Instruments:
    """The instruments of one meter.

    Args:
        meter: Of the application's SDK.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._durations = {
            "chat": self._seconds("gen_ai.client.inference.duration", "Duration of a call"),
            "embeddings": self._seconds("gen_ai.client.embeddings.duration", "Duration of a call"),
        }
        self._first = self._seconds(
            "gen_ai.client.inference.time_to_first_chunk", "Time to the first piece of an answer"
        )
        self._usage = {
            field: self._tokens(name.replace("gen_ai.usage.", "gen_ai.client.inference.usage."))
            for name, field in USAGE.items()
        }
        self._embedded = meter.create_histogram(
            "gen_ai.client.embeddings.operation.input_tokens",
            "{token}",
            "Input tokens of a call",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self._cost = meter.create_counter(
            "aegis.cost", "{nano_usd}", "What attempts cost, in billionths of a USD"
        )
        self.queue = self._seconds("aegis.queue.duration", "Wait for a provider's limits")
        self._old: tuple[Histogram, Histogram, Histogram] | None = None

    def measure(self, facts: CallFacts, outcome: EndedCall, *, old_names: bool) -> None:
        """Record a call that has ended.

        Args:
            facts: The call.
            outcome: What came of it.
            old_names: Whether the older instruments are wanted as well.
        """
        settled, labels = outcome.settlement, call_labels(facts)
        if settled["served_model"]:
            labels["gen_ai.response.model"] = settled["served_model"]
        ended = {"error.type": settled["error_type"]} if settled["error_type"] else {}
        seconds = settled["latency_ms"] / 1000
        self._durations[facts.operation].record(seconds, {**labels, **ended})
        first_s = None if outcome.first_ms is None or not facts.streams else outcome.first_ms / 1000
        if first_s is not None:
            self._first.record(first_s, labels)
        basis = {"aegis.cost.basis": settled["cost_basis"]}
        self._cost.add(settled["cost_nano_usd"], {**labels, **basis})
        self._count(facts, outcome, labels)
        if old_names:
            self._measure_by_old_names(outcome, labels, ended, seconds, first_s)

    def _count(self, facts: CallFacts, outcome: EndedCall, labels: dict[str, Any]) -> None:
        counts = usage_of(outcome.settlement)
        if facts.operation == "embeddings":
            if outcome.has_usage:
                self._embedded.record(counts["input_tokens"], labels)
            return
        for field, counter in self._usage.items():
            count = counts[field] if outcome.has_usage else None
            if count is None:
                # A call without a usage is told by a 0 in the two main counters.
                if field in {"input_tokens", "output_tokens"}:
                    counter.add(0, {**labels, "gen_ai.token.modality": "unknown"})
                continue
            known = facts.text_only or "output" in field or field == "reasoning_tokens"
            counter.add(count, {**labels, "gen_ai.token.modality": "text" if known else "unknown"})

    def _measure_by_old_names(
        self,
        outcome: EndedCall,
        labels: dict[str, Any],
        ended: dict[str, str],
        seconds: float,
        first_s: float | None,
    ) -> None:
        tokens, duration, first = self._old_instruments()
        labels = {**labels, **old_attributes(labels)}
        duration.record(seconds, {**labels, **ended})
        if first_s is not None:
            first.record(first_s, labels)
        counts = usage_of(outcome.settlement)
        for kind in ("input", "output") if outcome.has_usage else ():
            tokens.record(counts[f"{kind}_tokens"], {**labels, "gen_ai.token.type": kind})

    def _old_instruments(self) -> tuple[Histogram, Histogram, Histogram]:
        if self._old is None:
            tokens = self._meter.create_histogram(
                "gen_ai.client.token.usage",
                "{token}",
                "Tokens of a call",
                explicit_bucket_boundaries_advisory=_TOKENS,
            )
            self._old = (
                tokens,
                self._seconds("gen_ai.client.operation.duration", "Duration of a call"),
                self._seconds(
                    "gen_ai.client.operation.time_to_first_chunk",
                    "Time to the first piece of an answer",
                ),
            )
        return self._old

    def _seconds(self, name: str, what: str) -> Histogram:
        return self._meter.create_histogram(
            name, "s", what, explicit_bucket_boundaries_advisory=_SECONDS
        )

    def _tokens(self, name: str) -> Counter:
        return self._meter.create_counter(name, "{token}", "Tokens that providers counted")


def instruments() -> Instruments:
    """The instruments of the application's SDK."""
    return _made_for(metrics.get_meter_provider())


@lru_cache(maxsize=4)
def _made_for(provider: MeterProvider) -> Instruments:
    return Instruments(provider.get_meter("aegis_graph"))
