"""A request in progress, and how each step changes it: pure functions, each with a new route.

What the caller is given too (the attempts, the skipped providers, the id) stands in the state.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NotRequired

from typing_extensions import TypedDict

from aegis_graph.routing.budget_question import BudgetQuestion
from aegis_graph.types import SettlementRecord, SkippedRecord


class AdmittedHold(TypedDict):
    """A reservation that the ledger has made and no attempt has used yet."""

    id: int
    """The ledger's row."""
    nano_usd: int
    """The most that the attempt can cost."""
    admitted_at: str
    """When that was decided, in ISO 8601: prices by the hour do not change on the way."""
    tier: NotRequired[str]
    """The tier at half the price that it is for; absent for the provider's usual one."""
    queued_ms: NotRequired[int]
    """How long the request has waited for it; absent where no limit is in force for it."""


def admitted_hold(
    hold_id: int,
    nano_usd: int,
    now: datetime,
    tier: str | None = None,
    queued_ms: int | None = None,
) -> AdmittedHold:
    """A reservation that the ledger has just made."""
    hold = AdmittedHold(id=hold_id, nano_usd=nano_usd, admitted_at=now.isoformat())
    if tier is not None:
        hold["tier"] = tier
    if queued_ms is not None:
        hold["queued_ms"] = queued_ms
    return hold


class Route(TypedDict):
    """A request in progress. It exists from ``budget_check`` to ``record_cost`` only."""

    choices: dict[str, Any]
    """What protects the caller of this request; a resumed run may bring less, and loses nothing."""
    excluded: list[str]
    """What is not asked again for this request: providers, and tiers as ``asked_as`` names them."""
    refusals: list[SkippedRecord]
    """Those among them that a hook of the application refused."""
    hold: AdmittedHold | None
    """The reservation of the attempt to make next."""
    reason: str
    """Why the next provider was chosen."""
    pending: list[SettlementRecord]
    """What just ended, until the ledger has it: the last attempts, or one unused hold."""
    retry_after_s: float
    """How long to wait before the next attempt, in seconds."""
    broken_off: str | None
    """What the caller was given of an answer that broke off, where that ends the request."""
    free_in_s: NotRequired[float | None]
    """When a limit that was full has room again, in seconds, where that is known."""
    refused_because: NotRequired[list[str]]
    """Why checks refused answers, where the model that is asked next is to know it."""
    question: NotRequired[BudgetQuestion | None]
    """What a person is asked before anything else happens."""
    no_approval: NotRequired[str]
    """Why no more may be spent than the budgets have, where that was asked."""
    waited_s: NotRequired[dict[str, float]]
    """How long the request has waited for each provider's limits, in seconds."""
    hedged: NotRequired[bool]
    """Whether two of its attempts ran at once."""


def new_route() -> Route:
    """A request for which no provider was asked yet."""
    return Route(
        choices={},
        excluded=[],
        refusals=[],
        hold=None,
        reason="",
        pending=[],
        retry_after_s=0.0,
        broken_off=None,
    )


def with_choices(route: Route, choices: dict[str, Any]) -> Route:
    """The request was read, with the choices that it begins with."""
    return {**route, "choices": choices}


def settled(route: Route) -> Route:
    """The ledger has the attempt that ended, and any wait before the next one is over."""
    return {**route, "hold": None, "pending": [], "retry_after_s": 0.0}


def asked_again(route: Route) -> Route:
    """The request ended without an answer, and may ask every provider anew."""
    return {**route, "excluded": [], "retry_after_s": 0.0}


def full(route: Route, free_in_s: float | None) -> Route:
    """No provider was admitted; ``free_in_s`` is when the first limit has room again."""
    return {**route, "free_in_s": free_in_s}


def questioned(route: Route, question: BudgetQuestion) -> Route:
    """A person is asked whether more may be spent."""
    return {**route, "question": question}


def not_approved(route: Route, reason: str) -> Route:
    """No more may be spent."""
    return {**route, "question": None, "no_approval": reason}


def waited(route: Route, waited_s: dict[str, float]) -> Route:
    """The request has waited for providers, each so many seconds in all."""
    return {**route, "waited_s": waited_s} if waited_s else route


def admitted(route: Route, hold: AdmittedHold, reason: str) -> Route:
    """The next attempt has its reservation."""
    return {**settled(route), "hold": hold, "reason": reason}


def attempted(
    route: Route,
    settlement: SettlementRecord,
    *,
    exclude: str | None = None,
    retry_after_s: float = 0.0,
    broken_off: str | None = None,
) -> Route:
    """An attempt has ended, and its settlement waits for the ledger.

    Args:
        route: The request when the attempt began.
        settlement: What the attempt's reservation turned into.
        exclude: A provider that is not asked again for this request.
        retry_after_s: How long to wait before the next attempt, in seconds.
        broken_off: What the caller has of an answer that broke off, where that ends the request.
    """
    return {
        **_without(route, exclude),
        "hold": None,
        "pending": [*pending(route), settlement],
        "retry_after_s": retry_after_s,
        "broken_off": broken_off if broken_off is not None else route["broken_off"],
    }


def refused(
    route: Route,
    settlement: SettlementRecord,
    provider: str,
    *,
    tell_model: str | None = None,
) -> Route:
    """A check refused the answer of an attempt, which has failed after all.

    Args:
        route: The request when its last step ended.
        settlement: What takes the place of the attempt's settlement.
        provider: It is not asked again for this request.
        tell_model: The reason, where the model that is asked next is to know it.
    """
    hold_id = settlement["hold_id"]
    return {
        **_without(route, provider),
        "pending": [settlement if one["hold_id"] == hold_id else one for one in pending(route)],
        "refused_because": [*refused_because(route), *([] if tell_model is None else [tell_model])],
    }


def hedged(route: Route) -> Route:
    """A second attempt was sent beside one that took long, which a request does once."""
    return {**route, "hedged": True}


def beside(route: Route, provider: str, reason: str) -> Route:
    """The request as an attempt sees it that runs beside another provider's.

    Args:
        route: The request when the other attempt began.
        provider: The other provider, which is not asked twice at once.
        reason: Why there are two.
    """
    return {**_without(route, provider), "hold": None, "reason": reason}


def declined(
    route: Route,
    unused: SettlementRecord | None,
    *,
    exclude: str | None = None,
    refusal: SkippedRecord | None = None,
) -> Route:
    """An attempt was not made after all.

    Args:
        route: The request when the attempt was to begin.
        unused: The settlement of its reservation, where it had one.
        exclude: A provider that is not asked again, whatever the next plan finds.
        refusal: Why not, where a hook of the application says so.
    """
    onward = _without(route, exclude)
    if refusal is not None:
        onward = {**_without(onward, refusal["provider"]), "refusals": [*refusals(route), refusal]}
    return {**onward, "hold": None, "pending": [] if unused is None else [unused]}


def pending(route: Route) -> list[SettlementRecord]:
    """What the ledger does not have yet."""
    found: Any = route["pending"]
    # A run that an older version began has one, or none.
    return found if isinstance(found, list) else [found] if found else []


def refusals(route: Route) -> list[SkippedRecord]:
    """The providers that a hook of the application refused, each with its reason."""
    # A run that an older version began has none.
    return route.get("refusals", [])


def refused_because(route: Route | None) -> list[str]:
    """Why earlier answers were refused, for the model that is asked next."""
    return [] if route is None else route.get("refused_because", [])


def _without(route: Route, provider: str | None) -> Route:
    names = [] if provider is None else [provider]
    return {**route, "excluded": [*route["excluded"], *names]}
