"""What every component takes for its request, and what it reports of its run.

A component's state holds the common input for one step only, so that a request on the same thread
does not inherit the privacy level of the one before. The component's first node keeps what was
given of it, as ``options``, for the nodes after it, and ``ask_router`` hands it to every call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any, cast
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.channels import EphemeralValue
from langgraph.constants import TAG_NOSTREAM
from langgraph.pregel.protocol import PregelProtocol
from typing_extensions import TypedDict

from aegis_graph.components.dual_node import DualCall, dual_node
from aegis_graph.errors import InvalidRequestError, RoutingError
from aegis_graph.request.request import checked_choices
from aegis_graph.routing.hosts.message_streams import spoken_in_streams
from aegis_graph.routing.observer import observer_in, with_observer
from aegis_graph.text.reasoning import spoken_part
from aegis_graph.types import (
    CUT_OFF,
    FINISH_REASON,
    AttemptRecord,
    Sensitivity,
    SkippedRecord,
    Task,
)

RouterGraph = PregelProtocol[Any, Any, Any, Any]
"""A compiled router, a handle of one, or a graph with its input and output."""


TEMPERATURE = 0.0
"""Components ask for what a text or an image says, so for the likeliest word; a row's own
temperature goes before it. On a model of 1.5 billion weights a server's default of 0.8 changed the
answer to the same prompt from run to run."""


class CommonInput(TypedDict, total=False):
    """What every component takes beside its own input; each field reaches every call below it."""

    sensitivity: Annotated[Sensitivity, EphemeralValue]
    """``confidential``, ``pii`` and ``hipaa`` stay on local providers."""
    user_id: Annotated[str, EphemeralValue]
    """The user that the cost belongs to."""
    max_output_tokens: Annotated[int, EphemeralValue]
    """Cap of each call's answer, in tokens."""
    run_id: Annotated[str, EphemeralValue]
    """All requests with the same one share an envelope of money; a new one when absent."""
    max_cost_usd: Annotated[str, EphemeralValue]
    """What the requests of the envelope may cost together, in USD, as decimal text."""
    tags: Annotated[dict[str, str], EphemeralValue]
    """What each call is counted by as well, such as ``{"team": "search"}``."""


class CommonOutput(TypedDict):
    """What every component reports of its run, beside its own output."""

    attempts: list[AttemptRecord]
    """Every physical call of the run; its cost is their sum."""
    degraded: bool
    """Whether a rule stood in for a model that could not be asked or understood."""
    degraded_reason: str | None
    """Why, in one line."""


class RefusalRecord(TypedDict):
    """Why no provider answered; JSON."""

    error: str
    """Name of the ``RoutingError``."""
    message: str


class RouterCall(TypedDict, total=False):
    """What a node asks the router."""

    messages: Sequence[BaseMessage]
    task: Task
    options: Mapping[str, Any]
    """From ``options_of``."""
    call_options: Mapping[str, Any]
    """``CallOptions``, such as ``response_schema``."""
    find_problem: Callable[[Any], str | None]
    """Judges the value of an answer, where the schema asks for more than has to be there."""


@dataclass(frozen=True, slots=True)
class RouterOutcome:
    """What came of one call of the router: an answer, or an error."""

    answer: AIMessage | None
    """``None`` when no provider answered."""
    error: RoutingError | None
    """Why no provider answered; ``None`` when one did."""
    attempts: list[AttemptRecord]
    skipped: list[SkippedRecord]
    route_id: str

    @property
    def text(self) -> str:
        """The answer's text without reasoning and halves of characters; empty without an answer.

        Every component reads a model through it.
        """
        return "" if self.answer is None else spoken_part(self.answer.text)

    @property
    def cut(self) -> bool:
        """Whether the answer ended at a cap of tokens."""
        return (
            self.answer is not None and self.answer.response_metadata.get(FINISH_REASON) == CUT_OFF
        )

    @property
    def refusal(self) -> RefusalRecord | None:
        """The error as JSON."""
        if self.error is None:
            return None
        return RefusalRecord(error=type(self.error).__name__, message=str(self.error))


def question_of(state: Mapping[str, Any]) -> str:
    """The question of a component's input.

    Raises:
        InvalidRequestError: There is none.
    """
    question = state.get("question")
    if not isinstance(question, str) or not question.strip():
        raise InvalidRequestError("question: empty; give it a text")
    return question


def options_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """The common input that the caller gave, for a component's first node to keep.

    A run without a ``run_id`` gets a new one, so that the ledger can tell what the run cost, and
    its envelope counts that run only.

    Raises:
        InvalidRequestError: An option is wrong, whether or not a provider will be asked.
    """
    given = {key: state[key] for key in CommonInput.__annotations__ if state.get(key) is not None}
    options = given if "run_id" in given else {"run_id": uuid4().hex, **given}
    # Checked here, because a component may answer by rule without asking the router.
    checked_choices(options)
    return options


def no_model_reason(outcome: RouterOutcome) -> str:
    """Why the embedded provider answered instead of a language model, in one line."""
    failed = [
        f"{one['provider']} failed ({one['reason']})"
        for one in outcome.attempts
        if one["status"] != "answered"
    ]
    passed_over = [f"{one['provider']} not asked ({one['reason']})" for one in outcome.skipped]
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
    prepare: Callable[[Any], RouterCall],
    conclude: Callable[[Any, RouterOutcome], Any],
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
        streamed: Whether a caller that streams messages is shown the answer's tokens, without
            reasoning.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> node = ask_router(
        ...     router,
        ...     prepare=lambda state: RouterCall(messages=[HumanMessage("Hi")], task="chat"),
        ...     conclude=lambda state, outcome: {"text": outcome.text},
        ... )  # doctest: +SKIP
    """
    # LangGraph's own tag, which keeps a model's tokens out of the message stream.
    tags = [] if streamed else [TAG_NOSTREAM]

    async def ask(target: RouterGraph, state: Any, config: RunnableConfig, call: DualCall) -> Any:
        try:
            asked = prepare(state)
            tagged = {**config, "tags": [*(config.get("tags") or ()), *tags]} if tags else config
            tagged = _judged(tagged, asked.get("find_problem"))
            # What the answer has left out in the end is not shown on the way to it.
            with spoken_in_streams(tagged) if streamed else nullcontext(tagged) as shown:
                result = await call(target.invoke, target.ainvoke, _request(asked), shown)
        # Only these: with a ledger that cannot be used, a run is resumed and not degraded.
        except RoutingError as error:
            return conclude(state, _refused(error))
        return conclude(state, _answered(result))

    return dual_node(router, ask, is_own=True)


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

    async def run(
        target: Runnable[Any, Any], state: Any, config: RunnableConfig, call: DualCall
    ) -> Any:
        return conclude(state, await call(target.invoke, target.ainvoke, prepare(state), config))

    return dual_node(graph, run, is_own=True)


def _request(call: RouterCall) -> dict[str, Any]:
    options = {"default_temperature": TEMPERATURE, **call.get("call_options", {})}
    request = {"messages": list(call["messages"]), "task": call["task"], "options": options}
    return {**request, **call.get("options", {})}


def _judged(
    config: RunnableConfig, find_problem: Callable[[Any], str | None] | None
) -> RunnableConfig:
    if find_problem is None:
        return config
    return with_observer(replace(observer_in(config), find_problem=find_problem), config)


def _answered(result: Mapping[str, Any]) -> RouterOutcome:
    return RouterOutcome(
        result["messages"][-1], None, result["attempts"], result["skipped"], result["route_id"]
    )


def _refused(error: RoutingError) -> RouterOutcome:
    return RouterOutcome(
        None,
        error,
        cast("list[AttemptRecord]", error.attempts),
        cast("list[SkippedRecord]", error.skipped),
        error.route_id,
    )
