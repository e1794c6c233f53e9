"""What flows through the routing subgraph: the request, the route in progress, and the result.

Everything here is JSON or a LangChain message, so that any checkpointer can store it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required, get_args

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.channels import EphemeralValue
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from aegis_graph.errors import InvalidRequestError

Task = Literal[
    "answer", "chat", "decompose", "embed", "extract", "glean", "keywords", "summary", "vision"
]
Sensitivity = Literal["public", "internal", "confidential", "pii", "hipaa"]
CostBasis = Literal["reported", "estimated", "held", "none"]
Status = Literal["answered", "failed", "cancelled"]

TASKS: tuple[Task, ...] = get_args(Task)
SENSITIVITIES: tuple[Sensitivity, ...] = get_args(Sensitivity)
LOCAL_ONLY: frozenset[Sensitivity] = frozenset({"confidential", "pii", "hipaa"})
"""Requests of these levels never leave providers whose location is ``local``."""

DEFAULT_TASK: Task = "chat"
DEFAULT_SENSITIVITY: Sensitivity = "internal"
DEFAULT_USER = "default"


class AttemptRecord(TypedDict):
    """One physical call to one provider, as the caller sees it."""

    attempt: int
    """1 for the first call of the request."""
    task: Task
    provider: str
    model: str
    status: Status
    error_type: str | None
    """Name of the ``ProviderError`` class, where the attempt failed."""
    reason: str
    """Why this provider was asked, or why the attempt failed."""
    cost_usd: str
    """Decimal text, exact."""
    cost_basis: CostBasis
    latency_ms: int


class SkippedRecord(TypedDict):
    """A configured provider that was not called, and why."""

    provider: str
    model: str
    code: Literal[
        "privacy",
        "task",
        "images",
        "tools",
        "schema",
        "key",
        "package",
        "cooldown",
        "verdict",
        "budget",
    ]
    reason: str


class SettlementRecord(TypedDict):
    """What a reservation turned into; kept in the state until the ledger has it."""

    hold_id: int
    status: Status
    error_type: str | None
    cost_nano_usd: int
    cost_basis: CostBasis
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    reasoning_tokens: int | None
    latency_ms: int


class Route(TypedDict):
    """A request in progress. It exists from ``budget_check`` to ``record_cost`` only."""

    id: str
    attempts: list[AttemptRecord]
    skipped: list[SkippedRecord]
    given_up: list[str]
    """Providers that are not asked again for this request."""
    hold_id: int | None
    """The reservation of the attempt to make next."""
    hold_nano_usd: int
    """What it holds."""
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


class CallOptions(TypedDict, total=False):
    """How the models are to answer, in the form that every provider's own is made from. JSON."""

    tools: list[dict[str, Any]]
    """Tools that the model may call, in OpenAI's form."""
    tool_choice: str
    """``auto``, ``none``, ``required``, or the name of the tool that must be called."""
    parallel_tool_calls: bool
    """Whether one answer may call several tools, where the provider lets one say so."""
    stop: list[str]
    """Words at which the answer ends."""
    temperature: float
    response_schema: dict[str, Any]
    """A JSON Schema of an object; models are told its title. An answer that does not fit it is a
    failed attempt; the one that does is in ``additional_kwargs["parsed"]``."""
    schema_method: Literal["json_schema", "json_mode", "tool"]
    """How to get an answer in that schema; each provider's own way when absent."""
    strict: bool
    """Whether OpenAI's grammar keeps to the schema to the letter."""


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
