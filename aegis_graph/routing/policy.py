"""Which providers may be asked, in which order, and why: no clock, no network, no ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.pricing.money import usd_text
from aegis_graph.request.request import Request
from aegis_graph.routing.health import Unavailable
from aegis_graph.types import LOCAL_ONLY, Sensitivity, SkipCode, SkippedRecord, asked_as


class ProviderState(NamedTuple):
    """A provider as it is now."""

    spec: ProviderSpec
    missing_key: str | None = None
    """Name of the environment variable that has no key, where one is needed."""
    missing_package: str | None = None
    """The line that installs what the provider needs."""
    takes_tools: bool = True
    takes_schema: bool = True
    refused_option: str | None = None
    """The option of the request that the provider cannot be given, if there is one."""
    unavailable: Unavailable | None = None
    fetches_images: bool = True
    """Whether it gets an image from an https address by itself."""
    passed_over: str | None = None
    """Why what the request chooses leaves it out."""


class Candidate(NamedTuple):
    """A provider that may serve the request.

    Example:
        >>> def policy(candidates, skipped, request):
        ...     return sorted(candidates, key=lambda one: one.spec.location != "local")
    """

    spec: ProviderSpec
    reason: str
    expected_nano_usd: int | None = None
    """What an answer is expected to cost, where the order is not that of the list."""
    tier: str | None = None
    """The tier at half the price that it is asked in; ``None`` for its usual one."""
    wait_s: float | None = None
    """How long the request waits there, in seconds."""

    @property
    def asked_as(self) -> str:
        """The provider's name, with the tier where there is one."""
        return asked_as(self.spec.name, self.tier)


class MostCost(NamedTuple):
    """The most that one call may cost, in nano-USD."""

    nano_usd: int
    least_nano_usd: int
    """The same with an answer of one token."""
    output_cap: int
    """Most tokens of the answer."""


class ProviderPlan(NamedTuple):
    """The candidates in the order in which they are asked, and the others with their reasons."""

    candidates: list[Candidate]
    skipped: list[SkippedRecord]


def may_receive(spec: ProviderSpec, sensitivity: Sensitivity) -> bool:
    """Whether data of this sensitivity may go where the provider is."""
    return spec.location == "local" or sensitivity not in LOCAL_ONLY


def make_plan(request: Request, chain: Sequence[ProviderState]) -> ProviderPlan:
    """Decide which providers may be asked.

    >>> from aegis_graph.config.defaults import DEFAULT_PROVIDERS
    >>> from langchain_core.messages import HumanMessage
    >>> asked = {"messages": [HumanMessage("Is Ada ill?")], "sensitivity": "pii"}
    >>> chain = [ProviderState(spec) for spec in DEFAULT_PROVIDERS]
    >>> plan = make_plan(Request.from_state(asked, {}), chain)
    >>> [candidate.spec.name for candidate in plan.candidates]
    ['ollama']
    """
    plan = ProviderPlan([], [])
    for state in chain:
        skip = _reason_to_skip(request, state)
        if skip is None:
            reason = f"{state.spec.location}, candidate {len(plan.candidates) + 1}"
            plan.candidates.append(Candidate(state.spec, reason))
        else:
            plan.skipped.append(skip)
    return plan


def _reason_to_skip(request: Request, state: ProviderState) -> SkippedRecord | None:
    for rule in _RULES:
        found = rule(request, state)
        if found is not None:
            return found
    return None


def _privacy(request: Request, now: ProviderState) -> SkippedRecord | None:
    if may_receive(now.spec, request.sensitivity):
        return None
    return skip(now.spec, "privacy", f"{request.sensitivity} data stays on local providers")


def _task(request: Request, now: ProviderState) -> SkippedRecord | None:
    if now.spec.tasks is None or request.task in now.spec.tasks:
        return None
    return skip(now.spec, "task", f"serves {', '.join(now.spec.tasks)} only, not {request.task}")


def _images(request: Request, now: ProviderState) -> SkippedRecord | None:
    if not request.has_images:
        return None
    if not now.spec.images:
        return skip(now.spec, "images", "takes no images")
    if request.has_remote_images and not now.fetches_images:
        return skip(now.spec, "images", "takes images in the message only, not at an address")
    return None


def _tools(request: Request, now: ProviderState) -> SkippedRecord | None:
    if now.takes_tools or not request.options.get("tools"):
        return None
    return skip(now.spec, "tools", "takes no tools")


def _schema(request: Request, now: ProviderState) -> SkippedRecord | None:
    if now.takes_schema or "response_schema" not in request.options:
        return None
    return skip(now.spec, "schema", "cannot answer in a schema")


def _option(request: Request, now: ProviderState) -> SkippedRecord | None:
    if now.refused_option is None:
        return None
    return skip(now.spec, "option", f"takes no {now.refused_option}")


def _choice(request: Request, now: ProviderState) -> SkippedRecord | None:
    return None if now.passed_over is None else skip(now.spec, "choice", now.passed_over)


def _package(request: Request, now: ProviderState) -> SkippedRecord | None:
    if now.missing_package is None:
        return None
    return skip(now.spec, "package", f"needs: {now.missing_package}")


def _key(request: Request, now: ProviderState) -> SkippedRecord | None:
    if now.missing_key is None:
        return None
    return skip(now.spec, "key", f"no key: {now.missing_key} is not set")


def _health(request: Request, now: ProviderState) -> SkippedRecord | None:
    if now.unavailable is None:
        return None
    return skip(now.spec, *now.unavailable)


# The first rule that applies gives the reason: what no repair changes comes before a missing key,
# and that before a cooldown, so that a caller does not mend what cannot help.
_RULES: tuple[Callable[[Request, ProviderState], SkippedRecord | None], ...] = (
    _privacy,
    _task,
    _images,
    _tools,
    _schema,
    _option,
    _choice,
    _package,
    _key,
    _health,
)


def within_price(
    plan: ProviderPlan, request: Request, most_cost: Callable[[Candidate], MostCost]
) -> ProviderPlan:
    """The plan without those whose call may cost more than the request allows for one.

    Args:
        plan: Who may be asked otherwise.
        request: The request, with its limit if it has one.
        most_cost: Says what a call may cost.
    """
    limit = request.max_price_nano_usd
    if limit is None:
        return plan
    within = ProviderPlan([], [*plan.skipped])
    for candidate in plan.candidates:
        cost = most_cost(candidate)
        if cost.nano_usd <= limit:
            within.candidates.append(candidate)
        else:
            within.skipped.append(passed_over(candidate, "price", _too_dear(cost, limit)))
    return within


def _too_dear(cost: MostCost, limit_nano_usd: int) -> str:
    most, limit = usd_text(cost.nano_usd), usd_text(limit_nano_usd)
    reason = f"a call may cost up to ${most}, more than the max_price_usd of ${limit}"
    if cost.least_nano_usd > limit_nano_usd:
        return reason
    return f"{reason}; a max_output_tokens below {cost.output_cap:,} may make it fit"


def out_of_time(plan: ProviderPlan, reason: str) -> ProviderPlan:
    """The plan of a request whose time is over: no one is asked any more."""
    late = [passed_over(candidate, "timeout", reason) for candidate in plan.candidates]
    return ProviderPlan([], [*plan.skipped, *late])


def skip(spec: ProviderSpec, code: SkipCode, reason: str, tier: str | None = None) -> SkippedRecord:
    """The record of a provider that is not asked, or of one of its tiers."""
    record = SkippedRecord(provider=spec.name, model=spec.model, code=code, reason=reason)
    return record if tier is None else {**record, "tier": tier}


def passed_over(candidate: Candidate, code: SkipCode, reason: str) -> SkippedRecord:
    """The record of a candidate that is not asked after all."""
    return skip(candidate.spec, code, reason, candidate.tier)
