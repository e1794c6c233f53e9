"""Why a request has no answer, as the error that its caller gets."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_graph.errors import (
    AllProvidersFailedError,
    BadRequestError,
    BudgetExceededError,
    ContentRefusedError,
    ContextTooLongError,
    LimitExceededError,
    NoProviderError,
    RejectedAnswerError,
    RequestRejectedError,
    RoutingError,
    StreamInterruptedError,
)
from aegis_graph.routing.state import RouterState, route_of
from aegis_graph.types import AttemptRecord, SkippedRecord, asked_as

_BROKE_OFF = "the answer broke off after its first words"

_REFUSALS = frozenset(
    error.__name__ for error in (BadRequestError, ContentRefusedError, ContextTooLongError)
)
"""How a provider refuses the request itself. Attempts are JSON: they have the error's name."""


def routing_error(state: RouterState) -> RoutingError:
    """The error of a request that has ended without an answer."""
    route = route_of(state)
    attempts, skipped = state["attempts"], state["skipped"]
    failed = [f"{_named(row)} failed ({row['error_type']}: {row['reason']})" for row in attempts]
    passed_over = [f"{_named(row)} not asked ({row['reason']})" for row in skipped]
    reasons = "; ".join([*failed, *passed_over])
    if route["broken_off"] is not None:
        refused = attempts[-1]["error_type"] == RejectedAnswerError.__name__
        what = "the answer was refused after it went out" if refused else _BROKE_OFF
        return StreamInterruptedError(
            f"{what}: {reasons}",
            route_id=state["route_id"],
            attempts=attempts,
            skipped=skipped,
            partial_text=route["broken_off"],
        )
    if not attempts and _of_limits(skipped):
        return LimitExceededError(
            f"no provider has room for it now: {reasons}",
            route_id=state["route_id"],
            skipped=skipped,
            retry_after_s=route.get("free_in_s"),
        )
    kind: type[RoutingError]
    last_words = {row["provider"]: row["error_type"] for row in attempts}
    late = any(row["code"] == "timeout" for row in skipped)
    if any(row["code"] == "budget" for row in skipped):
        kind, summary = BudgetExceededError, "no provider fits into its budget"
    elif attempts and not late and _REFUSALS.issuperset(last_words.values()):
        kind, summary = RequestRejectedError, "the request was rejected"
    elif attempts:
        kind = AllProvidersFailedError
        summary = "no provider answered in time" if late else "every provider failed"
    else:
        kind, summary = NoProviderError, "no provider may be asked"
    if (no_approval := route.get("no_approval")) is not None:
        reasons = f"{reasons}; {no_approval}"
    return kind(
        f"{summary}: {reasons}", route_id=state["route_id"], attempts=attempts, skipped=skipped
    )


def _named(row: AttemptRecord | SkippedRecord) -> str:
    return asked_as(row["provider"], row.get("tier"))


def _of_limits(skipped: Sequence[SkippedRecord]) -> bool:
    """Whether limits are why no provider was asked, and no budget is."""
    codes = {row["code"] for row in skipped}
    return "limit" in codes and "budget" not in codes
