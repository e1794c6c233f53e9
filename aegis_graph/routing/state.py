"""What flows through the routing subgraph: the request, the route in progress, and the result.

Everything here is JSON or a LangChain message, so that any checkpointer can store it.
"""

from __future__ import annotations

from typing import Annotated, Any, cast
from uuid import uuid4

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.channels import EphemeralValue, UntrackedValue
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.choices import RouterContext
from aegis_graph.routing.route import Route, new_route
from aegis_graph.types import AttemptRecord, CallOptions, SkippedRecord

_WHOLE_MESSAGES = frozenset({AIMessage, HumanMessage, SystemMessage, ToolMessage})


def join_messages(left: Any, right: Any) -> Any:
    """``add_messages``, which reports what is no message as a wrong request."""
    if type(left) is type(right) is list and _are_new(left, right):
        return [*left, *right]
    try:
        return add_messages(left, right)
    except (ValueError, TypeError, NotImplementedError) as error:  # house: LangChain raises it
        what = str(error).splitlines()[0]
        raise InvalidRequestError(f"messages: not LangChain messages: {what}") from error


def _are_new(left: list[Any], right: list[Any]) -> bool:
    """Whether messages are whole and only added; each of them has an identifier then."""
    known = {getattr(message, "id", None) for message in left}
    for message in right:
        if type(message) not in _WHOLE_MESSAGES or message.id in known:
            return False
        if message.id is None:
            message.id = str(uuid4())
        known.add(message.id)
    return None not in known


class AskedMessages(TypedDict):
    """What every request has."""

    messages: Annotated[list[AnyMessage], join_messages]


class RouterInput(AskedMessages, RouterContext, total=False):
    """What a caller gives. Only ``messages`` is required."""

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


def answered(state: RouterState) -> RouterState:
    """The state after a person was asked: the request's own time begins anew."""
    left = {key: value for key, value in state.items() if key != "ends_at"}
    return cast("RouterState", {**left, "route": {**route_of(state), "question": None}})


def route_of(state: RouterState) -> Route:
    """The request in progress. ``budget_check`` writes it before every other node."""
    route = state["route"]
    assert route is not None, "no node runs before budget_check"
    return route
