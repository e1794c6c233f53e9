"""The node ``attempt_<name>``: one provider, entered with a reservation for one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from aegis_graph.errors import AttemptRefusedError, HookError
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.settlements import unused_hold
from aegis_graph.providers.base import Provider
from aegis_graph.request.refused_answers import with_reasons
from aegis_graph.request.request import Request
from aegis_graph.routing.application.checks import NO_CHECKS, AcceptChecks
from aegis_graph.routing.application.hooked_attempt import checked_by_hook
from aegis_graph.routing.call import Call
from aegis_graph.routing.candidates.half_price import attempt_limits
from aegis_graph.routing.deadline import Deadline, is_over, kept
from aegis_graph.routing.exchange.hedging import Hedging
from aegis_graph.routing.exchange.outcome import AttemptCommand, onward
from aegis_graph.routing.exchange.retry import is_retry
from aegis_graph.routing.health import Unavailable
from aegis_graph.routing.hosts.host import RequestReader
from aegis_graph.routing.observer import keep_answer
from aegis_graph.routing.policy import may_receive, skip
from aegis_graph.routing.reservation import failed_request, hold_for
from aegis_graph.routing.route import (
    AdmittedHold,
    Route,
    admitted_hold,
    declined,
    refused_because,
)
from aegis_graph.routing.services import SharedServices
from aegis_graph.routing.state import RouterState, route_of
from aegis_graph.routing.tracing.watched_runs import watched_call
from aegis_graph.telemetry.telemetry import watched_request
from aegis_graph.text.foreign import clean_text
from aegis_graph.types import SkippedRecord


@dataclass(frozen=True, slots=True)
class Attempt:
    """The node ``attempt_<name>``: call the provider once, and say what came of it."""

    provider: Provider
    services: SharedServices
    read: RequestReader
    limits: tuple[UnitLimit, ...] = ()
    """What it must fit into beside the budgets."""
    checks: AcceptChecks = NO_CHECKS
    """What an answer must pass after it."""
    hedging: Hedging | None = None
    """Sends a second attempt where this one takes long."""

    async def run(self, state: RouterState, config: RunnableConfig) -> AttemptCommand:
        """Call the provider under the reservation that ``budget_check`` made."""
        reasons = refused_because(route_of(state))
        request = with_reasons(self.read(state, config), reasons)
        if watched := watched_request():
            # Also where a resumed run begins here.
            watched.describe(request, state["route_id"])
        deadline = Deadline.of(state, request)
        command = await self._attempt({**state, **kept(deadline)}, request, config)
        if deadline is None:
            return command
        # For the nodes after this one, where a resumed run begins here.
        return replace(command, update={**cast("RouterState", command.update), **kept(deadline)})

    async def _attempt(
        self, state: RouterState, request: Request, config: RunnableConfig
    ) -> AttemptCommand:
        route, deadline = route_of(state), Deadline.of(state, request)
        # The plan has left such a provider out, but a state can be changed between two nodes, and
        # then private data must stay here all the same.
        if not may_receive(self.provider.spec, request.sensitivity):
            return await self._decline(route, route["hold"], exclude=self.provider.spec.name)
        provider = self._in_tier(route["hold"])
        if provider is None:
            return await self._decline(route, route["hold"])
        hold = await self._claim_hold(provider, request, state)
        if hold is None:
            # The budgets have filled up since. A route lives for one step, so it is written again.
            return Command(goto="budget_check", update={"route": route})
        allowed = request
        if self.services.hooks.before_attempt is not None:
            try:
                allowed = await self._checked_by_hook(provider, request, state, hold)
            except AttemptRefusedError as refusal:
                reason = clean_text(str(refusal)) or "refused by before_attempt"
                return await self._decline(
                    route, hold, refusal=skip(self.provider.spec, "hook", reason)
                )
        if is_over(deadline) or self._try_start(provider, request, state) is not None:
            return await self._decline(route, hold)
        is_judged = self.checks.of(request.task) is not None
        call = Call(self.services, provider, allowed, state, hold, config, is_judged=is_judged)
        if self.hedging is None:
            outcomes = [await watched_call(call, config)]
        else:
            outcomes = await self.hedging.outcomes(call, request, state, config)
        answer = next((one.answer for one in outcomes if one.answer is not None), None)
        if answer is not None and not is_judged:
            keep_answer(answer, config)
        return onward(state, outcomes, is_judged=is_judged)

    def _in_tier(self, hold: AdmittedHold | None) -> Provider | None:
        """The provider as it was admitted; ``None`` where its row has no such tier any more."""
        tier = None if hold is None else hold.get("tier")
        return self.provider if tier is None else self.provider.waiting

    def _try_start(
        self, provider: Provider, request: Request, state: RouterState
    ) -> Unavailable | None:
        """Check the health again just before the call: many were planned at the same moment."""
        return self.services.health.try_start(
            provider.asked_as,
            lease_s=attempt_limits(provider, request, state["attempts"]).whole_s,
            key=provider.api_key(),
            retrying=is_retry(state["attempts"], provider.asked_as),
        )

    async def _claim_hold(
        self, provider: Provider, request: Request, state: RouterState
    ) -> AdmittedHold | None:
        """The reservation that ``budget_check`` made, or a new one when it is no longer open.

        ``None`` where no budget, or not the request's own limit of price, has room for one.

        That is so after a breakpoint, and when a crashed run is resumed: the call that it may have
        made has a row of its own, and this one needs another.
        """
        open_hold = route_of(state)["hold"]
        if open_hold is not None and await self.services.unclaimed.claim(open_hold["id"]):
            return open_hold
        number = len(state["attempts"]) + 1
        now = self.services.clock()
        wanted = hold_for(
            provider,
            request,
            state["route_id"],
            number,
            at=now,
            limits=self.limits,
            whole_s=attempt_limits(provider, request, state["attempts"]).whole_s,
        )
        limit = request.max_price_nano_usd
        if limit is not None and wanted.nano_usd > limit:
            return None
        hold_id = (await self.services.ledger.admit([wanted])).hold_id
        if hold_id is None:
            return None
        return admitted_hold(hold_id, wanted.nano_usd, now, provider.tier)

    async def _checked_by_hook(
        self, provider: Provider, request: Request, state: RouterState, hold: AdmittedHold
    ) -> Request:
        """The request as the application lets this provider have it; nothing is sent before."""
        hook, ledger = self.services.hooks.before_attempt, self.services.ledger
        assert hook is not None, "asked by the caller"
        try:
            return await checked_by_hook(hook, provider, request, state, hold)
        except AttemptRefusedError:
            raise
        except HookError as error:
            failed = failed_request(request, error)
            await ledger.settle([unused_hold(hold["id"])], failed_request=failed)
            raise
        except BaseException:
            # As in a call: a task that was cancelled can be cancelled again.
            ledger.settle_soon(unused_hold(hold["id"]))
            raise

    async def _decline(
        self,
        route: Route,
        hold: AdmittedHold | None,
        *,
        exclude: str | None = None,
        refusal: SkippedRecord | None = None,
    ) -> AttemptCommand:
        """Make no call after all; the next plan says why not."""
        unused = None if hold is None else unused_hold(hold["id"])
        if unused is not None:
            # ``budget_check`` settles it next; if the run ends before that, it is still settled.
            await self.services.unclaimed.register(unused)
        route = declined(route, unused, exclude=exclude, refusal=refusal)
        return Command(goto="budget_check", update={"route": route})
