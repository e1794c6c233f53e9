"""Tiers at half the price: which candidates have one, and how long a request waits there. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from aegis_graph.config.time_limits import TimeLimits
from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request
from aegis_graph.routing.health import Unavailable
from aegis_graph.routing.policy import Candidate, ProviderPlan, skip
from aegis_graph.types import AttemptRecord, SkippedRecord


def wait_s(provider: Provider, request: Request, attempts: Sequence[AttemptRecord]) -> float:
    """How long an attempt in a provider's tier at half the price may take, in seconds.

    Args:
        provider: In that tier.
        request: With the time that it can wait, all such attempts together.
        attempts: Those so far.
    """
    waited_ms = sum(row["latency_ms"] for row in attempts if "tier" in row)
    left_s = max(0.0, request.max_wait_s - waited_ms / 1000)
    whole_s = math.inf if request.timeout_s is None else request.timeout_s
    return min(left_s, provider.most_wait_s, whole_s)


def attempt_limits(
    provider: Provider, request: Request, attempts: Sequence[AttemptRecord]
) -> TimeLimits:
    """How long an attempt may take: what the row says, or what the request can wait."""
    limits = provider.spec.time_limits
    if provider.tier is None or provider.batch_files is not None:
        # The answer of a batch's line is there before it is asked for.
        return limits
    return TimeLimits(wait_s(provider, request, attempts), None, limits.idle_s)


def with_waiting_tiers(
    plan: ProviderPlan,
    request: Request,
    attempts: Sequence[AttemptRecord],
    *,
    excluded: Collection[str],
    waiting: Callable[[str], Provider | None],
    unavailable: Callable[[Provider], Unavailable | None],
) -> ProviderPlan:
    """The plan where each candidate with a tier at half the price is asked there first.

    Args:
        plan: Who may be asked otherwise.
        request: What is asked.
        attempts: Those so far.
        excluded: What is not asked again, as ``asked_as`` names it.
        waiting: Finds a provider in its tier at half the price, where it has one.
        unavailable: Says why such a tier is left alone for now, if it is.
    """
    if not request.max_wait_s:
        return plan
    wider = ProviderPlan([], [*plan.skipped])
    for candidate in plan.candidates:
        provider = waiting(candidate.spec.name)
        if provider is not None and provider.asked_as not in excluded:
            seconds = wait_s(provider, request, attempts)
            passed_over = _why_not(provider, seconds, unavailable(provider))
            if passed_over is None:
                wider.candidates.append(_at_half_price(candidate, provider, seconds))
            else:
                wider.skipped.append(passed_over)
        wider.candidates.append(candidate)
    return wider


def each_before_its_own(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Ranked candidates where each tier stands just before the provider whose tier it is.

    So an order that does not go by prices is one of the providers.
    """
    usual = {one.spec.name for one in candidates if one.tier is None}
    waiting = {one.spec.name: one for one in candidates if one.tier is not None}
    moved: list[Candidate] = []
    for one in candidates:
        if one.tier is None:
            moved += [waiting[one.spec.name], one] if one.spec.name in waiting else [one]
        elif one.spec.name not in usual:
            moved.append(one)
    return moved


def _at_half_price(candidate: Candidate, provider: Provider, seconds: float) -> Candidate:
    reason = f"{candidate.reason}, at half the price ({provider.tier}) for up to {seconds:g} s"
    return candidate._replace(reason=reason, tier=provider.tier, wait_s=seconds)


def _why_not(
    provider: Provider, seconds: float, unavailable: Unavailable | None
) -> SkippedRecord | None:
    spec, tier = provider.spec, provider.tier
    if seconds <= 0 or seconds < provider.least_wait_s:
        least_s = provider.least_wait_s
        needs = f"takes {least_s:g} s at least, and " if least_s else ""
        reason = f"its tier {tier} {needs}has {seconds:g} s of what the request can wait"
        return skip(spec, "wait", reason, tier)
    if provider.key_env and not provider.api_key():
        return skip(spec, "key", f"no key: {provider.key_env} is not set", tier)
    return None if unavailable is None else skip(spec, *unavailable, tier)
