"""The application's own functions in a request's way, and what each of them sees."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage
from langgraph.errors import GraphBubbleUp

from aegis_graph.config.price_specs import PriceSpec
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import AttemptRefusedError, ConfigError, HookError
from aegis_graph.ledger.alerts import Alert
from aegis_graph.request.request import Request
from aegis_graph.routing.budget_question import BudgetQuestion
from aegis_graph.routing.events import stream_writer
from aegis_graph.routing.policy import Candidate
from aegis_graph.routing.state import RouterState
from aegis_graph.types import (
    ON_BUDGET,
    AttemptRecord,
    CallOptions,
    OnBudget,
    Sensitivity,
    SkippedRecord,
    Task,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingAttempt:
    """What a ``before_attempt`` function sees of a call that is about to be made.

    Example:
        >>> from dataclasses import replace
        >>> from langchain_core.messages import HumanMessage
        >>> def before_attempt(attempt: OutgoingAttempt) -> OutgoingAttempt:
        ...     hidden = [HumanMessage(one.text.replace("Ada", "***")) for one in attempt.messages]
        ...     return replace(attempt, messages=hidden)
    """

    provider: str
    model: str
    location: Literal["local", "cloud"]
    task: Task
    sensitivity: Sensitivity
    user_id: str
    run_id: str | None
    tags: Mapping[str, str]
    route_id: str
    attempt: int
    """1 for the first call of the request."""
    hold_nano_usd: int
    """The most that the attempt can cost, in billionths of a USD."""
    messages: Sequence[BaseMessage]
    """Copies. What they are when the function is done is what is sent, for this attempt only."""
    options: CallOptions
    """Tools, schema and the like; a copy."""
    max_output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledAttempt:
    """What an ``after_attempt`` function sees of a call of which the ledger has the cost.

    Example:
        >>> def after_attempt(settled: SettledAttempt) -> None:
        ...     print(settled.record["provider"], settled.cost_nano_usd, settled.output_tokens)
    """

    record: AttemptRecord
    """As in the router's output."""
    route_id: str
    sensitivity: Sensitivity
    user_id: str
    run_id: str | None
    tags: Mapping[str, str]
    cost_nano_usd: int
    """In billionths of a USD."""
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    reasoning_tokens: int | None
    answer: AIMessage | None
    """A copy of the answer; ``None`` where the attempt failed."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """What a check returns to refuse an answer.

    Example:
        >>> def check(request, answer):
        ...     if len(answer.text) > 500:
        ...         return Rejection("is longer than 500 characters", tell_model=True)
    """

    reason: str
    """Recorded in one line; it is no place for private words of the answer."""
    tell_model: bool = False
    """Whether the provider that is asked next sees the reason in its prompt."""


Check = Callable[
    [Request, AIMessage],
    Rejection | str | bool | Awaitable[Rejection | str | bool | None] | None,
]
BeforeAttempt = Callable[
    [OutgoingAttempt], OutgoingAttempt | Awaitable[OutgoingAttempt | None] | None
]
AfterAttempt = Callable[[SettledAttempt], object]
OnAlert = Callable[[Alert], object]
Policy = Callable[
    [Sequence[Candidate], Sequence[SkippedRecord], Request],
    Sequence[Candidate] | Awaitable[Sequence[Candidate]],
]
AskBudget = Callable[[BudgetQuestion], object]
PriceOf = Callable[[ProviderSpec], PriceSpec | Literal["free"] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterHooks:
    """The functions that were given to a router. Each may be async, but for ``price``.

    Raises:
        ConfigError: One of them is no function.
    """

    before_attempt: BeforeAttempt | None = None
    """Before anything of an attempt is sent: redacts its messages, or refuses the provider."""
    after_attempt: AfterAttempt | None = None
    """When the ledger has the cost of an attempt. What it raises is logged, and loses nothing."""
    on_alert: OnAlert | None = None
    """When a budget's share is spent. What it raises is logged, and loses nothing."""
    policy: Policy | None = None
    """Puts the candidates in another order, or leaves some out."""
    price: PriceOf | None = None
    """The price of a row, where it is another than the configuration's and the price book's."""
    accept: Mapping[Task, Check | str] = field(default_factory=dict)
    """What an answer must pass, by task, beside what the configuration names."""
    on_budget: OnBudget | AskBudget | None = None
    """What happens where only budgets are in the way, in place of the configuration's word; a
    function is asked whether more may be spent, as a person is."""

    def __post_init__(self) -> None:
        for hook in fields(self):
            given = getattr(self, hook.name)
            named = hook.name == "accept" or (hook.name == "on_budget" and given in ON_BUDGET)
            if not named and given is not None and not callable(given):
                words = f" or one of {', '.join(ON_BUDGET)}" if hook.name == "on_budget" else ""
                kind = type(given).__name__
                raise ConfigError(f"{hook.name}: must be a function{words}, not {kind}")

    def priced(self, row: ProviderSpec, source: str) -> ProviderSpec:
        """A row with the price that the application gives it, if it gives one.

        Args:
            row: A provider of the configuration.
            source: The configuration's file, for the error.

        Raises:
            ConfigError: The function failed, or what it returned is no price.
        """
        if self.price is None:
            return row
        where = f"{source}: providers.{row.name}.price: the price function"
        try:
            given: object = self.price(row)
        except Exception as error:
            # It may raise anything; the program must not begin with a price that is not known.
            raise ConfigError(f"{where} failed: {type(error).__name__}: {error}") from error
        if given is None:
            return row
        if given != "free" and not isinstance(given, PriceSpec):
            if inspect.iscoroutine(given):
                given.close()
            raise ConfigError(
                f"{where} returned {type(given).__name__}; return a PriceSpec, 'free' or None"
            )
        return row.model_copy(update={"price": given})


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call of a function that a request cannot do without."""

    name: str
    state: RouterState

    async def result(self, hook: Callable[..., Any], *arguments: object) -> Any:
        """What the function returns.

        Raises:
            AttemptRefusedError: The function raised it.
            HookError: The function raised anything else.
        """
        try:
            return await outcome_of(hook, *arguments)
        except (AttemptRefusedError, GraphBubbleUp):
            # The latter is LangGraph's own way to stop a run, such as for a person's approval.
            raise
        except Exception as error:
            # Without its words, which may be the prompt's.
            raise self.error(f"failed: {type(error).__name__}") from error

    def error(self, what: str) -> HookError:
        """What ends the request."""
        return HookError(
            f"{self.name}: {what}",
            route_id=self.state["route_id"],
            attempts=self.state["attempts"],
            skipped=self.state.get("skipped", []),
        )


async def outcome_of(hook: Callable[..., Any], *arguments: object) -> Any:
    """Call a function of the application, and wait for it where it is async."""
    returned = hook(*arguments)
    return await returned if inspect.isawaitable(returned) else returned


async def notify(name: str, hook: Callable[..., Any], *arguments: object) -> None:
    """Call a function that only listens. What it raises is logged: no answer is lost by it."""
    try:
        await outcome_of(hook, *arguments)
    except Exception as error:  # noqa: BLE001  an application's function may raise anything
        # Without its words, which may be the prompt's or the answer's.
        kind = type(error).__name__
        logger.warning("hook %s failed: %s", name, kind)
        stream_writer()({"event": "hook_failed", "hook": name, "error_type": kind})
