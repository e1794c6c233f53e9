"""The most that an attempt can cost, as the hold that is reserved before it."""

from __future__ import annotations

from aegis_graph.ledger.records import Hold, RequestFacts
from aegis_graph.pricing.money import to_nano_usd
from aegis_graph.pricing.prices import most_usd
from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request

LEASE_MARGIN_S = 60.0
"""Time beyond an attempt's own limit before its hold counts as lost, in seconds."""


def output_cap(provider: Provider, request: Request) -> int:
    """The output cap that is really sent."""
    return request.max_output_tokens or provider.spec.max_output_tokens


def input_bound(provider: Provider, request: Request) -> int:
    """The most input tokens that the request can be for this provider, images included."""
    images = sum(provider.image_bound(image.size) for image in request.images)
    return request.prompt_tokens + images


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
    )


def hold_for(provider: Provider, request: Request, route_id: str, attempt: int) -> Hold:
    """The reservation that an attempt at this provider needs."""
    spec = provider.spec
    output = provider.output_bound(output_cap(provider, request))
    return Hold(
        request=request_facts(request, route_id),
        attempt=attempt,
        provider=spec.name,
        model=spec.model,
        nano_usd=to_nano_usd(most_usd(provider.price, input_bound(provider, request), output)),
        lease_s=spec.timeout_s + LEASE_MARGIN_S,
        run_limit_nano_usd=request.run_limit_nano_usd,
    )
