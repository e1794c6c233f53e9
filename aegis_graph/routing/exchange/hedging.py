"""A second attempt beside one that takes long: the first complete answer is the request's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp

from aegis_graph.config.specs import RoutingSpec
from aegis_graph.errors import AttemptRefusedError, HookError, LedgerError
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request
from aegis_graph.routing.admission import Admitted, NextAttempt
from aegis_graph.routing.application.checks import AcceptChecks
from aegis_graph.routing.application.hooked_attempt import checked_by_hook
from aegis_graph.routing.application.hooked_plan import plan_by_policy
from aegis_graph.routing.call import Call
from aegis_graph.routing.candidates.planner import Planner
from aegis_graph.routing.deadline import Deadline, is_over
from aegis_graph.routing.exchange.outcome import CallOutcome
from aegis_graph.routing.exchange.race import Race
from aegis_graph.routing.observer import observer_in
from aegis_graph.routing.policy import may_receive
from aegis_graph.routing.route import AdmittedHold, beside
from aegis_graph.routing.services import SharedServices
from aegis_graph.routing.state import RouterState, route_of
from aegis_graph.routing.tracing.watched_runs import watched_call


class HedgeDelay(NamedTuple):
    """How long an attempt is waited for before a second one is sent."""

    seconds: float
    source: str = ""
    """Where the time is from, in a reason's words."""


@dataclass(frozen=True, slots=True)
class Hedging:
    """Makes a request's call, and a second one beside it where that one takes long.

    The second is planned and admitted as every attempt is, except that nothing is waited for: where
    it may not be made, the first goes on alone.

    Args:
        spec: When requests are hedged that do not say it.
        planner: Knows the providers, and which of them may be asked.
        services: What all requests share.
        limits: What an attempt must fit into beside the budgets, by provider.
        checks: What an answer must pass after it.
    """

    spec: RoutingSpec
    planner: Planner
    services: SharedServices
    limits: Mapping[str, tuple[UnitLimit, ...]]
    checks: AcceptChecks

    async def outcomes(
        self, call: Call, request: Request, state: RouterState, config: RunnableConfig
    ) -> list[CallOutcome]:
        """How the call ended, and the one beside it if there was one, in their order.

        Args:
            call: The attempt's own, which has not begun.
            request: As it was asked, before any function of the application changed it.
            state: The request's, of the attempt's node.
            config: The run's.
        """
        delay = await self._delay(call, request, state)
        if delay is None:
            return [await watched_call(call, config)]
        kind = "first token" if call.streams else "answer"
        waited = f"no {kind} after {delay.seconds:.2g} s{delay.source}"
        reason = f"hedge: {call.provider.spec.name} had {waited}"

        async def second() -> Call | None:
            return await self._second(call, request, state, config, reason)

        async def make(one: Call) -> CallOutcome:
            return await watched_call(one, config)

        return await Race(self.services, call, second, make).run(delay.seconds)

    async def _delay(self, call: Call, request: Request, state: RouterState) -> HedgeDelay | None:
        after = self.spec.hedge_after_s if request.hedge_after_s is None else request.hedge_after_s
        if after == "off" or route_of(state).get("hedged"):
            return None
        if call.provider.tier is not None:
            # That it takes long is what it costs half the price for.
            return None
        if request.options.get("tools") and not self.spec.hedge_tools:
            # What they do on the provider's side would be done twice.
            return None
        if after != "p95":
            return HedgeDelay(after)
        experience, spec = self.services.experience, call.provider.spec
        await experience.refresh()
        subject = (spec.name, spec.model, request.task)
        if call.streams:
            p95_ms = experience.measured(subject).first_durations.p95_ms
        else:
            known = experience.record(subject)
            p95_ms = None if known is None else known.durations.p95_ms
        return None if p95_ms is None else HedgeDelay(p95_ms / 1000, " (p95)")

    async def _second(
        self,
        first: Call,
        request: Request,
        state: RouterState,
        config: RunnableConfig,
        reason: str,
    ) -> Call | None:
        """The call beside the first, with its reservation; ``None`` where it may not be made."""
        seen: RouterState = {
            **state,
            "attempts": [*state["attempts"], first.record_so_far()],
            "route": beside(route_of(state), first.provider.spec.name, reason),
        }
        try:
            admission = await self._admission(request, seen, config)
        except (AttemptRefusedError, HookError, LedgerError, GraphBubbleUp):
            # None of them may end a request that is about to be answered.
            return None
        hold, candidate = admission.hold, admission.candidate
        if hold is None or candidate is None:
            return None
        provider, unclaimed = self.planner.provider(candidate.spec.name), self.services.unclaimed
        await unclaimed.register(unused_hold(hold["id"]))
        allowed = await self._allowed(provider, request, seen, hold)
        if allowed is None or not await unclaimed.claim(hold["id"]) or not self._starts(provider):
            self.services.ledger.settle_soon(unused_hold(hold["id"]))
            return None
        is_judged = self.checks.of(request.task) is not None
        return Call(self.services, provider, allowed, seen, hold, config, is_judged=is_judged)

    async def _admission(
        self, request: Request, state: RouterState, config: RunnableConfig
    ) -> Admitted:
        deadline, now = Deadline.of(state, request), self.services.clock()
        streams = observer_in(config).streams(config)
        plan = self.planner.plan(request, state, deadline, now, streams=streams)
        plan = await plan_by_policy(self.services.hooks.policy, plan, request, state)
        # What stands in where no model answers does so at once, and would always be the first;
        # what waits for half the price would be the last.
        models = [
            one
            for one in plan.candidates
            if one.tier is None and not self.planner.provider(one.spec.name).stands_in
        ]
        attempt = NextAttempt(
            self.planner,
            self.services,
            self.limits,
            request,
            state["route_id"],
            len(state["attempts"]) + 1,
            deadline,
            plan._replace(candidates=models),
            waited_s={},
            may_wait=False,
        )
        return await attempt.admit((), _nothing_to_report)

    async def _allowed(
        self, provider: Provider, request: Request, state: RouterState, hold: AdmittedHold
    ) -> Request | None:
        """The request as this provider may have it, which is looked at again as in its own node."""
        if not may_receive(provider.spec, request.sensitivity):
            return None
        hook = self.services.hooks.before_attempt
        if hook is not None:
            try:
                request = await checked_by_hook(hook, provider, request, state, hold)
            except (AttemptRefusedError, HookError, GraphBubbleUp):
                return None
        return None if is_over(Deadline.of(state, request)) else request

    def _starts(self, provider: Provider) -> bool:
        health, lease_s = self.services.health, provider.spec.time_limits.whole_s
        return health.try_start(provider.asked_as, lease_s=lease_s, key=provider.api_key()) is None


async def _nothing_to_report(settled: Sequence[object], alerts: Sequence[object]) -> None:
    """Nothing is settled by the admission of a call beside another one."""
