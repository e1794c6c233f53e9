"""How one call ended, and what it makes of its request. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from langchain_core.messages import AIMessage
from langgraph.types import Command

from aegis_graph.routing.route import attempted
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
        outcomes: Of each, in the order in which they began; at most one of them is the end of it.
        is_judged: Whether an answer must pass a check.
    """
    route = route_of(state)
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
