"""``/``: the first page, and its tables as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.factory import calendar_of
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.routing.limits import configured_limits
from aegis_graph.server.dashboard.csv_file import csv_answer
from aegis_graph.server.dashboard.live import figures
from aegis_graph.server.dashboard.overview import Overview, read_overview
from aegis_graph.server.dashboard.pages import render, view_of
from aegis_graph.server.dashboard.pictures import PlainTable
from aegis_graph.server.dashboard.view import PERIODS, SPLITS, STEPS, View
from aegis_graph.server.services import ServerServices

QUICK_CALLS = 50_000
"""Attempts up to which the savings come by themselves: in about a second."""

SHOWN_NAMES = 100
"""Names that the page lists; its file has all."""


@dataclass(frozen=True, slots=True)
class OverviewPages:
    """The handlers.

    Args:
        services: Of the app.
    """

    services: ServerServices

    async def _read(self, view: View) -> Overview:
        services = self.services
        config = services.config
        limits, calendar = configured_limits(config), calendar_of(config.ledger)
        return await services.ledger.read(read_overview(view, limits, calendar, services.clock()))

    async def page(self, request: Request) -> Response:
        """The whole page."""
        view = view_of(request, self.services)
        shown = await self._read(view)
        now = figures(
            today=shown.month.today,
            month=shown.month.month,
            holds=shown.holds.number,
            held=shown.holds.nano_usd,
        )
        return await render(
            request,
            self.services,
            "overview.html",
            title="Costs",
            view=view,
            shown=shown,
            now=now,
            waiting=self.services.ledger.queue.waiting(),
            names=PlainTable(shown.names.columns, shown.names.rows[:SHOWN_NAMES]),
            bars=[budget_bar(one) for one in shown.budgets],
            baseline=self.services.config.routing.baseline,
            quick_calls=QUICK_CALLS,
            choices={
                "periods": PERIODS,
                "steps": STEPS,
                "splits": [*SPLITS, *(f"tag:{key}" for key in shown.tag_keys)],
            },
        )

    async def file(self, request: Request) -> Response:
        """One of the page's tables as a file."""
        shown = await self._read(view_of(request, self.services))
        tables = overview_tables(shown)
        name = request.query_params.get("table", "names")
        if name not in tables:
            raise ConfigError(f"table: {name!r} is none of {', '.join(tables)}")
        return csv_answer(tables[name], f"aegis-{name}")


def overview_tables(shown: Overview) -> Mapping[str, PlainTable]:
    """The tables of the page, by the names of their files."""
    return {
        "names": shown.names,
        "spending": shown.spending.table(),
        "tokens": shown.tokens.table(),
    }


@dataclass(frozen=True, slots=True)
class BudgetBar:
    """A budget as a bar of a thousand parts."""

    budget: BudgetStatus
    spent: int
    held: int


def budget_bar(budget: BudgetStatus) -> BudgetBar:
    """What of a budget is spent and held; never more than all of the bar."""
    limit = max(1, budget.limit_nano_usd)
    spent = min(1000, -(-budget.spent_nano_usd * 1000 // limit))
    held = min(1000 - spent, -(-budget.held_nano_usd * 1000 // limit))
    return BudgetBar(budget, spent, held)
