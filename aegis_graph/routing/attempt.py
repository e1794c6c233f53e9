"""The node ``attempt_<name>``: one provider, entered with a reservation for one call."""

from __future__ import annotations

from dataclasses import dataclass

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from aegis_graph.config.specs import HealthSpec
from aegis_graph.ledger.records import Ledger, unused_hold
from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request
from aegis_graph.routing.call import AttemptCommand, Call
from aegis_graph.routing.health import Health, Unavailable
from aegis_graph.routing.policy import may_receive
from aegis_graph.routing.reservation import hold_for
from aegis_graph.routing.state import Route, RouterState
from aegis_graph.routing.unclaimed_holds import UnclaimedHolds


@dataclass(frozen=True, slots=True)
class Attempt:
    """The node ``attempt_<name>``: call the provider once, and say what came of it."""

    provider: Provider
    ledger: Ledger
    health: Health
    unclaimed: UnclaimedHolds
    limits: HealthSpec

    async def run(self, state: RouterState, config: RunnableConfig) -> AttemptCommand:
        """Call the provider under the reservation that ``budget_check`` made."""
        request = Request.of(state, config)
        route = state["route"]
        assert route is not None, "only budget_check leads here, and it writes the route"
        if not may_receive(self.provider.spec, request.sensitivity):
            return await self._decline(route, excluded=True)
        hold_id, hold_nano_usd = await self._own_hold(request, route)
        if hold_id is None:
            return Command(goto="budget_check", update={"route": route})
        if self._unavailable(route) is not None:
            return await self._decline({**route, "hold_id": hold_id}, excluded=False)
        call = Call(
            self.provider,
            self.ledger,
            self.health,
            self.unclaimed,
            self.limits,
            request=request,
            route=route,
            config=config,
            hold_id=hold_id,
            hold_nano_usd=hold_nano_usd,
        )
        return await call.make()

    def _unavailable(self, route: Route) -> Unavailable | None:
        """Look again just before the call: many may have been planned at the same moment."""
        name = self.provider.spec.name
        return self.health.try_start(
            name,
            lease_s=self.provider.spec.timeout_s,
            key=self.provider.api_key(),
            retrying=bool(route["attempts"]) and route["attempts"][-1]["provider"] == name,
        )

    async def _own_hold(self, request: Request, route: Route) -> tuple[int | None, int]:
        """The reservation handed over, or a new one when nobody keeps it any more.

        That is so after a breakpoint, and when a crashed run is resumed: the call that it may have
        made has a row of its own, and this one needs another.
        """
        if route["hold_id"] is not None and await self.unclaimed.claim(route["hold_id"]):
            return route["hold_id"], route["hold_nano_usd"]
        hold = hold_for(self.provider, request, route)
        return (await self.ledger.admit([hold])).hold_id, hold.nano_usd

    async def _decline(self, route: Route, *, excluded: bool) -> AttemptCommand:
        """Make no call after all; the next plan says why not.

        Args:
            route: The request in progress.
            excluded: Whether to rule this provider out, whatever the next plan says of it.
        """
        names = [self.provider.spec.name] if excluded else []
        pending = None if route["hold_id"] is None else unused_hold(route["hold_id"])
        if pending is not None:
            await self.unclaimed.register(pending)
        onward: Route = {
            **route,
            "excluded": [*route["excluded"], *names],
            "hold_id": None,
            "pending": pending,
        }
        return Command(goto="budget_check", update={"route": onward})
