"""What flows through the routing subgraph: the request, the route in progress, and the result.

Everything here is JSON or a LangChain message, so that any checkpointer can store it.
"""

from __future__ import annotations

from typing import Annotated, Any, Required

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels import EphemeralValue
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from aegis_graph.errors import InvalidRequestError
from aegis_graph.types import (
    AttemptRecord,
    CallOptions,
    Sensitivity,
    SettlementRecord,
    SkippedRecord,
    Task,
)


class OpenHold(TypedDict):
    """A reservation that the ledger has made and no attempt has used yet."""

    id: int
    """The ledger's row."""
    nano_usd: int
    """The most that the attempt can cost."""


class Route(TypedDict):
    """A request in progress. It exists from ``budget_check`` to ``record_cost`` only."""

    id: str
    attempts: list[AttemptRecord]
    skipped: list[SkippedRecord]
    excluded: list[str]
    """Providers that are not asked again for this request."""
    hold: OpenHold | None
    """The reservation of the attempt to make next."""
    reason: str
    """Why the next provider was chosen."""
    pending: SettlementRecord | None
    """The attempt that just ended, until the ledger has it."""
    retry_after_s: float
    """How long to wait before the next attempt, in seconds."""
    rejected: bool
    """Whether a provider said that the request itself is wrong."""
    broken_off: str | None
    """What the caller was given of an answer that broke off, where that ends the request."""


def join_messages(left: Any, right: Any) -> Any:
    """``add_messages``, for which what is no message is a wrong request."""
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

    attempts: list[AttemptRecord]
    skipped: list[SkippedRecord]
    route_id: str
    route: Annotated[Route | None, EphemeralValue]
    answer: Annotated[AIMessage | None, EphemeralValue]
