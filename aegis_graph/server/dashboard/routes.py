"""The pages, by path."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

from aegis_graph.server.dashboard.budgets_page import BudgetPages
from aegis_graph.server.dashboard.bulk_page import BulkPages
from aegis_graph.server.dashboard.live import LiveFigures
from aegis_graph.server.dashboard.overview_page import OverviewPages
from aegis_graph.server.dashboard.overview_parts import OverviewParts
from aegis_graph.server.dashboard.pages import Handler, page
from aegis_graph.server.dashboard.requests_page import RequestPages
from aegis_graph.server.services import ServerServices

STATIC = Path(__file__).parent / "static"

_HOUR = "public, max-age=3600"


def dashboard_routes(services: ServerServices) -> list[BaseRoute]:
    """The routes for people with a browser.

    Args:
        services: Of the app.
    """
    overview, parts = OverviewPages(services), OverviewParts(services)
    requests, budgets = RequestPages(services), BudgetPages(services)
    live, bulk = LiveFigures(services), BulkPages(services)
    pages: dict[str, Handler] = {
        "/": overview.page,
        "/overview.csv": overview.file,
        "/failures": parts.failures,
        "/failures.csv": parts.failures_file,
        "/latency": parts.latency,
        "/latency.csv": parts.latency_file,
        "/savings": parts.savings,
        "/requests": requests.listed,
        "/requests.csv": requests.file,
        "/requests/{route_id:path}": requests.one,
        "/threads": requests.thread,
        "/runs": requests.run,
        "/bulk": bulk.listed,
        "/bulk.csv": bulk.file,
        "/budgets": budgets.listed,
        "/raises.csv": budgets.raises_file,
        "/budgets/change": budgets.confirm,
    }
    return [
        *(Route(path, page(services, handler)) for path, handler in pages.items()),
        Route("/budgets/change", page(services, budgets.change), methods=["POST"]),
        Route("/events", live.answer),
        Mount("/static", _PublicFiles(directory=STATIC)),
    ]


class _PublicFiles(StaticFiles):
    """Files of the package, which a browser may keep for an hour."""

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file."""
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = _HOUR
        return response
