"""One insert or one question: what its calls choose, and what came of them."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from aegis_graph.components.lightrag.budget_queue import BudgetQueue
from aegis_graph.components.lightrag.keywords import Keywords
from aegis_graph.components.lightrag.settings import RunOptions, checked_sensitivity
from aegis_graph.components.lightrag.spending import Operation, Spending
from aegis_graph.errors import AegisError, BudgetExceededError

MERGE_SHARE = Decimal("0.1")
"""The share of a run's envelope that extraction leaves for merging what it has extracted."""

MAY_WAIT: frozenset[Operation] = frozenset({"extract", "glean"})
"""Operations that may wait: none of their documents is half written."""


class RunEndedError(AegisError, RuntimeError):
    """A call of a run that was stopped. LightRAG leaves tasks behind; they may buy nothing."""


class NoKeywordsError(AegisError, ValueError):
    """The model's answer has no keywords, so the question is searched in another mode.

    LightRAG itself would take a short question for its own keyword, and give up on a longer one.
    """


@dataclass(slots=True)
class Run:
    """One insert or one query: what its calls choose, and what came of them.

    Raises:
        InvalidRequestError: The options name an unknown sensitivity.
    """

    options: RunOptions
    """What the caller chose."""
    queue: BudgetQueue | None = None
    """Where an insert's calls wait for room; a query's do not wait."""
    spending: Spending = field(default_factory=Spending)
    active: bool = True
    error: AegisError | None = None
    """The latest error. LightRAG swallows what its functions raise, or changes its class."""
    answer: str | None = None
    """The answer as the model gave it; LightRAG takes words out of it."""

    keywords: Keywords | None = None
    """What a question was searched by, where a model was asked for it."""

    def __post_init__(self) -> None:
        level = self.options.get("sensitivity")
        if level is not None:
            checked_sensitivity(level)

    @property
    def refusal(self) -> BudgetExceededError | None:
        """What an insert stopped for."""
        return None if self.queue is None else self.queue.refusal

    def restarted(self) -> Run:
        """The same run from its beginning: tasks that the first one left behind stay dead."""
        queue = None if self.queue is None else self.queue.renewed()
        return Run(self.options, queue, self.spending)

    def request(self, operation: Operation) -> dict[str, Any]:
        """The run's part of a request to the router."""
        chosen = {key: value for key, value in self.options.items() if value is not None}
        # A call is sent at the workspace's level, which may be higher.
        chosen.pop("sensitivity", None)
        if operation in MAY_WAIT and "max_cost_usd" in chosen:
            chosen["max_cost_usd"] = _without_merge_share(chosen["max_cost_usd"])
        return chosen


CURRENT_RUN: ContextVar[Run | None] = ContextVar("aegis_lightrag_run", default=None)
CURRENT_DOCUMENT: ContextVar[str | None] = ContextVar("aegis_lightrag_document", default=None)
"""LightRAG takes the context of a caller along into its queues and tasks."""


def _without_merge_share(usd: object) -> object:
    try:
        return f"{Decimal(str(usd)) * (1 - MERGE_SHARE):f}"
    except InvalidOperation:
        # The router says what is wrong with it.
        return usd
