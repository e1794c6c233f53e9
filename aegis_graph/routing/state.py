"""What flows through the routing subgraph: the request, the route in progress, and the result.

Everything here is JSON or a LangChain message, so that any checkpointer can store it.
"""

from __future__ import annotations

from typing import Annotated, Any, Required
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels import EphemeralValue, UntrackedValue
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from aegis_graph.errors import InvalidRequestError
from aegis_graph.routing.route import Route, new_route
from aegis_graph.types import (
    AttemptRecord,
    CallOptions,
    Order,
    Sensitivity,
    SkippedRecord,
    Task,
)


def join_messages(left: Any, right: Any) -> Any:
    """``add_messages``, which reports what is no message as a wrong request."""
    try:
        return add_messages(left, right)
    except (ValueError, TypeError, NotImplementedError) as error:  # house: LangChain raises it
        what = str(error).splitlines()[0]
        raise InvalidRequestError(f"messages: not LangChain messages: {what}") from error


class RouterInput(TypedDict, total=False):
    """What a caller gives. Only ``messages`` is required."""

    messages: Required[Annotated[list[AnyMessage], join_messages]]
    task: Task
    sensitivity: Sensitivity
    user_id: str
    max_output_tokens: int
    run_id: str
    """Names what this request is a part of: one answer, one job. Costs are counted for it."""
    max_cost_usd: str
    """What all requests of the run may cost together, as decimal text; needs ``run_id``."""
    tags: dict[str, str]
    """What the request is counted by as well, such as ``{"team": "search"}``: at most 8."""
    model: str
    """Which providers may be asked: a model, a provider's name, an alias, or ``auto`` for all."""
    providers: list[str]
    """Which providers may be asked, and in which order."""
    timeout_s: float
    """How long the request may take with all its attempts, waits and retries, in seconds."""
    max_price_usd: str
    """The most that one call may cost, as decimal text."""
    order: Order
    """By what the providers are put in order: ``listed``, ``price``, ``latency``, ``weighted``."""
    options: CallOptions


class RouterOutput(TypedDict):
    """What a caller gets."""

    messages: Annotated[list[AnyMessage], join_messages]
    attempts: list[AttemptRecord]
    skipped: list[SkippedRecord]
    route_id: str


class RouterState(RouterInput, total=False):
    """The subgraph's own state.

    ``route`` and ``answer`` live for one step: a new request on the same thread finds neither,
    whatever became of the one before it.
    """

    # Without reducers, which would add up all turns of a thread.
    attempts: list[AttemptRecord]
    skipped: list[SkippedRecord]
    route_id: str
    route: Annotated[Route | None, EphemeralValue]
    ends_at: Annotated[float, UntrackedValue]
    """When the request's own time is over; for this run only, see ``Deadline``."""
    answer: Annotated[AIMessage | None, EphemeralValue]


def in_progress(state: RouterState) -> RouterState:
    """The state with a route; a new request finds nothing of its thread's last one in it."""
    if state.get("route") is not None:
        return state
    return {**state, "route": new_route(), "attempts": [], "skipped": [], "route_id": uuid4().hex}


def route_of(state: RouterState) -> Route:
    """The request in progress. ``budget_check`` writes it before every other node."""
    route = state["route"]
    assert route is not None, "no node runs before budget_check"
    return route
