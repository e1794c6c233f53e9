"""Budgets that were raised for one window, each by the answer to one question."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from aegis_graph.ledger.approvals import Approval, BudgetRaise
from aegis_graph.ledger.queries import Query, Statement
from aegis_graph.ledger.records import Budget, BudgetRefusal
from aegis_graph.ledger.rows import timestamp
from aegis_graph.ledger.store import Connection
from aegis_graph.ledger.windows import Calendar, Days
from aegis_graph.types import WINDOWS, Window

_IN_WINDOWS = " OR ".join(["(period = ? AND first_day = ?)"] * len(WINDOWS))

_RAISE = (
    "INSERT INTO budget_raises (question_id, budget, scope, period, first_day, nano_usd,"
    " timestamp, route_id, approved_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Raises:
    """What budgets are raised by, as one transaction sees it.

    It is looked up where a limit alone has no room: an admission that fits reads nothing of it.

    Args:
        connection: In the transaction, which no other writer's overlaps.
        now: The transaction's moment.
    """

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._known: dict[tuple[str, str, Days], int] = {}

    def in_force(self, limit: Budget, scope: str, days: Days) -> Budget:
        """A limit with what it is raised by in a window."""
        key = (limit.scope, scope, days)
        if key not in self._known:
            (raised,) = self._connection.execute(
                "SELECT sum(nano_usd) FROM budget_raises"
                " WHERE period = ? AND first_day = ? AND scope = ? AND budget = ?",
                (limit.window, days.first, scope, limit.scope),
            ).fetchone()
            self._known[key] = int(raised or 0)
        return limit._replace(limit_nano_usd=limit.limit_nano_usd + self._known[key])

    def is_new(self, approval: Approval) -> bool:
        """Whether the question has raised nothing yet."""
        found = self._connection.execute(
            "SELECT 1 FROM budget_raises WHERE question_id = ?", (approval.question_id,)
        ).fetchone()
        return found is None

    def add(self, approval: Approval, refusal: BudgetRefusal, route_id: str) -> None:
        """Raise every budget that was in the way of a hold."""
        for full in (refusal, *refusal.others):
            budget = full.budget
            key = (budget.scope, full.scope, full.days)
            self._known[key] = self._known.get(key, 0) + approval.nano_usd
            what = (budget.scope, full.scope, budget.window, full.days.first, approval.nano_usd)
            self._connection.execute(
                _RAISE,
                (
                    approval.question_id,
                    *what,
                    timestamp(self._now),
                    route_id,
                    approval.approved_by,
                ),
            )


def raised_now(now: datetime, calendar: Calendar) -> Query[Mapping[tuple[str, str, Window], int]]:
    """What limits are raised by in their present windows, by limit, scope and window."""
    rows = yield Statement(
        "SELECT budget, scope, period, sum(nano_usd) FROM budget_raises"
        f" WHERE {_IN_WINDOWS} GROUP BY budget, scope, period",
        _present(now, calendar),
    )
    # PostgreSQL gives sums of BIGINT as NUMERIC, which is a Decimal here.
    return {(budget, scope, window): int(raised) for budget, scope, window, raised in rows}


def raises(now: datetime, calendar: Calendar, *, most: int) -> Query[list[BudgetRaise]]:
    """The last raises of the present windows, the newest first."""
    rows = yield Statement(
        f"{_SELECT} WHERE {_IN_WINDOWS} {_NEWEST_FIRST}", [*_present(now, calendar), most]
    )
    return [BudgetRaise(*row) for row in rows]


def last_raises(*, most: int) -> Query[list[BudgetRaise]]:
    """The last raises, whether their windows have ended or not, the newest first."""
    rows = yield Statement(f"{_SELECT} {_NEWEST_FIRST}", [most])
    return [BudgetRaise(*row) for row in rows]


_SELECT = (
    "SELECT budget, scope, period, first_day, nano_usd, timestamp, route_id, approved_by"
    " FROM budget_raises"
)
_NEWEST_FIRST = "ORDER BY timestamp DESC, question_id, budget, scope LIMIT ?"


def _present(now: datetime, calendar: Calendar) -> list[str]:
    return [text for one in WINDOWS for text in (one, calendar.days_now(one, now).first)]
