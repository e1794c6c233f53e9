"""``/budgets``: the limits in force; an admin changes them, and confirms it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from aegis_graph.config.budget_input import check_scope, parse_usd
from aegis_graph.errors import ConfigError
from aegis_graph.ledger.approvals import BudgetRaise
from aegis_graph.ledger.factory import calendar_of
from aegis_graph.ledger.raises import last_raises
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.ledger.scopes import each_prefix
from aegis_graph.pricing.money import limit_nano_usd, usd_text
from aegis_graph.server.access import caller_of
from aegis_graph.server.dashboard.csv_file import csv_answer
from aegis_graph.server.dashboard.overview_page import budget_bar
from aegis_graph.server.dashboard.pages import render
from aegis_graph.server.dashboard.pictures import PlainTable
from aegis_graph.server.refusals import refusal
from aegis_graph.server.security import CSRF_FIELD, csrf_refusal
from aegis_graph.server.services import ServerServices
from aegis_graph.types import WINDOWS, Window

MAX_FORM_BYTES = 4096
SHOWN_RAISES = 50
"""Raises that the page lists."""
RAISES_IN_FILE = 10_000
_MAX_SCOPE = 300


@dataclass(frozen=True, slots=True)
class BudgetChange:
    """A limit that an admin wants: ``None`` takes it away."""

    scope: str
    window: Window
    limit_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class BudgetPages:
    """The handlers.

    Args:
        services: Of the app.
    """

    services: ServerServices

    async def listed(self, request: Request) -> Response:
        """Every budget, and the last raises."""
        statuses = await self.services.ledger.budgets()
        raises = await self.services.ledger.read(last_raises(most=SHOWN_RAISES))
        calendar, now = calendar_of(self.services.config.ledger), self.services.clock()
        return await render(
            request,
            self.services,
            "budgets.html",
            title="Budgets",
            bars=[budget_bar(one) for one in statuses],
            windows=WINDOWS,
            raises=raises,
            present={window: calendar.days_now(window, now).first for window in WINDOWS},
            changed=request.query_params.get("changed", "") == "1",
        )

    async def raises_file(self, _: Request) -> Response:
        """The raises as a file."""
        rows = await self.services.ledger.read(last_raises(most=RAISES_IN_FILE))
        return csv_answer(_raise_table(rows), "aegis-raises")

    async def confirm(self, request: Request) -> Response:
        """What a change would do, to be confirmed."""
        if not caller_of(request).may("admin"):
            return refusal(403, "only an admin changes budgets", code="insufficient_permissions")
        query = request.query_params
        change = self._change(query.get("scope"), query.get("window"), query.get("limit"))
        statuses = await self.services.ledger.budgets()
        return await render(
            request,
            self.services,
            "budget_change.html",
            title="Change a budget",
            change=change,
            limit=None if change.limit_usd is None else limit_nano_usd(change.limit_usd),
            present=_present(change, statuses),
        )

    async def change(self, request: Request) -> Response:
        """Make a change that was confirmed."""
        async with request.form(max_files=0, max_fields=8, max_part_size=MAX_FORM_BYTES) as form:
            given = {name: value for name, value in form.items() if isinstance(value, str)}
        refused = await csrf_refusal(request, given.get(CSRF_FIELD))
        if refused is not None:
            return refused
        if given.get("confirmed") != "yes":
            raise ConfigError("the change was not confirmed")
        change = self._change(given.get("scope"), given.get("window"), given.get("limit"))
        await self.services.ledger.set_budget(change.scope, change.window, change.limit_usd)
        root = request.scope.get("root_path", "")
        return RedirectResponse(f"{root}/budgets?changed=1", status_code=303)

    def _change(self, scope: str | None, window: str | None, limit: str | None) -> BudgetChange:
        if not scope or len(scope) > _MAX_SCOPE or window not in WINDOWS or limit is None:
            raise ConfigError("a budget has a scope, a window and a limit in USD")
        check_scope(self.services.config, scope)
        usd = None if limit == "remove" else parse_usd(limit)
        return BudgetChange(scope, window, usd)


def _raise_table(raises: list[BudgetRaise]) -> PlainTable:
    columns = ("timestamp", "budget", "scope", "window", "window began", "raised USD")
    return PlainTable(
        (*columns, "approved by", "route_id"),
        tuple(
            (
                *(one.timestamp, one.budget, one.scope, one.window, one.first_day),
                *(usd_text(one.nano_usd), one.approved_by, one.route_id),
            )
            for one in raises
        ),
    )


def _present(change: BudgetChange, statuses: list[BudgetStatus]) -> BudgetStatus | None:
    """The budget that is changed; ``None`` for a new one, and for a rule about each user."""
    if each_prefix(change.scope) is not None:
        return None
    here = (change.scope, change.window)
    return next((one for one in statuses if (one.scope, one.window) == here), None)
