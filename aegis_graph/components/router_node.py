"""What every component takes for its request, and what it reports of its run.

A component's state holds what the caller chose for one step only, so that a request on the same
thread does not inherit the privacy level of the one before. The component's first node keeps it,
as ``chosen``, for the nodes after it, and ``ask_router`` hands it to every call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, cast
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables.config import merge_configs
from langgraph.channels import EphemeralValue
from langgraph.constants import TAG_NOSTREAM
from langgraph.pregel.protocol import PregelProtocol
from typing_extensions import TypedDict

from aegis_graph.errors import InvalidRequestError, RoutingError
from aegis_graph.request.request import Request
from aegis_graph.routing.state import RouterState
from aegis_graph.types import AttemptRecord, Sensitivity, SkippedRecord, Task

AsyncNode = Callable[[Any], Awaitable[Any]]
"""What ``RunnableLambda`` says it takes; it passes the configuration as well."""

RouterGraph = PregelProtocol[Any, Any, Any, Any]
"""A compiled router, a handle of one, or a graph with its input and output."""


class Choices(TypedDict, total=False):
    """What one request may choose; each reaches every call below it."""

    sensitivity: Annotated[Sensitivity, EphemeralValue]
    """``confidential``, ``pii`` and ``hipaa`` stay on local providers."""
    user_id: Annotated[str, EphemeralValue]
    """Whom the cost belongs to."""
    max_output_tokens: Annotated[int, EphemeralValue]
    """Cap of each call's answer, in tokens."""
    run_id: Annotated[str, EphemeralValue]
    """All requests with the same one share an envelope of money; a new one when absent."""
    max_cost_usd: Annotated[str, EphemeralValue]
    """What the requests of the envelope may cost together, in USD, as decimal text."""


class Report(TypedDict):
    """What a component says of its run."""

    attempts: list[AttemptRecord]
    """Every physical call of the run; its cost is their sum."""
    degraded: bool
    """Whether a rule stood in for a model that could not be asked or understood."""
    degraded_reason: str | None
    """Why, in one line."""


class Refusal(TypedDict):
    """Why nobody answered."""

    error: str
    """Name of the ``RoutingError``."""
    message: str


class Ask(TypedDict, total=False):
    """One request to the router."""

    messages: Sequence[BaseMessage]
    task: Task
    chosen: Mapping[str, Any]
    """From ``chosen``."""
    options: Mapping[str, Any]
    """The router's ``options``, such as ``response_schema``."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of one request to the router."""

    answer: AIMessage | None
    """``None`` when nobody answered."""
    error: RoutingError | None
    """Why nobody answered."""
    attempts: list[AttemptRecord]
    skipped: list[SkippedRecord]
    route_id: str

    @property
    def refusal(self) -> Refusal | None:
        """Why nobody answered, as JSON."""
        if self.error is None:
            return None
        return Refusal(error=type(self.error).__name__, message=str(self.error))


def question_of(state: Mapping[str, Any]) -> str:
    """The question of a component's input.

    Raises:
        InvalidRequestError: There is none.
    """
    question = state.get("question")
    if not isinstance(question, str) or not question.strip():
        raise InvalidRequestError("question: empty; give it a text")
    return question


def chosen(state: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller chose, for a component's first node to keep.

    A run that the caller did not name gets a name of its own, so that the ledger can tell what it
    cost, and its envelope is of that run only.

    Raises:
        InvalidRequestError: One of them is wrong, whether or not anybody will be asked.
    """
    given = {key: state[key] for key in Choices.__annotations__ if state.get(key) is not None}
    choices = {"run_id": uuid4().hex, **given}
    Request.from_state(cast("RouterState", {"messages": [HumanMessage("?")], **choices}), {})
    return choices


def no_model_reason(asked: Asked) -> str:
    """Why the embedded provider answered instead of a language model, in one line."""
    failed = [
        f"{one['provider']} failed ({one['reason']})"
        for one in asked.attempts
        if one["status"] != "answered"
    ]
    passed_over = [f"{one['provider']} not asked ({one['reason']})" for one in asked.skipped]
    return "; ".join(["no language model answered", *failed, *passed_over])


def cost_text(attempts: Sequence[Mapping[str, Any]]) -> str:
    """What the attempts cost together, in USD, as decimal text without trailing zeros."""
    return f"{cost_usd(attempts).normalize():f}"


def cost_usd(attempts: Sequence[Mapping[str, Any]]) -> Decimal:
    """What the attempts cost together, in USD."""
    return sum((Decimal(attempt["cost_usd"]) for attempt in attempts), Decimal(0))


def ask_router(
    router: RouterGraph,
    *,
    prepare: Callable[[Any], Ask],
    conclude: Callable[[Any, Asked], Any],
    streamed: bool = False,
) -> Runnable[Any, Any]:
    """Build a node that asks the router once; sync and async hosts run it alike.

    ``conclude`` gets an answer, or the error that says why there is none, and degrades by rule or
    raises it. A ledger that cannot be used is raised here: with a checkpointer the run is resumed
    without a second call. The drawing shows the router inside the node.

    Args:
        router: The compiled router.
        prepare: Turns the node's state into a request.
        conclude: Turns the state and the outcome into the node's update.
        streamed: Whether the answer's tokens are for whoever streams messages.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> node = ask_router(
        ...     router,
        ...     prepare=lambda state: Ask(messages=[HumanMessage("Hi")], task="chat"),
        ...     conclude=lambda state, asked: {"text": asked.answer.text if asked.answer else ""},
        ... )  # doctest: +SKIP
    """
    tags = [] if streamed else [TAG_NOSTREAM]

    # Closures, because LangGraph finds a subgraph among a node's nonlocals.
    def ask(state: Any, config: RunnableConfig) -> Any:
        try:
            request = _request(prepare(state))
            result = router.invoke(request, merge_configs(config, {"tags": tags}))
        except RoutingError as error:
            return conclude(state, _refused(error))
        return conclude(state, _answered(result))

    async def aask(state: Any, config: RunnableConfig) -> Any:
        try:
            request = _request(prepare(state))
            result = await router.ainvoke(request, merge_configs(config, {"tags": tags}))
        except RoutingError as error:
            return conclude(state, _refused(error))
        return conclude(state, _answered(result))

    return RunnableLambda(ask, cast("AsyncNode", aask))


def run_graph(
    graph: Runnable[Any, Any],
    *,
    prepare: Callable[[Any], Any],
    conclude: Callable[[Any, Any], Any],
) -> Runnable[Any, Any]:
    """Build a node that runs a graph, or any runnable; the drawing shows the graph inside.

    Args:
        graph: What to run; sync and async hosts run it alike.
        prepare: Turns the node's state into its input.
        conclude: Turns the state and its output into the node's update.
    """

    def run(state: Any, config: RunnableConfig) -> Any:
        return conclude(state, graph.invoke(prepare(state), config))

    async def arun(state: Any, config: RunnableConfig) -> Any:
        return conclude(state, await graph.ainvoke(prepare(state), config))

    return RunnableLambda(run, cast("AsyncNode", arun))


def _request(ask: Ask) -> dict[str, Any]:
    request = {"messages": list(ask["messages"]), "task": ask["task"], **ask.get("chosen", {})}
    return {**request, "options": ask["options"]} if "options" in ask else request


def _answered(result: Mapping[str, Any]) -> Asked:
    return Asked(
        result["messages"][-1], None, result["attempts"], result["skipped"], result["route_id"]
    )


def _refused(error: RoutingError) -> Asked:
    return Asked(
        None,
        error,
        cast("list[AttemptRecord]", error.attempts),
        cast("list[SkippedRecord]", error.skipped),
        error.route_id,
    )
