"""More money than a budget has, which a person allows for one window, and the record of it."""

from __future__ import annotations

from typing import NamedTuple

from aegis_graph.types import Window


class Approval(NamedTuple):
    """The answer to the question whether more may be spent."""

    question_id: str
    """What was asked: each question raises budgets once."""
    nano_usd: int
    """By how much; above 0."""
    approved_by: str


class BudgetRaise(NamedTuple):
    """A budget that was raised for one window."""

    budget: str
    """The limit's own name, such as ``user:*``."""
    scope: str
    """What it was raised for, such as ``user:ada``."""
    window: Window
    first_day: str
    """When the window began, as an ISO date."""
    nano_usd: int
    timestamp: str
    """When, in ISO 8601 and UTC."""
    route_id: str
    """The request that needed it."""
    approved_by: str
