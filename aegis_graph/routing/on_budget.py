"""Ask for more money where budgets, and nothing else, are in the way of a request.

The question stands in the state before it is asked, so that its identifier is the same however
often the node that asks is run again: each question raises budgets once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.types import interrupt

from aegis_graph.errors import InvalidRequestError
from aegis_graph.ledger.approvals import Approval
from aegis_graph.ledger.records import BudgetRefusal
from aegis_graph.ledger.windows import ALL_DAYS
from aegis_graph.pricing.money import limit_nano_usd, usd_text
from aegis_graph.request.limits import amount_usd
from aegis_graph.request.request import Request
from aegis_graph.routing.application.hooks import AskBudget, outcome_of
from aegis_graph.routing.budget_question import BudgetInTheWay, BudgetQuestion, CandidateInNeed
from aegis_graph.routing.hosts.langchain_internals import CHECKPOINTER_KEY
from aegis_graph.routing.observer import observer_in
from aegis_graph.text.foreign import MAX_LENGTH, clean_text
from aegis_graph.types import DEFAULT_USER, OnBudget

MOST_USD = Decimal(1_000_000)
"""What one answer may allow; many of them together still fit into the ledger's 64 bits."""

_NO_CHECKPOINTER = (
    'on_budget = "interrupt" can ask for more where the router, or the graph that it is a node of,'
    " is compiled with a checkpointer"
)
_NO_NODE = (
    'on_budget = "interrupt" can ask for more where the router is a node of a graph; for a chat'
    " model or a library, give create_router(on_budget=) a function"
)


@dataclass(frozen=True, slots=True)
class BudgetAsker:
    """Asks whether more may be spent.

    Args:
        ask: ``interrupt``, or a function of the application's that is given the question and
            returns the answer.
    """

    ask: AskBudget | OnBudget

    def why_not(self, config: RunnableConfig) -> str | None:
        """Why a run cannot be asked anything, where that is so."""
        if callable(self.ask):
            return None
        observer = observer_in(config)
        # A library, or what calls a chat model, takes an interrupt for a fault.
        if observer.has_own_run or observer.keep is not None:
            return _NO_NODE
        if (config.get("configurable") or {}).get(CHECKPOINTER_KEY) is None:
            return _NO_CHECKPOINTER
        return None

    async def answer(self, question: BudgetQuestion, request: Request) -> Approval | str:
        """What is allowed, or why nothing is.

        Raises:
            GraphInterrupt: The run waits for the answer.
        """
        if callable(self.ask):
            answer = await outcome_of(self.ask, question)
        else:
            answer = interrupt(question)
        try:
            return _approval(answer, question, request)
        except InvalidRequestError as error:
            return f"no more was allowed: {error}"


def question_of(refusals: Sequence[BudgetRefusal], route_id: str) -> BudgetQuestion:
    """What is asked where budgets are in the way of every candidate."""
    nearest = min(refusals, key=lambda one: one.lacking_nano_usd)
    left = " and ".join(
        f"${usd_text(one.left_nano_usd)} left of {one.scope}/{one.budget.window}"
        for one in (nearest, *nearest.others)
    )
    needed = usd_text(nearest.asked_nano_usd)
    return BudgetQuestion(
        kind="budget",
        question_id=uuid4().hex,
        route_id=route_id,
        text=f"${needed} needed, {left}. Allow how much more?",
        needed_usd=needed,
        lacking_usd=usd_text(nearest.lacking_nano_usd),
        candidates=[_in_need(one) for one in refusals],
    )


def _in_need(refusal: BudgetRefusal) -> CandidateInNeed:
    return CandidateInNeed(
        provider=refusal.provider,
        needed_usd=usd_text(refusal.asked_nano_usd),
        lacking_usd=usd_text(refusal.lacking_nano_usd),
        budgets=[_in_the_way(one) for one in (refusal, *refusal.others)],
    )


def _in_the_way(refusal: BudgetRefusal) -> BudgetInTheWay:
    until = refusal.days.end
    return BudgetInTheWay(
        budget=refusal.budget.scope,
        scope=refusal.scope,
        window=refusal.budget.window,
        limit_usd=usd_text(refusal.budget.limit_nano_usd),
        left_usd=usd_text(refusal.left_nano_usd),
        until=None if until == ALL_DAYS.end else until,
    )


def _approval(answer: Any, question: BudgetQuestion, request: Request) -> Approval | str:
    """Read an answer: ``{"approve_usd": "0.50"}``, or the amount alone.

    Raises:
        InvalidRequestError: It cannot be read.
    """
    facts = answer if isinstance(answer, Mapping) else {"approve_usd": answer}
    if "approve_usd" not in facts:
        raise InvalidRequestError("the answer has no approve_usd")
    given = facts["approve_usd"]
    usd = amount_usd("approve_usd", clean_text(given) if isinstance(given, str) else given)
    if usd > MOST_USD:
        raise InvalidRequestError(f"approve_usd: {usd} is more than {MOST_USD:,} USD")
    nano_usd = limit_nano_usd(usd)
    if nano_usd == 0:
        return "no more was allowed"
    return Approval(question["question_id"], nano_usd, _approver(facts, request))


def _approver(facts: Mapping[str, Any], request: Request) -> str:
    given = facts.get("approved_by")
    if given is not None and not isinstance(given, str):
        raise InvalidRequestError("approved_by: is not text")
    name = clean_text(given or "")[:MAX_LENGTH]
    if name:
        return name
    return _user_of_system() if request.user_id == DEFAULT_USER else request.user_id


def _user_of_system() -> str:
    import getpass  # noqa: PLC0415  loads termios

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run under a number that has no name.
        return DEFAULT_USER
