"""``/requests``: the last attempts, one request with its route, and those of a thread or run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from aegis_graph.errors import ConfigError
from aegis_graph.ledger.activity import activity
from aegis_graph.ledger.attempts import RecordedAttempt, last_attempts, recorded_request
from aegis_graph.ledger.row_selection import RowSelection
from aegis_graph.pricing.money import usd_text
from aegis_graph.server.dashboard.csv_file import csv_answer
from aegis_graph.server.dashboard.pages import render, view_of
from aegis_graph.server.dashboard.pictures import PlainTable, sum_of
from aegis_graph.server.dashboard.route_drawing import draw_route
from aegis_graph.server.dashboard.view import PERIODS, View
from aegis_graph.server.services import ServerServices

PAGE_ROWS = 50
"""Attempts on one page."""


@dataclass(frozen=True, slots=True)
class RequestPages:
    """The handlers.

    Args:
        services: Of the app.
    """

    services: ServerServices

    async def listed(self, request: Request) -> Response:
        """The last attempts that the filters choose."""
        view = view_of(request, self.services)
        rows = await self._rows(view, request)
        return await render(
            request,
            self.services,
            "requests.html",
            title="Requests",
            view=view,
            rows=rows,
            older=rows[-1].id if len(rows) == PAGE_ROWS else None,
            before=request.query_params.get("before", ""),
            choices=PERIODS,
        )

    async def file(self, request: Request) -> Response:
        """The same rows as a file."""
        rows = await self._rows(view_of(request, self.services), request)
        return csv_answer(attempt_table(rows), "aegis-requests")

    async def _rows(self, view: View, request: Request) -> list[RecordedAttempt]:
        before = request.query_params.get("before")
        if before is not None and not (before.isascii() and before.isdigit() and len(before) < 19):
            raise ConfigError("before: this is no number of a row")
        return await self.services.ledger.read(
            last_attempts(view.selection, most=PAGE_ROWS, before=int(before) if before else None)
        )

    async def one(self, request: Request) -> Response:
        """All that the ledger has of one request."""
        route_id = request.path_params["route_id"]
        found = await self.services.ledger.read(recorded_request(readable(route_id)))
        if not found.attempts and found.unanswered is None:
            says = "The ledger has no such request: it may have been pruned."
            return await render(
                request, self.services, "error.html", status=404, title="Not found", says=says
            )
        return await render(
            request,
            self.services,
            "request.html",
            title="Request",
            route_id=route_id,
            found=found,
            facts=found.unanswered or found.attempts[0],
            drawing=draw_route(found),
            spent=sum(row.cost_nano_usd for row in found.attempts),
        )

    async def thread(self, request: Request) -> Response:
        """The requests of a LangGraph thread."""
        name = readable(request.query_params.get("id", ""))
        return await self._group(request, "thread", name, RowSelection(thread=name))

    async def run(self, request: Request) -> Response:
        """The requests of a run."""
        name = readable(request.query_params.get("id", ""))
        return await self._group(request, "run", name, RowSelection(run=name))

    async def _group(
        self, request: Request, kind: str, name: str, selection: RowSelection
    ) -> Response:
        view = replace(view_of(request, self.services), selection=selection, period="all")
        rows = await self._rows(view, request)
        by_task = await self.services.ledger.read(activity("task", "day", selection))
        sums = {
            task: sum_of([point for point in by_task if point.name == task])
            for task in sorted({point.name for point in by_task})
        }
        if not rows and not by_task:
            says = f"The ledger has no request of this {kind}: they may have been pruned."
            return await render(
                request, self.services, "error.html", status=404, title="Not found", says=says
            )
        return await render(
            request,
            self.services,
            "group.html",
            title=kind.capitalize(),
            kind=kind,
            name=name,
            view=view,
            rows=rows,
            older=rows[-1].id if len(rows) == PAGE_ROWS else None,
            sums=sums,
            whole=sum_of(by_task),
        )


def readable(name: str) -> str:
    """A name from an address, as the ledger can be asked for it.

    Raises:
        HTTPException: Nothing has that name: no database has it in a text.
    """
    if "\0" in name or any("\ud800" <= sign <= "\udfff" for sign in name):
        raise HTTPException(404)
    return name


COLUMNS = (
    "timestamp",
    "route_id",
    "attempt",
    "provider",
    "model",
    "task",
    "user_id",
    "sensitivity",
    "thread_id",
    "run_id",
    "tags",
    "status",
    "error_type",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "queued_ms",
    "latency_ms",
    "first_token_ms",
    "cost_basis",
)
"""What a file has of each attempt, beside the amounts."""


def attempt_table(rows: Sequence[RecordedAttempt]) -> PlainTable:
    """Attempts as a table."""
    return PlainTable(
        (*COLUMNS, "cost_usd", "hold_usd"),
        tuple(
            (
                *(getattr(row, name) for name in COLUMNS),
                usd_text(row.cost_nano_usd),
                usd_text(row.hold_nano_usd),
            )
            for row in rows
        ),
    )
