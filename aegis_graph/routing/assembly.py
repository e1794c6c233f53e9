"""The nodes of the routing subgraph put together around a chain of providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.types import Checkpointer
from typing_extensions import override

from aegis_graph.concurrency.portal import Node
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.ledger.factory import calendar_of
from aegis_graph.providers.base import Provider
from aegis_graph.providers.waiting_tier import BATCH
from aegis_graph.request.choices import RouterContext
from aegis_graph.routing.application.checks import NO_CHECKS, AcceptChecks, accept_checks
from aegis_graph.routing.application.hooks import RouterHooks
from aegis_graph.routing.attempt import Attempt
from aegis_graph.routing.candidates.choosing import ProviderNames
from aegis_graph.routing.candidates.experience import Experience
from aegis_graph.routing.candidates.planner import Planner
from aegis_graph.routing.candidates.ranking import Ranking
from aegis_graph.routing.compiled_router import CompiledRouter
from aegis_graph.routing.exchange.hedging import Hedging
from aegis_graph.routing.fast_path import FastPathGraph
from aegis_graph.routing.hosts.host import HostCheck, RequestReader
from aegis_graph.routing.limits import limits_of
from aegis_graph.routing.nodes import RouterNodes
from aegis_graph.routing.on_budget import BudgetAsker
from aegis_graph.routing.services import SharedServices
from aegis_graph.routing.state import RouterInput, RouterOutput, RouterState
from aegis_graph.telemetry.telemetry import Telemetry
from aegis_graph.types import DEFAULT_SENSITIVITY, asked_as


class RouterBuilder(StateGraph[RouterState, RouterContext, RouterInput, RouterOutput]):
    """The routing graph before it is compiled. A caller may add nodes to it."""

    providers: tuple[Provider, ...] = ()
    """The chain, in order."""

    default_sensitivity: str = DEFAULT_SENSITIVITY
    """How private a request is where nothing says it."""

    host_check: HostCheck | None = None
    """Looks at each request where it enters; one for all graphs that are compiled from this."""

    hooks: RouterHooks = RouterHooks()
    """The functions that the application gave."""
    nodes_around: RouterNodes | None = None
    """The two nodes around the attempts, with the planner."""
    checks: AcceptChecks = NO_CHECKS
    """What answers must pass, by task."""
    provider_names: ProviderNames | None = None
    """Under which a request may choose providers."""
    telemetry: Telemetry | None = None
    """Finds out whether anything watches a request."""

    @override
    def compile(self, checkpointer: Checkpointer = None, **options: Any) -> CompiledRouter:
        """As ``StateGraph.compile``; like any router, it leads a run past a removed provider.

        The graph runs on LangGraph's engine, because only that runs the nodes that were added.
        """
        return CompiledRouter.of(super().compile(checkpointer, **options))


def assemble(
    chain: Sequence[Provider], services: SharedServices, config: RouterConfig
) -> RouterBuilder:
    """Put the nodes around a chain of providers together."""
    read = RequestReader(config.defaults.model_dump(exclude_none=True))
    provider_names = ProviderNames(config.providers, config.aliases)
    checks = accept_checks(config, services.hooks.accept)
    limits = {row.spec.name: limits_of(row.spec, config.limits) for row in chain}
    ranking = Ranking(config.routing, _experience(chain, services), provider_names)
    on_budget = services.hooks.on_budget or config.routing.on_budget
    downshift = services.downshift(calendar_of(config.ledger)) if on_budget == "downshift" else None
    planner = Planner(chain, services.health, provider_names, ranking, downshift)
    asker = None if on_budget in {"raise", "downshift"} else BudgetAsker(on_budget)
    nodes = RouterNodes(planner, services, read, limits, asker)
    builder = RouterBuilder(
        RouterState,
        context_schema=RouterContext,
        input_schema=RouterInput,
        output_schema=RouterOutput,
    )
    builder.default_sensitivity = config.defaults.sensitivity or DEFAULT_SENSITIVITY
    builder.host_check = HostCheck()
    builder.hooks = services.hooks
    builder.providers = tuple(chain)
    builder.provider_names = provider_names
    builder.nodes_around = nodes
    builder.telemetry = services.telemetry
    builder.checks = checks
    hedging = Hedging(config.routing, planner, services, limits, checks)
    attempts = {
        f"attempt_{row.spec.name}": Attempt(
            row, services, read, limits[row.spec.name], checks, hedging
        )
        for row in chain
    }
    again = () if asker is None else ("budget_check",)
    after = ("budget_check", "record_cost")
    checked = (*after, "accept") if checks else after
    portal = services.portal
    _add(
        builder,
        "budget_check",
        Node(nodes.budget_check, portal),
        (*attempts, *again, "record_cost"),
    )
    for name, attempt in attempts.items():
        _add(builder, name, Node(attempt.run, portal), checked)
    if checks:
        from aegis_graph.routing.accept import AcceptNode  # noqa: PLC0415  few have checks

        _add(builder, "accept", Node(AcceptNode(nodes, checks).run, portal), after)
    _add(builder, "record_cost", Node(nodes.record_cost, portal), ())
    builder.add_edge(START, "budget_check")
    builder.add_edge("record_cost", END)
    return builder


def _experience(chain: Sequence[Provider], services: SharedServices) -> Experience:
    """What is known of the rows, and of the same ones asked at half the price."""
    tiers = [row.waiting.asked_as for row in chain if row.waiting is not None]
    batches = [asked_as(row.spec.name, BATCH) for row in chain]
    services.experience.tiers = frozenset([*tiers, *batches])
    return services.experience


def _add(
    builder: StateGraph[Any, Any, Any, Any], name: str, node: Node, ends: tuple[str, ...]
) -> None:
    # LangGraph draws the edges that are named here: the nodes themselves return Commands.
    builder.add_node(name, node, destinations=ends, input_schema=RouterState)


def compiled(builder: RouterBuilder, *, checkpointer: Checkpointer, name: str) -> CompiledRouter:
    """Compile a routing graph into one that takes the fast path where nothing observes a run."""
    return FastPathGraph.of(builder.compile(checkpointer=checkpointer, name=name))


def hooks_of(router: CompiledRouter) -> RouterHooks:
    """The functions that the application gave to a router; none for any other graph."""
    builder = router.builder
    return builder.hooks if isinstance(builder, RouterBuilder) else RouterHooks()
