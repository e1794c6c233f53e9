"""How one call ended, and what it makes of its request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from langchain_core.messages import AIMessage
from langgraph.types import Command

from aegis_graph.pricing.money import usd_text
from aegis_graph.providers.base import Provider
from aegis_graph.routing.route import attempted, hedged
from aegis_graph.routing.state import RouterState, route_of
from aegis_graph.types import AttemptRecord, SettlementRecord

AttemptCommand = Command[Literal["budget_check", "accept", "record_cost"]]


class CallOutcome(NamedTuple):
    """How one call to one provider ended."""

    record: AttemptRecord
    settlement: SettlementRecord
    """What its reservation turned into."""
    answer: AIMessage | None = None
    exclude: str | None = None
    """A provider that is not asked again for this request."""
    retry_after_s: float = 0.0
    """How long to wait before the next attempt, in seconds."""
    broken_off: str | None = None
    """What the caller has of an answer that broke off, where that ends the request."""

    @property
    def ends_request(self) -> bool:
        """Whether no other provider is asked."""
        return self.answer is not None or self.broken_off is not None


def onward(
    state: RouterState, outcomes: Sequence[CallOutcome], *, is_judged: bool = False
) -> AttemptCommand:
    """The next step of a request after its calls.

    Args:
        state: The request when the calls began.
        outcomes: Of each, in the order in which they began; the first that ends the request is its
            end.
        is_judged: Whether an answer must pass a check.
    """
    route = route_of(state)
    if len(outcomes) > 1:
        route = hedged(route)
    for one in outcomes:
        route = attempted(
            route,
            one.settlement,
            exclude=one.exclude,
            retry_after_s=one.retry_after_s,
            broken_off=one.broken_off,
        )
    last = next((one for one in outcomes if one.ends_request), None)
    update: dict[str, Any] = {
        "route": route,
        "attempts": [*state["attempts"], *(one.record for one in outcomes)],
    }
    if last is None:
        return Command(goto="budget_check", update=update)
    if last.answer is None:
        return Command(goto="record_cost", update=update)
    update["answer"] = last.answer
    return Command(goto="accept" if is_judged else "record_cost", update=update)


def attempt_record(
    task: str,
    provider: Provider,
    number: int,
    settlement: SettlementRecord,
    reason: str,
    queued_ms: int | None = None,
) -> AttemptRecord:
    """A call as the caller sees it.

    Args:
        task: What it was for.
        provider: As it was asked.
        number: The attempt's, from 1.
        settlement: What its reservation turned into.
        reason: Why the provider was asked, or why the attempt failed.
        queued_ms: How long the request had waited for it, where a limit is in force.
    """
    record = AttemptRecord(
        attempt=number,
        task=task,
        provider=provider.spec.name,
        model=provider.spec.model,
        status=settlement["status"],
        error_type=settlement["error_type"],
        reason=reason,
        cost_usd=usd_text(settlement["cost_nano_usd"]),
        cost_basis=settlement["cost_basis"],
        latency_ms=settlement["latency_ms"],
    )
    if provider.tier is not None:
        record["tier"] = provider.tier
    if queued_ms is not None:
        record["queued_ms"] = queued_ms
    return record


def signed(answer: AIMessage, record: AttemptRecord, route_id: str) -> AIMessage:
    """The answer with its provider and its cost."""
    facts = {
        "provider": record["provider"],
        "model": record["model"],
        "cost_usd": record["cost_usd"],
        "cost_basis": record["cost_basis"],
        "route_id": route_id,
        "attempt": record["attempt"],
    }
    return answer.model_copy(update={"response_metadata": {**answer.response_metadata, **facts}})
