"""The routing subgraph's own decisions: admit the next attempt, and record how the request ended.

A request goes ``budget_check`` -> ``attempt_<name>`` (see ``attempt``) -> ``record_cost``; a failed
attempt leads back to ``budget_check``, so every attempt has a reservation of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from aegis_graph.errors import (
    AllProvidersFailedError,
    BadRequestError,
    BudgetExceededError,
    ContentRefusedError,
    ContextTooLongError,
    HookError,
    NoProviderError,
    RequestRejectedError,
    RoutingError,
    StreamInterruptedError,
)
from aegis_graph.ledger.alerts import Alert
from aegis_graph.ledger.records import Admission, Hold, unused_hold
from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request
from aegis_graph.routing.alerts import report_alerts
from aegis_graph.routing.hooked_attempt import report_settled
from aegis_graph.routing.hooked_plan import plan_by_policy
from aegis_graph.routing.host import RequestReader
from aegis_graph.routing.policy import ProviderPlan, ProviderState, make_plan, skip
from aegis_graph.routing.reservation import failed_request, hold_for
from aegis_graph.routing.retry import is_retry
from aegis_graph.routing.route import admitted, admitted_hold, refusals, settled, with_choices
from aegis_graph.routing.services import SharedServices
from aegis_graph.routing.state import RouterState, in_progress, route_of
from aegis_graph.types import SettlementRecord

_REFUSALS = frozenset(
    error.__name__ for error in (BadRequestError, ContentRefusedError, ContextTooLongError)
)
"""How a provider refuses the request itself. Attempts are JSON: they have the error's name."""


@dataclass(frozen=True, slots=True)
class RouterNodes:
    """The two nodes around the attempts.

    Args:
        chain: The providers, in the order in which they are asked.
        services: The ledger, the providers' health and the unclaimed holds.
        read: Reads the request out of the state.
    """

    chain: Sequence[Provider]
    services: SharedServices
    read: RequestReader

    async def budget_check(self, state: RouterState, config: RunnableConfig) -> Command[str]:
        """Settle the attempt that failed, if any, and reserve the next one.

        Raises:
            InvalidRequestError: The request is wrong.
            HookError: The policy of the application failed.
            LedgerError: The ledger cannot be used; no provider is asked without it.
        """
        state = in_progress(state)
        request = self.read(state, config)
        route = with_choices(route_of(state), request.protecting_choices)
        state = {**state, "route": route}
        pending = [route["pending"]] if route["pending"] else []
        if route["retry_after_s"] > 0:
            # During the wait no money may be held that no call is spending.
            alerts = await self.services.ledger.settle(pending)
            await self._report(pending, alerts, state, config)
            pending = []
            await asyncio.sleep(route["retry_after_s"])
        plan = await self._plan(request, state, config, pending)
        route_id, number = state["route_id"], len(state["attempts"]) + 1
        now = self.services.clock()
        holds = [
            hold_for(self._provider(candidate.spec.name), request, route_id, number, at=now)
            for candidate in plan.candidates
        ]
        # One transaction: what the failed attempt leaves of its hold is free for the next one.
        admission = await self.services.ledger.admit(holds, settle=pending)
        await self._report(pending, admission.alerts, state, config)
        return await self._command(state, plan, holds, admission, now)

    async def record_cost(self, state: RouterState, config: RunnableConfig) -> dict[str, Any]:
        """Settle the last attempt; hand out the answer, or say why there is none.

        Raises:
            RoutingError: There is no answer.
            LedgerError: The ledger cannot be written. A checkpointer keeps the answer, and a
                resumed run settles it without buying it again.
        """
        route = route_of(state)
        pending = [route["pending"]] if route["pending"] else []
        answer = state.get("answer")
        error = None if answer is not None else _routing_error(state)
        failed = None if error is None else failed_request(self.read(state, config), error)
        alerts = await self.services.ledger.settle(pending, failed_request=failed)
        await self._report(pending, alerts, state, config)
        # Only now, because the ledger must have the attempts that failed too: they may have cost.
        if error is not None:
            raise error
        return {
            "messages": [answer],
            "attempts": state["attempts"],
            "skipped": state["skipped"],
            "route_id": state["route_id"],
        }

    async def _command(
        self,
        state: RouterState,
        plan: ProviderPlan,
        holds: Sequence[Hold],
        admission: Admission,
        now: datetime,
    ) -> Command[str]:
        route = route_of(state)
        refused = [
            skip(self._provider(refusal.provider).spec, "budget", refusal.reason())
            for refusal in admission.refusals
        ]
        onward, goto = settled(route), "record_cost"
        if admission.hold_id is not None and admission.index is not None:
            chosen = plan.candidates[admission.index]
            hold = admitted_hold(admission.hold_id, holds[admission.index].nano_usd, now)
            onward, goto = admitted(route, hold, chosen.reason), f"attempt_{chosen.spec.name}"
            # Until the attempt's node claims it: a run that ends in between spends nothing.
            await self.services.unclaimed.register(unused_hold(hold["id"]))
        update = {
            "route": onward,
            "attempts": state["attempts"],
            "skipped": [*plan.skipped, *refused, *refusals(route)],
            "route_id": state["route_id"],
        }
        return Command(goto=goto, update=update)

    async def _plan(
        self,
        request: Request,
        state: RouterState,
        config: RunnableConfig,
        pending: Sequence[SettlementRecord],
    ) -> ProviderPlan:
        plan = make_plan(request, self._provider_states(request, state))
        policy = self.services.hooks.policy
        if policy is None:
            return plan
        try:
            return await plan_by_policy(policy, plan, request, state)
        except HookError as error:
            failed = failed_request(request, error)
            alerts = await self.services.ledger.settle(pending, failed_request=failed)
            await self._report(pending, alerts, state, config)
            raise

    async def _report(
        self,
        pending: Sequence[SettlementRecord],
        alerts: Sequence[Alert],
        state: RouterState,
        config: RunnableConfig,
    ) -> None:
        """Say what the ledger has settled, of which nothing is left to do."""
        for settlement in pending:
            await self.services.unclaimed.claim(settlement["hold_id"])
        hooks = self.services.hooks
        await report_alerts(alerts, self.services.webhook, hooks.on_alert)
        if hooks.after_attempt is not None:
            for settlement in pending:
                request = self.read(state, config)
                await report_settled(hooks.after_attempt, request, state, settlement)

    def _provider_states(self, request: Request, state: RouterState) -> list[ProviderState]:
        excluded = route_of(state)["excluded"]
        return [
            self._provider_state(provider, request, state)
            for provider in self.chain
            if provider.spec.name not in excluded
        ]

    def _provider_state(
        self, provider: Provider, request: Request, state: RouterState
    ) -> ProviderState:
        name, key = provider.spec.name, provider.api_key()
        # A retry has waited as long as the provider asked for.
        retry = is_retry(state["attempts"], name)
        return ProviderState(
            provider.spec,
            missing_key=provider.key_env if provider.key_env and not key else None,
            missing_package=provider.missing_package(),
            takes_tools=provider.takes_tools,
            takes_schema=provider.structured is not None,
            refused_option=provider.refused_option(request.options),
            unavailable=None if retry else self.services.health.unavailable(name, key=key),
            fetches_images=provider.fetches_images,
        )

    def _provider(self, name: str) -> Provider:
        return next(provider for provider in self.chain if provider.spec.name == name)


def _routing_error(state: RouterState) -> RoutingError:
    route = route_of(state)
    attempts, skipped = state["attempts"], state["skipped"]
    failed = [
        f"{row['provider']} failed ({row['error_type']}: {row['reason']})" for row in attempts
    ]
    passed_over = [f"{row['provider']} not asked ({row['reason']})" for row in skipped]
    reasons = "; ".join([*failed, *passed_over])
    if route["broken_off"] is not None:
        return StreamInterruptedError(
            f"the answer broke off after its first words: {reasons}",
            route_id=state["route_id"],
            attempts=attempts,
            skipped=skipped,
            partial_text=route["broken_off"],
        )
    kind: type[RoutingError]
    last_words = {row["provider"]: row["error_type"] for row in attempts}
    if any(row["code"] == "budget" for row in skipped):
        kind, summary = BudgetExceededError, "no provider fits into its budget"
    elif attempts and _REFUSALS.issuperset(last_words.values()):
        kind, summary = RequestRejectedError, "the request was rejected"
    elif attempts:
        kind, summary = AllProvidersFailedError, "every provider failed"
    else:
        kind, summary = NoProviderError, "no provider may be asked"
    return kind(
        f"{summary}: {reasons}", route_id=state["route_id"], attempts=attempts, skipped=skipped
    )
