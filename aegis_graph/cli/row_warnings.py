"""What of a provider's row cannot work as it is, as far as can be seen without buying anything."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.base import Provider
from aegis_graph.providers.probe import Probe


def row_warnings(provider: Provider, probe: Probe) -> Iterator[str]:
    """Each fault of a row in a line.

    Args:
        provider: Built from the row.
        probe: What its server said.
    """
    spec = provider.spec
    whole_s = spec.time_limits.whole_s
    for key in ("first_token_timeout_s", "idle_timeout_s"):
        limit_s: float | None = getattr(spec, key)
        if limit_s is not None and limit_s > whole_s:
            yield f"{key} = {limit_s:g} never counts: the whole has {whole_s:g} s"
    yield from _price_gaps(provider)
    context = provider.context_length or probe.context_length
    cap = provider.output_bound(spec.max_output_tokens)
    if context is not None and cap >= context:
        yield (
            f"its context of {context:,} tokens has no room for a prompt beside an answer of"
            f" {cap:,}: lower max_output_tokens"
        )


def _price_gaps(provider: Provider) -> Iterator[str]:
    """What the row asks for and its price does not have."""
    cost, tier = provider.price.cost, provider.service_tier
    if not cost(TokenUsage(1, 1), service_tier=tier).exact:
        yield f"no price of service tier {tier} is known: costs are estimated by the standard one"
    for_an_hour = TokenUsage(1, 1, cache_write_tokens=1, cache_write_1h_tokens=1)
    if "cache_write_1h" in provider.input_kinds and not cost(for_an_hour).exact:
        yield "no price of input that is cached for an hour is known: its cost is estimated"
