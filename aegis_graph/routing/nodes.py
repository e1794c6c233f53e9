"""The routing subgraph's own decisions: admit the next attempt, and record how the request ended.

A request goes ``budget_check`` -> ``attempt_<name>`` (see ``attempt``) -> ``record_cost``; a failed
attempt leads back to ``budget_check``, so every attempt has a reservation of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from aegis_graph.errors import (
    HookError,
)
from aegis_graph.ledger.alerts import Alert
from aegis_graph.ledger.approvals import Approval
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.records import FailedRequest
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.request.refused_answers import with_reasons
from aegis_graph.request.request import Request
from aegis_graph.routing.admission import Admitted, NextAttempt
from aegis_graph.routing.alerting.alerts import report_alerts
from aegis_graph.routing.application.hooked_attempt import report_settled
from aegis_graph.routing.application.hooked_plan import plan_by_policy
from aegis_graph.routing.candidates.planner import Planner
from aegis_graph.routing.deadline import Deadline, kept, shortened
from aegis_graph.routing.hosts.host import RequestReader
from aegis_graph.routing.no_answer import routing_error
from aegis_graph.routing.observer import observer_in
from aegis_graph.routing.on_budget import BudgetAsker, question_of
from aegis_graph.routing.policy import ProviderPlan
from aegis_graph.routing.reservation import failed_request
from aegis_graph.routing.route import (
    Route,
    admitted,
    full,
    not_approved,
    pending,
    questioned,
    refusals,
    refused_because,
    settled,
    waited,
    with_choices,
)
from aegis_graph.routing.services import SharedServices
from aegis_graph.routing.state import RouterState, answered, in_progress, route_of
from aegis_graph.telemetry.telemetry import watched_request
from aegis_graph.types import SettlementRecord

_KEPT = ("attempts", "route_id", "ends_at")
"""What ``budget_check`` leaves in the state as it is."""


@dataclass(frozen=True, slots=True)
class RouterNodes:
    """The two nodes around the attempts.

    Args:
        planner: Knows the providers, and which of them may be asked.
        services: The ledger, the providers' health and the unclaimed holds.
        read: Reads the request out of the state.
        limits: What an attempt must fit into beside the budgets, by provider.
        asker: Asks whether more may be spent, where budgets are in the way.
    """

    planner: Planner
    services: SharedServices
    read: RequestReader
    limits: Mapping[str, tuple[UnitLimit, ...]]
    asker: BudgetAsker | None = None

    async def budget_check(self, state: RouterState, config: RunnableConfig) -> Command[str]:
        """Settle the attempt that failed, if any, and reserve the next one.

        Raises:
            InvalidRequestError: The request is wrong.
            HookError: The policy of the application failed.
            LedgerError: The ledger cannot be used; no provider is asked without it.
        """
        state = in_progress(state)
        request = with_reasons(self.read(state, config), refused_because(state.get("route")))
        question = route_of(state).get("question")
        if self.asker is None or question is None:
            return await self._next_attempt(state, request, config)
        # Before anything that is done once: to be answered, LangGraph runs the node again.
        approval = await self.asker.answer(question, request)
        if isinstance(approval, str):
            update = {"route": not_approved(route_of(state), approval)}
            return Command(goto="record_cost", update=update)
        return await self._next_attempt(answered(state), request, config, approval)

    async def _next_attempt(
        self,
        state: RouterState,
        request: Request,
        config: RunnableConfig,
        approval: Approval | None = None,
    ) -> Command[str]:
        deadline = Deadline.of(state, request)
        route = with_choices(route_of(state), request.protecting_choices)
        state = {**state, "route": route, **kept(deadline)}
        if watched := watched_request():
            watched.describe(request, state["route_id"])
        unsettled = pending(route)
        if route["retry_after_s"] > 0:
            # During the wait no money may be held that no call is spending.
            await self.settle(unsettled, state, config)
            unsettled = []
            await asyncio.sleep(shortened(route["retry_after_s"], deadline))
        await self.planner.learn(request)
        now, streams = self.services.clock(), observer_in(config).streams(config)
        plan = self.planner.plan(request, state, deadline, now, streams=streams)
        plan = await self._planned_by_hook(plan, request, state, config, unsettled)
        waited_s = {**route.get("waited_s", {})}
        attempt = NextAttempt(
            self.planner,
            self.services,
            self.limits,
            request,
            state["route_id"],
            len(state["attempts"]) + 1,
            deadline,
            plan,
            waited_s,
            approval=approval,
        )

        async def report(settled: Sequence[SettlementRecord], alerts: Sequence[Alert]) -> None:
            await self._report(settled, alerts, state, config)

        admission = await attempt.admit(unsettled, report)
        return await self._command(state, attempt, admission, config)

    async def record_cost(self, state: RouterState, config: RunnableConfig) -> dict[str, Any]:
        """Settle the last attempt; hand out the answer, or say why there is none.

        Raises:
            RoutingError: There is no answer.
            LedgerError: The ledger cannot be written. A checkpointer keeps the answer, and a
                resumed run settles it without buying it again.
        """
        unsettled, answer = pending(route_of(state)), state.get("answer")
        error = None if answer is not None else routing_error(state)
        failed = None if error is None else failed_request(self.read(state, config), error)
        await self.settle(unsettled, state, config, failed=failed)
        # Only now, because the ledger must have the attempts that failed too: they may have cost.
        if error is not None:
            raise error
        if watched := watched_request():
            watched.describe(self.read(state, config), state["route_id"])
            watched.answer()
        return {
            "messages": [answer],
            "attempts": state["attempts"],
            "skipped": state["skipped"],
            "route_id": state["route_id"],
        }

    def _without_room(
        self, state: RouterState, admission: Admitted, config: RunnableConfig
    ) -> tuple[Route, str]:
        """Where a request goes that no candidate was admitted for."""
        onward = full(settled(route_of(state)), admission.free_in_s)
        if self.asker is None or not admission.full:
            return onward, "record_cost"
        why_not = self.asker.why_not(config)
        if why_not is not None:
            return not_approved(onward, why_not), "record_cost"
        return questioned(onward, question_of(admission.full, state["route_id"])), "budget_check"

    async def _command(
        self,
        state: RouterState,
        attempt: NextAttempt,
        admission: Admitted,
        config: RunnableConfig,
    ) -> Command[str]:
        route = route_of(state)
        onward, goto = self._without_room(state, admission, config)
        if admission.hold is not None and admission.candidate is not None:
            chosen = admission.candidate
            onward, goto = (
                admitted(route, admission.hold, chosen.reason),
                f"attempt_{chosen.spec.name}",
            )
            # Until the attempt's node claims it: a run that ends in between spends nothing.
            await self.services.unclaimed.register(unused_hold(admission.hold["id"]))
        skipped = [*attempt.plan.skipped, *admission.skipped, *refusals(route)]
        if watched := watched_request():
            watched.skip(skipped)
            watched.wait(attempt.waited_s)
        update = {
            **{key: state[key] for key in _KEPT if key in state},  # type: ignore[literal-required]
            "route": waited(onward, attempt.waited_s),
            "skipped": skipped,
        }
        return Command(goto=goto, update=update)

    async def _planned_by_hook(
        self,
        plan: ProviderPlan,
        request: Request,
        state: RouterState,
        config: RunnableConfig,
        unsettled: Sequence[SettlementRecord],
    ) -> ProviderPlan:
        try:
            return await plan_by_policy(self.services.hooks.policy, plan, request, state)
        except HookError as error:
            await self.settle(unsettled, state, config, failed=failed_request(request, error))
            raise

    async def settle(
        self,
        ended: Sequence[SettlementRecord],
        state: RouterState,
        config: RunnableConfig,
        *,
        failed: FailedRequest | None = None,
    ) -> None:
        """Have the ledger record what has ended, and say so.

        Args:
            ended: The settlements of the last attempts.
            state: With these attempts.
            config: The run's configuration.
            failed: The request, where it ends without an answer.

        Raises:
            LedgerError: The ledger cannot be written.
        """
        alerts = await self.services.ledger.settle(ended, failed_request=failed)
        await self._report(ended, alerts, state, config)

    async def free_slot(self, ended: Sequence[SettlementRecord]) -> None:
        """Have the ledger record an answer that is yet to be judged: its slot is free for others.

        The next node settles it again, which may only refuse it, and says what became of it.

        Raises:
            LedgerError: The ledger cannot be written.
        """
        await self._warn(await self.services.ledger.settle(ended))

    async def _warn(self, alerts: Sequence[Alert]) -> None:
        if self.planner.downshift is not None:
            self.planner.downshift.hear(alerts)
        await report_alerts(alerts, self.services.notices, self.services.hooks.on_alert)

    async def _report(
        self,
        ended: Sequence[SettlementRecord],
        alerts: Sequence[Alert],
        state: RouterState,
        config: RunnableConfig,
    ) -> None:
        """Say what the ledger has settled, of which nothing is left to do."""
        for settlement in ended:
            await self.services.unclaimed.claim(settlement["hold_id"])
        await self._warn(alerts)
        after = self.services.hooks.after_attempt
        records = state["attempts"][-len(ended) :]
        for record, settlement in zip(records, ended, strict=False):
            model, overrun = record["model"], settlement["overrun"]
            await self.services.notices.overran(record["provider"], model, overrun)
            if after is not None:
                request = self.read(state, config)
                await report_settled(after, request, state, record, settlement)
