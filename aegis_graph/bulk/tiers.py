"""The tiers at half the price that a job can be run in: what each needs of its graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

from langgraph.pregel import Pregel

from aegis_graph.bulk.batch.lines import LineWriter
from aegis_graph.errors import ConfigError, InvalidRequestError
from aegis_graph.routing.assembly import RouterBuilder
from aegis_graph.routing.fast_path import FastPathGraph

BulkTier = Literal["flex", "batch"]
TIERS: tuple[BulkTier, ...] = get_args(BulkTier)

FLEX_WAIT_S = 900.0
"""For how long a request of a job waits for its provider's tier at half the price, where nothing
nearer says it: OpenAI's guide to flex processing has a client wait for 15 minutes."""


def choices_of(tier: BulkTier | None, graph: object) -> dict[str, Any]:
    """What a tier adds to the choices of each item.

    Args:
        tier: ``flex``, ``batch`` or nothing.
        graph: That the items are run by.

    Raises:
        InvalidRequestError: There is no such tier, or the graph cannot be run in it.
        ConfigError: No provider of the graph's router has it.

    Example:
        >>> choices_of(None, None)
        {}
    """
    if tier is None:
        return {}
    if tier not in TIERS:
        raise InvalidRequestError(f"tier: {tier!r} is unknown; use one of {', '.join(TIERS)}")
    if tier == "batch":
        writer_of(graph)
        return {}
    routers = list(_routers_in(graph))
    rows = [row for router in routers for row in router.providers]
    if routers and not any(row.waiting for row in rows):
        names = ", ".join(row.spec.name for row in rows)
        raise ConfigError(f'tier="flex": none of {names} says half_price = true; say it of one')
    return {"max_wait_s": FLEX_WAIT_S}


def batch_router(graph: object) -> FastPathGraph:
    """A graph whose items are requests, so that all of them are known before it runs.

    Raises:
        InvalidRequestError: It is another one.
    """
    if isinstance(graph, FastPathGraph):
        return graph
    raise InvalidRequestError(
        'tier="batch" needs each request before the first is sent, and this graph makes its'
        ' own while it runs: use tier="flex", or give the job the router itself'
    )


def writer_of(graph: object) -> LineWriter:
    """What writes the requests of a graph as lines of batches.

    Raises:
        InvalidRequestError: The graph's requests are not known before it runs.
        ConfigError: None of its providers takes batches.
    """
    writer = LineWriter(batch_router(graph))
    if not writer.providers:
        raise ConfigError(f'tier="batch": {writer.why_none()}')
    return writer


def _routers_in(graph: object) -> Iterator[RouterBuilder]:
    """The routers that a graph is, or has as nodes."""
    builder = getattr(graph, "builder", None)
    if isinstance(builder, RouterBuilder):
        yield builder
    elif isinstance(graph, Pregel):
        for node in graph.nodes.values():
            yield from _routers_in(node.bound)
