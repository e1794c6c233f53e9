"""What an attempt cost: pure arithmetic from the provider's counts to the ledger's row."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from langchain_core.messages import AIMessage

from aegis_graph.errors import MalformedAnswerError, ProviderError, StreamCutError
from aegis_graph.ledger.settlements import settlement_without_usage
from aegis_graph.pricing.money import to_nano_usd, usd_text
from aegis_graph.pricing.prices import Price
from aegis_graph.pricing.rates import Cost, TokenUsage
from aegis_graph.request.token_bounds import text_bound
from aegis_graph.routing.exchange.reported_usage import (
    ReportedUsage,
    reported_usage,
    served_model,
    served_tier,
)
from aegis_graph.routing.reservation import Bound
from aegis_graph.routing.route import AdmittedHold
from aegis_graph.routing.stream_recorder import StreamRecorder, message_text
from aegis_graph.types import UNBELIEVED, CostBasis, SettlementRecord, Status

logger = logging.getLogger(__name__)

TEMPLATE_MARGIN = 1_024
"""Input tokens beyond a request's own bound that are believed: a server may put a system prompt of
its own before the messages. No source has a number; Llama's and Qwen's default prompts are below
100 tokens, and those of their templates for tools below 500."""


class _Served(NamedTuple):
    """What the provider says that it served."""

    tier: str | None = None
    model: str | None = None


_NOT_SAID = _Served()


class SettlementCalculator:
    """Turns what is known of an attempt into its settlement.

    Args:
        hold: The attempt's reservation.
        bound: The most that the attempt can use.
        price: The provider's price.
        provider: Its name, for the log.
        tier: The tier at half the price that it was asked in, if any.
        first_token_ms: Says when the first piece came, once it has.
        served_price: The price of another model than the row's, where one is known.
    """

    def __init__(
        self,
        hold: AdmittedHold,
        bound: Bound,
        price: Price,
        *,
        provider: str = "",
        tier: str | None = None,
        first_token_ms: Callable[[], int | None] = lambda: None,
        served_price: Callable[[str], Price | None] = lambda model: None,
    ) -> None:
        self._hold = hold
        self._bound = bound
        self._price = price
        self._provider = provider
        self._tier = tier
        self._first_token_ms = first_token_ms
        self._served_price = served_price
        self._admitted_at = datetime.fromisoformat(hold["admitted_at"])

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
        text, served = message_text(answer), _Served(served_tier(answer), served_model(answer))
        usage = reported_usage(answer)
        if usage is None or not _counts_something(usage, text):
            record = self._estimate(text, status, error_type, latency_ms, served)
        else:
            record = self._from_usage(usage, text, status, error_type, latency_ms, served)
        record["service_tier"], record["served_model"] = served
        return record

    def _from_usage(
        self,
        usage: ReportedUsage,
        text: str,
        status: Status,
        error_type: str | None,
        latency_ms: int,
        served: _Served,
    ) -> SettlementRecord:
        believed = [one for one in usage.readings if self._is_believable(one, text)]
        if not believed:
            return self._unbelieved(usage.readings[0], status, error_type, latency_ms)
        # Where the counts contradict each other, the dearest that they can mean.
        costs = [(self._cost(tokens, served), tokens) for tokens in believed]
        cost, tokens = max(costs, key=lambda one: one[0].usd)
        exact = cost.exact and len(usage.readings) == 1
        nano_usd = to_nano_usd(cost.usd)
        basis: CostBasis = "reported" if exact else "estimated"
        record = self._record(status, error_type, nano_usd, basis, latency_ms)
        record["input_tokens"] = tokens.input_tokens
        record["output_tokens"] = tokens.output_tokens
        record["cached_input_tokens"] = usage.cached_input_tokens
        record["cache_write_tokens"] = usage.cache_write_tokens
        record["reasoning_tokens"] = usage.reasoning_tokens
        self._note_overrun(record)
        return record

    def _note_overrun(self, record: SettlementRecord) -> None:
        cost = record["cost_nano_usd"]
        record["overrun"] = max(0, cost - self._hold["nano_usd"])
        if record["overrun"]:
            logger.warning(
                "provider %s: an attempt cost $%s, which is $%s above its reservation",
                self._provider,
                usd_text(cost),
                usd_text(record["overrun"]),
            )

    def _is_believable(self, tokens: TokenUsage, text: str) -> bool:
        """Whether an attempt at this request can have used so much."""
        if self._hold["nano_usd"] == 0:
            # Nothing is at stake: what costs nothing may be counted as its server likes.
            return True
        # A server that did not keep to the cap has sent the text that it counts.
        most_output = max(self._bound.output_tokens, text_bound(text))
        return (
            tokens.input_tokens <= self._bound.input_tokens + TEMPLATE_MARGIN
            and tokens.output_tokens <= most_output
        )

    def _unbelieved(
        self, tokens: TokenUsage, status: Status, error_type: str | None, latency_ms: int
    ) -> SettlementRecord:
        """The whole hold: the provider may bill more than was believable, or nothing of it."""
        hold = self._hold["nano_usd"]
        logger.warning(
            "provider %s: %d input and %d output tokens cannot be true of a request with at most"
            " %d and %d; its reservation of $%s counts as spent",
            self._provider,
            tokens.input_tokens,
            tokens.output_tokens,
            self._bound.input_tokens,
            self._bound.output_tokens,
            usd_text(hold),
        )
        record = self._record(status, error_type, hold, "held", latency_ms)
        record["overrun"] = UNBELIEVED
        return record

    def _cost(self, tokens: TokenUsage, served: _Served) -> Cost:
        """What so much costs: of the row's model and the one that answered, the dearer."""
        cost = self._price.cost(tokens, at=self._admitted_at, service_tier=served.tier)
        other = None if served.model is None else self._served_price(served.model)
        if other is None:
            return cost
        dearer = other.cost(tokens, at=self._admitted_at, service_tier=served.tier)
        if dearer.usd <= cost.usd:
            return cost
        logger.warning(
            "provider %s: %s has answered, which is dearer than the row's model: its price counts",
            self._provider,
            served.model,
        )
        # Which of the two is billed only the bill says.
        return dearer._replace(exact=False)

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
        self,
        text: str,
        status: Status,
        error_type: str | None,
        latency_ms: int,
        served: _Served = _NOT_SAID,
    ) -> SettlementRecord:
        """The most that the prompt and this text can have cost: never below the real bill."""
        output = min(text_bound(text), self._bound.output_tokens)
        cost = self._cost(TokenUsage(self._bound.input_tokens, output), served)
        record = self._record(status, error_type, to_nano_usd(cost.usd), "estimated", latency_ms)
        record["input_tokens"] = self._bound.input_tokens
        record["output_tokens"] = output
        self._note_overrun(record)
        return record

    def _record(
        self,
        status: Status,
        error_type: str | None,
        cost_nano_usd: int,
        basis: CostBasis,
        latency_ms: int,
    ) -> SettlementRecord:
        record = settlement_without_usage(
            self._hold["id"],
            status,
            error_type=error_type,
            cost_nano_usd=cost_nano_usd,
            cost_basis=basis,
            latency_ms=latency_ms,
        )
        # What was served is known with an answer only.
        record["service_tier"] = self._tier
        record["first_token_ms"] = self._first_token_ms()
        return record


def _counts_something(usage: ReportedUsage, text: str) -> bool:
    # Counts of 0 for text that is there are a server's way of not counting.
    tokens = usage.readings[0]
    return tokens.input_tokens > 0 and (tokens.output_tokens > 0 or not text)
