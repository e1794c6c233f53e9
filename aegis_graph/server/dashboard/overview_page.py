"""``/``: the first page, its parts that take longer, and its tables as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.activity import activity
from aegis_graph.ledger.factory import calendar_of
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.ledger.report import latencies
from aegis_graph.pricing.money import usd_text
from aegis_graph.pricing.prices import Price
from aegis_graph.providers.baseline import baseline_costs, baseline_price
from aegis_graph.routing.limits import configured_limits
from aegis_graph.server.dashboard.csv_file import csv_answer
from aegis_graph.server.dashboard.live import figures
from aegis_graph.server.dashboard.overview import Overview, read_overview
from aegis_graph.server.dashboard.pages import render
from aegis_graph.server.dashboard.pictures import PlainTable
from aegis_graph.server.dashboard.view import PERIODS, SPLITS, STEPS, View
from aegis_graph.server.services import ServerServices

QUICK_CALLS = 50_000
"""Attempts up to which the parts that read every row come by themselves: in under a second."""

SHOWN_NAMES = 100
"""Names that the page lists; its file has all."""


@dataclass(frozen=True, slots=True)
class OverviewPages:
    """The handlers.

    Args:
        services: Of the app.
    """

    services: ServerServices

    def view(self, request: Request) -> View:
        """What a request asks to see."""
        calendar = calendar_of(self.services.config.ledger)
        return View.of(request.query_params, calendar, self.services.clock())

    async def _read(self, view: View) -> Overview:
        services = self.services
        config = services.config
        limits, calendar = configured_limits(config), calendar_of(config.ledger)
        return await services.ledger.read(read_overview(view, limits, calendar, services.clock()))

    async def page(self, request: Request) -> Response:
        """The whole page."""
        view = self.view(request)
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
        shown = await self._read(self.view(request))
        tables = overview_tables(shown)
        name = request.query_params.get("table", "names")
        if name not in tables:
            raise ConfigError(f"table: {name!r} is none of {', '.join(tables)}")
        return csv_answer(tables[name], f"aegis-{name}")

    async def latency(self, request: Request) -> Response:
        """The part with percentiles, for which every chosen row is read."""
        view = self.view(request)
        found = await self.services.ledger.read(latencies(view.by, view.selection))
        slowest = max((one.p99 for one in found.values()), default=0)
        return await render(
            request,
            self.services,
            "latency.html",
            view=view,
            rows=sorted(found.items(), key=lambda item: (-item[1].p50, item[0]))[:SHOWN_NAMES],
            slowest=max(1, slowest),
        )

    async def latency_file(self, request: Request) -> Response:
        """The same as a file."""
        view = self.view(request)
        found = await self.services.ledger.read(latencies(view.by, view.selection))
        rows = tuple((name, *one) for name, one in sorted(found.items()))
        columns = (view.by, "p50 ms", "p95 ms", "p99 ms")
        return csv_answer(PlainTable(columns, rows), "aegis-latency")

    async def savings(self, request: Request) -> Response:
        """The part with what the baseline would have cost, for which every chosen row is read."""
        view, config = self.view(request), self.services.config
        embedders = frozenset(row.model for row in config.embeddings)
        price = baseline_price(config)
        rows, there = await self.services.ledger.read(_savings(view, price, embedders))
        return await render(
            request,
            self.services,
            "savings.html",
            view=view,
            baseline=config.routing.baseline,
            rows=[(name, spent, there[name]) for name, spent in rows[:SHOWN_NAMES]],
            spent=sum(spent for _, spent in rows),
            there=there.total(),
        )


def _savings(
    view: View, price: Price, embedders: frozenset[str]
) -> Query[tuple[list[tuple[str, int]], Counter[str]]]:
    """What each name cost, dearest first, and what it would have cost."""
    points = yield from activity(view.by, "day", view.selection)
    spent: Counter[str] = Counter()
    for point in points:
        spent[point.name] += point.sums.spent_nano_usd
    there = yield from baseline_costs(view.by, view.selection, price, embedders=embedders)
    return spent.most_common(), there


def overview_tables(shown: Overview) -> Mapping[str, PlainTable]:
    """The tables of the page, by the names of their files."""
    reasons = tuple(
        (one.reason, one.attempts, one.fallbacks, usd_text(one.nano_usd)) for one in shown.failures
    )
    refused = tuple((one.reason, one.attempts) for one in shown.unanswered)
    return {
        "names": shown.names,
        "spending": shown.spending.table(),
        "tokens": shown.tokens.table(),
        "failures": PlainTable(("reason", "attempts", "fell back", "cost USD"), reasons),
        "unanswered": PlainTable(("reason", "requests"), refused),
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
