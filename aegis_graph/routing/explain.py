"""What the router would do with a request, with its numbers; nothing is asked and reserved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from aegis_graph.ledger import budgets
from aegis_graph.ledger.ledger import SqlLedger
from aegis_graph.ledger.limits import LimitRefusal, UnitLimit, limited_scopes
from aegis_graph.ledger.records import Budget, BudgetRefusal, BudgetStatus, Hold
from aegis_graph.ledger.windows import ALL_DAYS, Days
from aegis_graph.routing.application.hooked_plan import plan_by_policy
from aegis_graph.routing.assembly import RouterBuilder
from aegis_graph.routing.order import Expectation
from aegis_graph.routing.policy import Candidate, passed_over
from aegis_graph.routing.reservation import hold_for
from aegis_graph.routing.router import Router
from aegis_graph.routing.state import RouterState, in_progress
from aegis_graph.types import LimitUnit, Order, SkippedRecord


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
    """The others, with those for which a budget or a limit has no room."""
    budgets: list[BudgetStatus]
    """What is left of the limits that the candidates count for."""
    accept: str | None
    """What an answer must pass, by its name; ``None`` where every answer is good enough."""


async def explain(router: Router, ledger: SqlLedger, asked: Mapping[str, Any]) -> Explanation:
    """Plan a request as the router would, and admit nothing.

    Args:
        router: The router.
        ledger: Its ledger, which is only read.
        asked: What it would be asked.

    Raises:
        InvalidRequestError: The request is wrong.
        HookError: The router's ``policy`` failed.
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
    plan = await plan_by_policy(nodes.services.hooks.policy, plan, request, state)
    limits, statuses = await ledger.read(budgets.in_force()), await ledger.budgets()
    in_use = await _in_use(ledger, nodes.limits)
    found, skipped, scopes = [], list(plan.skipped), {"total"}
    for candidate in plan.candidates:
        provider = planner.provider_of(candidate)
        unit_limits = nodes.limits[candidate.spec.name]
        hold = hold_for(provider, request, state["route_id"], 1, at=now, limits=unit_limits)
        scopes.update(hold.scopes())
        full = _full_limit(hold, in_use)
        refusal = _refusal(hold, limits, statuses) or _unless_waited_for(full, candidate)
        if refusal is not None:
            skipped.append(passed_over(candidate, refusal.code, refusal.reason()))
            continue
        reason, expected = _reason(candidate, full), ranking.expected(provider, request, now)
        found.append(
            ExplainedCandidate(
                hold.provider, hold.model, reason, expected, hold.nano_usd, candidate.tier
            )
        )
    left = [one for one in statuses if one.scope in scopes]
    check = builder.checks.of(request.task)
    accept = None if check is None else check.name
    order = planner.order_of(request, plan.candidates)
    return Explanation(order, found, skipped, left, accept)


async def _in_use(
    ledger: SqlLedger, limits: Mapping[str, Sequence[UnitLimit]]
) -> dict[tuple[str, LimitUnit], int]:
    """How much of each limit is in use, by the scope that it counts for."""
    every = list(dict.fromkeys(limit for of_one in limits.values() for limit in of_one))
    found = await ledger.limits(every) if every else []
    return {(one.scope, one.unit): one.used for one in found if one.used is not None}


def _full_limit(hold: Hold, in_use: Mapping[tuple[str, LimitUnit], int]) -> LimitRefusal | None:
    """The first limit in other units than money that has no room for a hold now."""
    for limit, scope in limited_scopes(hold.limits, hold.scopes()):
        asked = hold.tokens if limit.unit.startswith("tokens") else 1
        used = in_use.get((scope, limit.unit), 0)
        if used + asked > limit.most:
            return LimitRefusal(hold.provider, limit, scope, used, asked, None)
    return None


def _unless_waited_for(full: LimitRefusal | None, candidate: Candidate) -> LimitRefusal | None:
    if full is None or full.limit.unit.endswith("day") or not full.may_fit:
        return full
    return None if candidate.spec.longest_queue_s > 0 else full


def _reason(candidate: Candidate, full: LimitRefusal | None) -> str:
    if full is None:
        return candidate.reason
    waits = f"waited for up to {candidate.spec.longest_queue_s:g} s"
    return f"{candidate.reason}; {waits}: {full.reason()}"


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
