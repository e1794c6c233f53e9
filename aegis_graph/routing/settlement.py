"""What an attempt cost: pure arithmetic from the provider's counts to the ledger's row."""

from __future__ import annotations

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata

from aegis_graph.errors import MalformedAnswerError, ProviderError, StreamCutError
from aegis_graph.ledger.records import settlement_without_usage
from aegis_graph.pricing.money import to_nano_usd
from aegis_graph.pricing.prices import Price, TokenUsage
from aegis_graph.request.token_bounds import text_bound
from aegis_graph.routing.reservation import Bound
from aegis_graph.routing.route import AdmittedHold
from aegis_graph.routing.stream_recorder import StreamRecorder, message_text
from aegis_graph.types import CostBasis, SettlementRecord, Status

MAX_COUNT = 1_000_000_000
"""No request has more tokens: a larger count is a fault of the server."""


def _believable(usage: UsageMetadata, text: str) -> bool:
    # Counts of 0 for text that is there are a server's way of not counting, and so is -1.
    least_output = 1 if text else 0
    return (
        0 < usage["input_tokens"] <= MAX_COUNT
        and least_output <= usage["output_tokens"] <= MAX_COUNT
    )


def _within(count: int | None, most: int) -> int:
    return min(max(count or 0, 0), most)


class SettlementCalculator:
    """Turns what is known of an attempt into its settlement.

    Args:
        hold: The attempt's reservation.
        bound: The most that the attempt can use.
        price: The provider's price.
    """

    def __init__(
        self,
        hold: AdmittedHold,
        bound: Bound,
        price: Price,
    ) -> None:
        self._hold = hold
        self._bound = bound
        self._price = price

    def answered(self, answer: AIMessage, *, latency_ms: int) -> SettlementRecord:
        """The settlement of a complete answer."""
        return self._from_message(answer, "answered", None, latency_ms)

    def failed(
        self,
        error: ProviderError,
        answer: AIMessage | None,
        recorder: StreamRecorder,
        *,
        latency_ms: int,
    ) -> SettlementRecord:
        """The settlement of an attempt that ended in an error."""
        name = type(error).__name__
        if answer is not None:
            return self._from_message(answer, "failed", name, latency_ms)
        # A stream that was cut and an answer without sense were both produced, and may be billed.
        unknown = error.outcome_unknown or isinstance(error, StreamCutError | MalformedAnswerError)
        return self._from_fragment("failed", name, recorder, unknown=unknown, latency_ms=latency_ms)

    def cancelled(self, recorder: StreamRecorder, *, latency_ms: int) -> SettlementRecord:
        """The settlement of an attempt that was cancelled."""
        return self._from_fragment("cancelled", None, recorder, unknown=True, latency_ms=latency_ms)

    def unsent(self, *, latency_ms: int) -> SettlementRecord:
        """The settlement of an attempt that was cancelled before anything was sent."""
        return self._record("cancelled", None, 0, "none", latency_ms)

    def _from_message(
        self, answer: AIMessage, status: Status, error_type: str | None, latency_ms: int
    ) -> SettlementRecord:
        usage = answer.usage_metadata
        text = message_text(answer)
        if not usage or not _believable(usage, text):
            return self._estimate(text, status, error_type, latency_ms)
        # A part of the input cannot be larger than the input: no share is priced twice.
        details = usage.get("input_token_details") or {}
        cached = _within(details.get("cache_read"), usage["input_tokens"])
        cost = self._price(
            TokenUsage(
                usage["input_tokens"],
                usage["output_tokens"],
                cached_input_tokens=cached,
                cache_write_tokens=_within(
                    details.get("cache_creation"), usage["input_tokens"] - cached
                ),
            )
        )
        record = self._record(status, error_type, to_nano_usd(cost), "reported", latency_ms)
        record["input_tokens"] = usage["input_tokens"]
        record["output_tokens"] = usage["output_tokens"]
        record["cached_input_tokens"] = cached if "cache_read" in details else None
        record["reasoning_tokens"] = (usage.get("output_token_details") or {}).get("reasoning")
        return record

    def _from_fragment(
        self,
        status: Status,
        error_type: str | None,
        recorder: StreamRecorder,
        *,
        unknown: bool,
        latency_ms: int,
    ) -> SettlementRecord:
        if recorder.has_content:
            return self._estimate(recorder.text, status, error_type, latency_ms)
        if unknown:
            # The provider may bill all of it, so all of it counts as spent.
            return self._record(status, error_type, self._hold["nano_usd"], "held", latency_ms)
        return self._record(status, error_type, 0, "none", latency_ms)

    def _estimate(
        self, text: str, status: Status, error_type: str | None, latency_ms: int
    ) -> SettlementRecord:
        """The most that the prompt and this text can have cost: never below the real bill."""
        output = min(text_bound(text), self._bound.output_tokens)
        cost = to_nano_usd(self._price(TokenUsage(self._bound.input_tokens, output)))
        record = self._record(status, error_type, cost, "estimated", latency_ms)
        record["input_tokens"] = self._bound.input_tokens
        record["output_tokens"] = output
        return record

    def _record(
        self,
        status: Status,
        error_type: str | None,
        cost_nano_usd: int,
        basis: CostBasis,
        latency_ms: int,
    ) -> SettlementRecord:
        return settlement_without_usage(
            self._hold["id"],
            status,
            error_type=error_type,
            cost_nano_usd=cost_nano_usd,
            cost_basis=basis,
            latency_ms=latency_ms,
        )
