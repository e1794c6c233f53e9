"""How long it takes to put four providers in order: no call, no ledger, no transaction."""

from __future__ import annotations

import timeit

from langchain_core.messages import HumanMessage

from aegis_graph.clock import utc_now
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.specs import RoutingSpec
from aegis_graph.ledger.past_attempts import PastAttempt
from aegis_graph.providers.registry import create_provider
from aegis_graph.request.request import Request
from aegis_graph.routing.candidates.choosing import ProviderNames
from aegis_graph.routing.candidates.experience import Experience
from aegis_graph.routing.candidates.ranking import Ranking
from aegis_graph.routing.policy import ProviderState, make_plan
from aegis_graph.types import ORDERS, Order

ROUNDS, CALLS = 100, 50
"""The best round counts: the others had to wait for another program."""


def microseconds(order: Order) -> float:
    """The time of one decision of the default chain, with a history of each provider."""
    config, now = RouterConfig(), utc_now()
    chain = {
        row.name: create_provider(row, source=config.source, environ={}) for row in config.providers
    }
    experience = Experience(None, lambda: now)
    experience.replace(
        PastAttempt(name, one.spec.model, "answer", "t", now, True, 100, 1000, 200, 100, 900)
        for name, one in chain.items()
        for _ in range(50)
    )
    ranking = Ranking(RoutingSpec(order=order), experience, ProviderNames(config.providers))
    state = {"messages": [HumanMessage("hello " * 200)], "task": "answer"}
    request = Request.from_state(state, {"configurable": {"thread_id": "t"}})
    plan = make_plan(request, [ProviderState(one.spec) for one in chain.values()])

    def decide() -> None:
        ranking.ranked(
            plan,
            request,
            lambda one: chain[one.spec.name],
            route_id="r",
            at=now,
            streams=False,
            first=None,
        )

    return min(timeit.repeat(decide, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def main() -> None:
    """Print the time of each order."""
    for order in ORDERS[1:]:
        print(f"order by {order}: {microseconds(order):.0f} us")


if __name__ == "__main__":
    main()
