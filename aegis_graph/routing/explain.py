"""What the router would do with a request, with its numbers; nothing is asked and reserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from aegis_graph.ledger import budgets
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.records import Budget, BudgetRefusal, BudgetStatus, Hold
from aegis_graph.ledger.windows import ALL_DAYS, Days
from aegis_graph.routing.order import Expectation
from aegis_graph.routing.policy import passed_over
from aegis_graph.routing.reservation import hold_for
from aegis_graph.routing.router import Router, RouterBuilder
from aegis_graph.routing.state import RouterState, in_progress
from aegis_graph.types import Order, SkippedRecord


class ExplainedCandidate(NamedTuple):
    """A provider that would be asked, at its place."""

    provider: str
    model: str
    reason: str
    """As the attempt's record would say it."""
    expected: Expectation
    most_nano_usd: int
    """What would be reserved."""
    tier: str | None = None
    """The tier at half the price that it would be asked in."""


class Explanation(NamedTuple):
    """The plan of a request."""

    order: Order
    candidates: list[ExplainedCandidate]
    skipped: list[SkippedRecord]
    """The others, with those for which a budget has no room."""
    budgets: list[BudgetStatus]
    """What is left of the limits that the candidates count for."""
    accept: str | None
    """What an answer must pass, by its name; ``None`` where every answer is good enough."""


async def explain(router: Router, ledger: SqlLedger, asked: Mapping[str, Any]) -> Explanation:
    """Plan a request as the router would, and admit nothing.

    A ``policy`` of the application's is not asked, and no limit of requests, tokens or calls at
    once is looked at.

    Args:
        router: The router.
        ledger: Its ledger, which is only read.
        asked: What it would be asked.

    Raises:
        InvalidRequestError: The request is wrong.
        LedgerError: The ledger cannot be read.
    """
    builder = router.builder
    assert isinstance(builder, RouterBuilder), "a router is built by one"
    nodes = builder.nodes_around
    assert nodes is not None, "assembled"
    planner, ranking = nodes.planner, nodes.planner.ranking
    state = in_progress(cast("RouterState", dict(asked)))
    request = nodes.read(state, {})
    await planner.learn(request)
    # Also where the order is as listed: the numbers are shown all the same.
    await ranking.experience.refresh()
    now = nodes.services.clock()
    plan = planner.plan(request, state, None, now)
    limits, statuses = await ledger.read(budgets.in_force()), await ledger.budgets()
    found, skipped, scopes = [], list(plan.skipped), {"total"}
    for candidate in plan.candidates:
        provider = planner.provider_of(candidate)
        hold = hold_for(provider, request, state["route_id"], 1, at=now)
        scopes.update(hold.scopes())
        refusal = _refusal(hold, limits, statuses)
        if refusal is not None:
            skipped.append(passed_over(candidate, "budget", refusal.reason()))
            continue
        expected = ranking.expected(provider, request, now)
        found.append(
            ExplainedCandidate(
                hold.provider,
                hold.model,
                candidate.reason,
                expected,
                hold.nano_usd,
                candidate.tier,
            )
        )
    left = [one for one in statuses if one.scope in scopes]
    check = builder.checks.of(request.task)
    accept = None if check is None else check.name
    order = planner.order_of(request, plan.candidates)
    return Explanation(order, found, skipped, left, accept)


def _refusal(
    hold: Hold, limits: Sequence[Budget], statuses: Sequence[BudgetStatus]
) -> BudgetRefusal | None:
    """The first limit that has no room for a hold."""
    known = {(one.scope, one.window): one for one in statuses}
    own = hold.run_budget()
    for limit in [*limits, *([own] if own else [])]:
        scope = limit.matching_scope(hold.scopes())
        if scope is None:
            continue
        # Of a user or a tag's value without any spending there is no status.
        status, taken = known.get((scope, limit.window)), 0
        if status is not None:
            taken = status.spent_nano_usd + status.held_nano_usd
            limit = limit._replace(limit_nano_usd=limit.limit_nano_usd + status.raised_nano_usd)
        if taken + hold.nano_usd > limit.limit_nano_usd:
            days = ALL_DAYS if status is None else Days(status.first_day, status.end_day)
            return BudgetRefusal(hold.provider, limit, scope, taken, hold.nano_usd, days)
    return None
