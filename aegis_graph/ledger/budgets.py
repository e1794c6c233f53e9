"""The limits in force. The file seeds them; what was set later wins, until the file changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.raises import raised_now
from aegis_graph.ledger.records import Budget, BudgetStatus
from aegis_graph.ledger.store import Connection, Rows
from aegis_graph.ledger.totals import scopes_of_limit, totals_of
from aegis_graph.ledger.windows import Calendar
from aegis_graph.types import Window

_SELECT = (
    "SELECT scope, period, limit_nano_usd, alert_at, origin FROM budgets"
    " WHERE limit_nano_usd IS NOT NULL ORDER BY scope, period"
)


def seed(connection: Connection, budgets: Sequence[Budget]) -> None:
    """Write the file's limits where the file says something new; leave what was set since."""
    for budget in budgets:
        known = connection.execute(
            "SELECT file_limit_nano_usd, origin, alert_at FROM budgets"
            " WHERE scope = ? AND period = ?",
            (budget.scope, budget.window),
        ).fetchone()
        alert = None if budget.alert_at is None else str(budget.alert_at)
        if known is None:
            connection.execute(
                "INSERT INTO budgets (scope, period, limit_nano_usd, file_limit_nano_usd,"
                " alert_at, origin) VALUES (?, ?, ?, ?, ?, 'file')",
                (budget.scope, budget.window, budget.limit_nano_usd, budget.limit_nano_usd, alert),
            )
            continue
        seeded, origin, known_alert = known
        if seeded == budget.limit_nano_usd and known_alert == alert:
            continue
        # A limit that was set later stays until the file's own number changes.
        file_wins = origin == "file" or (seeded is not None and seeded != budget.limit_nano_usd)
        connection.execute(
            "UPDATE budgets SET file_limit_nano_usd = ?, alert_at = ?, origin = ?,"
            " limit_nano_usd = CASE WHEN ? = 1 THEN ? ELSE limit_nano_usd END"
            " WHERE scope = ? AND period = ?",
            (
                budget.limit_nano_usd,
                alert,
                "file" if file_wins else origin,
                int(file_wins),
                budget.limit_nano_usd,
                budget.scope,
                budget.window,
            ),
        )


def set_limit(connection: Connection, scope: str, window: str, limit_nano_usd: int | None) -> None:
    """Set a limit, or take it away with ``None``; in force for the next request everywhere."""
    # A limit that is taken away keeps its row, or the file would seed it again.
    connection.execute(
        "INSERT INTO budgets (scope, period, limit_nano_usd, origin) VALUES (?, ?, ?, 'set')"
        " ON CONFLICT (scope, period)"
        " DO UPDATE SET limit_nano_usd = excluded.limit_nano_usd, origin = 'set'",
        (scope, window, limit_nano_usd),
    )


def select_limits(connection: Connection) -> Rows:
    """Every limit, in a fixed order; see ``limits_of``."""
    return connection.execute(_SELECT)


def limits_of(rows: Iterable[Any]) -> list[Budget]:
    """The limits in these rows."""
    return [
        Budget(scope, window, limit, Decimal(alert) if alert else None, origin)
        for scope, window, limit, alert, origin in rows
    ]


def in_force() -> Query[list[Budget]]:
    """Every limit, in a fixed order."""
    return limits_of((yield Statement(_SELECT)))


def record_alert(connection: Connection, scope: str, window: Window, first_day: str) -> bool:
    """Note that an alert is given; ``False`` when it was before, in the same window."""
    given = connection.execute(
        "INSERT INTO alerts (scope, period, first_day) VALUES (?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING scope",
        (scope, window, first_day),
    ).fetchone()
    return given is not None


def statuses(now: datetime, calendar: Calendar) -> Query[list[BudgetStatus]]:
    """Every budget in its present window.

    ``user:*`` and ``tag:KEY=*`` once for each user or value with spending in it.
    """
    found, raised = [], (yield from raised_now(now, calendar))
    for budget in (yield from in_force()):
        days = calendar.days_now(budget.window, now)
        for scope in (yield from scopes_of_limit(budget.scope, days)):
            sums = yield from totals_of(scope, days)
            more = raised.get((budget.scope, scope, budget.window), 0)
            found.append(
                BudgetStatus(
                    scope,
                    budget.window,
                    budget.limit_nano_usd + more,
                    sums.spent_nano_usd,
                    sums.held_nano_usd,
                    *days,
                    budget.origin,
                    more,
                )
            )
    return found
