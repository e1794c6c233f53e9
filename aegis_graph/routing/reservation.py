"""The most that an attempt can cost, and the hold that is reserved for it before the call."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from aegis_graph.errors import RoutingError
from aegis_graph.ledger.limits import UnitLimit
from aegis_graph.ledger.records import FailedRequest, Hold, RequestFacts
from aegis_graph.ledger.scopes import tags_text
from aegis_graph.pricing.money import to_nano_usd
from aegis_graph.pricing.prices import most_usd
from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request
from aegis_graph.routing.policy import MostCost

LEASE_MARGIN_S = 60.0
"""Time beyond an attempt's own limit before its hold counts as lost, in seconds."""


class Bound(NamedTuple):
    """The most that one attempt can use."""

    input_tokens: int
    """Of the whole request, images included."""
    output_cap: int
    """The output cap that is really sent."""
    output_tokens: int
    """What the provider can bill under that cap."""


def bound_of(provider: Provider, request: Request) -> Bound:
    """The bound of an attempt at this provider."""
    images = sum(provider.image_bound(image.size) for image in request.images)
    input_tokens = request.prompt_tokens + images
    output_cap = request.max_output_tokens or provider.spec.max_output_tokens
    # The cap is sent with the call, which makes this the most that can be billed.
    output_tokens = provider.output_bound(output_cap)
    return Bound(input_tokens, output_cap, output_tokens)


def request_facts(request: Request, route_id: str) -> RequestFacts:
    """What the ledger's rows record of a request."""
    return RequestFacts(
        route_id=route_id,
        task=request.task,
        sensitivity=request.sensitivity,
        user_id=request.user_id,
        thread_id=request.thread_id,
        query_hash=request.query_hash,
        run_id=request.run_id,
        tags=tags_text(request.tags),
    )


def failed_request(request: Request, error: RoutingError) -> FailedRequest:
    """What the ledger records of a request that ends without an answer."""
    return FailedRequest(
        request=request_facts(request, error.route_id),
        error_type=type(error).__name__,
        reasons=str(error),
    )


def hold_for(
    provider: Provider,
    request: Request,
    route_id: str,
    attempt: int,
    *,
    at: datetime,
    limits: tuple[UnitLimit, ...] = (),
    expected_nano_usd: int | None = None,
    whole_s: float | None = None,
) -> Hold:
    """The reservation that an attempt at this provider needs which is admitted at this moment.

    Where a request waits for half the price, ``whole_s`` is how long that may take.
    """
    spec, bound = provider.spec, bound_of(provider, request)
    return Hold(
        request=request_facts(request, route_id),
        attempt=attempt,
        provider=spec.name,
        model=spec.model,
        nano_usd=_most_nano_usd(provider, request, bound, at),
        lease_s=(whole_s or spec.time_limits.whole_s) + LEASE_MARGIN_S,
        run_limit_nano_usd=request.run_limit_nano_usd,
        tokens=bound.input_tokens + bound.output_tokens,
        limits=limits,
        expected_nano_usd=expected_nano_usd,
    )


def most_cost(provider: Provider, request: Request, *, at: datetime) -> MostCost:
    """The most that an attempt at this provider can cost, and whether a shorter answer helps."""
    bound = bound_of(provider, request)
    least = bound._replace(output_tokens=provider.output_bound(1))
    return MostCost(
        _most_nano_usd(provider, request, bound, at),
        _most_nano_usd(provider, request, least, at),
        bound.output_cap,
    )


def _most_nano_usd(provider: Provider, request: Request, bound: Bound, at: datetime) -> int:
    most = most_usd(
        provider.price,
        bound.input_tokens,
        bound.output_tokens,
        at=at,
        service_tier=provider.service_tier,
        kinds=request.input_kinds | provider.input_kinds,
    )
    return to_nano_usd(most)
