"""The parts of the first page for which many rows are read; it asks for them by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from aegis_graph.ledger.activity import FailureCount, activity, failures, unanswered
from aegis_graph.ledger.factory import calendar_of
from aegis_graph.ledger.queries import Query
from aegis_graph.ledger.report import latencies
from aegis_graph.ledger.report_rows import Latency
from aegis_graph.ledger.windows import Calendar
from aegis_graph.pricing.money import usd_text
from aegis_graph.pricing.prices import Price
from aegis_graph.providers.baseline import baseline_costs, baseline_price
from aegis_graph.server.dashboard.csv_file import csv_answer
from aegis_graph.server.dashboard.pages import render, view_of
from aegis_graph.server.dashboard.pictures import PlainTable
from aegis_graph.server.dashboard.view import View
from aegis_graph.server.services import ServerServices

SHOWN_NAMES = 100
"""Names that a part lists; its file has all."""


@dataclass(frozen=True, slots=True)
class OverviewParts:
    """The handlers.

    Args:
        services: Of the app.
    """

    services: ServerServices

    async def failures(self, request: Request) -> Response:
        """Why attempts and requests ended without an answer."""
        view = view_of(request, self.services)
        attempts, requests = await self._failures(view)
        return await render(
            request,
            self.services,
            "failures.html",
            view=view,
            attempts=attempts,
            requests=requests,
        )

    async def failures_file(self, request: Request) -> Response:
        """The same as a file."""
        attempts, requests = await self._failures(view_of(request, self.services))
        rows = [
            ("attempt", one.reason, one.number, one.fallbacks, usd_text(one.nano_usd))
            for one in attempts
        ]
        rows += [("request", one.reason, one.number, 0, "0") for one in requests]
        columns = ("of", "reason", "number", "fell back", "cost USD")
        return csv_answer(PlainTable(columns, tuple(rows)), "aegis-failures")

    async def _failures(self, view: View) -> tuple[list[FailureCount], list[FailureCount]]:
        calendar = calendar_of(self.services.config.ledger)
        return await self.services.ledger.read(_failures(view, calendar))

    async def latency(self, request: Request) -> Response:
        """The part with percentiles, for which every chosen row is read."""
        view = view_of(request, self.services)
        return await render(
            request,
            self.services,
            "latency.html",
            view=view,
            parts=await self._latency(view),
            most=SHOWN_NAMES,
        )

    async def latency_file(self, request: Request) -> Response:
        """The same as a file."""
        view = view_of(request, self.services)
        rows = [
            (name, part.title, *one)
            for part in await self._latency(view)
            for name, one in sorted(part.rows)
        ]
        columns = (view.by, "until", "p50 ms", "p95 ms", "p99 ms")
        return csv_answer(PlainTable(columns, tuple(rows)), "aegis-latency")

    async def _latency(self, view: View) -> list[LatencyPart]:
        return await self.services.ledger.read(_latencies(view))

    async def savings(self, request: Request) -> Response:
        """The part with what the baseline would have cost, for which every chosen row is read."""
        view, config = view_of(request, self.services), self.services.config
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


@dataclass(frozen=True, slots=True)
class LatencyPart:
    """Percentiles by name, slowest first."""

    title: str
    rows: list[tuple[str, Latency]]

    @property
    def slowest(self) -> int:
        """The longest of them in milliseconds, at least 1."""
        return max((one.p99 for _, one in self.rows), default=0) or 1


def _latencies(view: View) -> Query[list[LatencyPart]]:
    whole = yield from latencies(view.by, view.selection)
    first = yield from latencies(view.by, view.selection, of="first_token_ms")
    parts = [_by_slowness("the whole answer", whole)]
    return [*parts, _by_slowness("the first token", first)] if first else parts


def _by_slowness(title: str, found: Mapping[str, Latency]) -> LatencyPart:
    return LatencyPart(title, sorted(found.items(), key=lambda item: (-item[1].p50, item[0])))


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


def _failures(
    view: View, calendar: Calendar
) -> Query[tuple[list[FailureCount], list[FailureCount]]]:
    """Of attempts, and of requests that had no answer in the end."""
    attempts = yield from failures(view.selection)
    requests = yield from unanswered(view.selection, *view.instants(calendar))
    return attempts, requests
