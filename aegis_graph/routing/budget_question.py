"""The question whether more may be spent than a budget has. JSON, as LangGraph keeps interrupts."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from aegis_graph.types import Window


class BudgetInTheWay(TypedDict):
    """A budget that has no room for a candidate."""

    budget: str
    """The limit's own name, such as ``user:*``."""
    scope: str
    """What it is full for, such as ``user:ada``."""
    window: Window
    limit_usd: str
    left_usd: str
    until: str | None
    """The local day at whose beginning the window ends, as an ISO date."""


class CandidateInNeed(TypedDict):
    """A provider that only budgets are in the way of."""

    provider: str
    needed_usd: str
    """The most that the attempt can cost."""
    lacking_usd: str
    """By how much each of the budgets must be raised at least."""
    budgets: list[BudgetInTheWay]


class BudgetQuestion(TypedDict):
    """What is asked. Amounts are in USD, as decimal text.

    Example:
        >>> def ask(question: BudgetQuestion) -> dict[str, str]:
        ...     print(question["text"])
        ...     return {"approve_usd": question["lacking_usd"], "approved_by": "ada"}
    """

    kind: Literal["budget"]
    question_id: str
    route_id: str
    text: str
    """The question in one sentence, of the candidate that lacks least."""
    needed_usd: str
    """What that one needs."""
    lacking_usd: str
    """The least that helps."""
    candidates: list[CandidateInNeed]
    """In the order in which they are asked. What is allowed goes to the first for which it is
    enough."""
