"""Which providers may be asked now: what the policy needs to know, gathered from where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request
from aegis_graph.routing.candidates.choosing import ProviderNames, in_order, why_not
from aegis_graph.routing.candidates.downshift import Downshift
from aegis_graph.routing.candidates.half_price import with_waiting_tiers
from aegis_graph.routing.candidates.ranking import Ranking
from aegis_graph.routing.deadline import Deadline, is_over
from aegis_graph.routing.exchange.retry import asked_last, is_retry
from aegis_graph.routing.health import Health, Unavailable
from aegis_graph.routing.policy import (
    Candidate,
    ProviderPlan,
    ProviderState,
    make_plan,
    out_of_time,
    within_price,
)
from aegis_graph.routing.reservation import most_cost
from aegis_graph.routing.state import RouterState, route_of
from aegis_graph.types import Order


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes the plan of a request from its chain as it is now.

    Args:
        chain: The providers, in the order in which they are asked.
        health: Which of them are left alone for now.
        names: Under which a request may choose among them.
        ranking: Puts them in another order than that of the chain.
        downshift: Knows which budgets are nearly spent, where that changes the order.
    """

    chain: Sequence[Provider]
    health: Health
    names: ProviderNames
    ranking: Ranking
    downshift: Downshift | None = None

    async def learn(self, request: Request) -> None:
        """Find out what earlier attempts were like, where the request's order goes by that."""
        downshifts = self.downshift is not None and await self.downshift.refresh()
        if downshifts or self.ranking.order_of(request) != "listed":
            await self.ranking.experience.refresh()

    def plan(
        self,
        request: Request,
        state: RouterState,
        deadline: Deadline | None,
        now: datetime,
        *,
        streams: bool = False,
    ) -> ProviderPlan:
        """The candidates, in order, and why the others are none.

        Args:
            request: What is asked.
            state: With the attempts so far.
            deadline: When the request's time is over.
            now: The moment whose prices count.
            streams: Whether the answer is wanted in pieces.

        Raises:
            InvalidRequestError: The request chooses a provider that is unknown.
        """
        chosen = self.names.chosen(request.selections)
        excluded = route_of(state)["excluded"]
        states = [
            self._state(self.provider(name), request, state, chosen)
            for name in in_order([provider.spec.name for provider in self.chain], chosen)
            if name not in excluded
        ]
        plan = with_waiting_tiers(
            make_plan(request, states),
            request,
            state["attempts"],
            excluded=excluded,
            waiting=lambda name: self.provider(name).waiting,
            unavailable=self._unavailable,
        )
        if deadline is not None and is_over(deadline):
            plan = out_of_time(plan, deadline.problem)
        plan = within_price(
            plan, request, lambda one: most_cost(self.provider_of(one), request, at=now)
        )
        downshift = self._downshift(request, plan.candidates)
        if downshift is None and self.ranking.order_of(request) == "listed":
            return plan
        attempts = state["attempts"]
        return self.ranking.ranked(
            plan,
            request,
            self.provider_of,
            route_id=state["route_id"],
            at=now,
            streams=streams,
            first=asked_last(attempts),
            downshift=downshift,
        )

    def order_of(self, request: Request, candidates: Sequence[Candidate]) -> Order:
        """The order in which the candidates of a request are asked."""
        downshift = self._downshift(request, candidates)
        return "price" if downshift else self.ranking.order_of(request)

    def provider(self, name: str) -> Provider:
        """A provider of the chain by its name."""
        return next(provider for provider in self.chain if provider.spec.name == name)

    def provider_of(self, candidate: Candidate) -> Provider:
        """The provider of a candidate, in the tier that it is asked in."""
        found = self.provider(candidate.spec.name)
        return found if candidate.tier is None or found.waiting is None else found.waiting

    def _unavailable(self, provider: Provider) -> Unavailable | None:
        return self.health.unavailable(provider.asked_as, key=provider.api_key())

    def _downshift(self, request: Request, candidates: Sequence[Candidate]) -> str | None:
        return None if self.downshift is None else self.downshift.reason(candidates, request)

    def _state(
        self,
        provider: Provider,
        request: Request,
        state: RouterState,
        chosen: Sequence[str] | None,
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
            unavailable=None if retry else self._unavailable(provider),
            fetches_images=provider.fetches_images,
            passed_over=why_not(name, chosen),
        )
