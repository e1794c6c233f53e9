"""Which budgets are spent to their ``alert_at`` now, whether their alert was given or not."""

from __future__ import annotations

from datetime import datetime
from math import ceil

from aegis_graph.ledger.alerts import Alert
from aegis_graph.ledger.budgets import in_force
from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.raises import raised_now
from aegis_graph.ledger.records import Budget
from aegis_graph.ledger.scopes import after_prefix, each_prefix
from aegis_graph.ledger.windows import Calendar, Days


def alerts_now(now: datetime, calendar: Calendar) -> Query[list[Alert]]:
    """The alerts that are due in the present windows: one statement for each budget that has any.

    For ``user:*`` and ``tag:KEY=*`` one for each user or value that has spent so much.
    """
    found, raised = [], (yield from raised_now(now, calendar))
    for budget in (yield from in_force()):
        if budget.alert_at is None or budget.limit_nano_usd == 0:
            continue
        days = calendar.days_now(budget.window, now)
        for scope, spent in (yield from _spent(budget, days)):
            more = raised.get((budget.scope, scope, budget.window), 0)
            limit = budget.limit_nano_usd + more
            if spent >= limit * budget.alert_at:
                found.append(Alert(scope, budget.window, limit, spent, days.first))
    return found


def _spent(budget: Budget, days: Days) -> Query[list[tuple[str, int]]]:
    """The scopes of a budget that have spent its share, and how much."""
    assert budget.alert_at is not None, "asked by the caller"
    prefix = each_prefix(budget.scope)
    # A range of one scope, or of all that begin so.
    first, last = (
        (budget.scope, budget.scope + "\0") if prefix is None else (prefix, after_prefix(prefix))
    )
    rows = yield Statement(
        "SELECT scope, sum(spent_nano_usd) FROM totals WHERE scope >= ? AND scope < ?"
        " AND day >= ? AND day < ? GROUP BY scope HAVING sum(spent_nano_usd) >= ?",
        (first, last, *days, ceil(budget.limit_nano_usd * budget.alert_at)),
    )
    return [(str(scope), int(spent)) for scope, spent in rows]
