"""Whether a provider is asked again after a failed attempt, and when. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import ProviderError
from aegis_graph.types import AttemptRecord, asked_as


def asked_last(attempts: Sequence[AttemptRecord]) -> str | None:
    """What the request has asked last, as ``asked_as`` names it."""
    return asked_as(attempts[-1]["provider"], attempts[-1].get("tier")) if attempts else None


def is_retry(attempts: Sequence[AttemptRecord], provider: str) -> bool:
    """Whether another attempt at the provider would follow one of its own.

    The request has then waited as long as the provider asked for.
    """
    return asked_last(attempts) == provider


def retry_wait_s(
    error: ProviderError,
    spec: ProviderSpec,
    attempts: Sequence[AttemptRecord],
    *,
    longest_s: float,
) -> float | None:
    """How long to wait until a provider may be asked again, in seconds.

    Args:
        error: How its attempt failed.
        spec: How often it may be asked, and the first wait where it names none itself.
        attempts: The request's attempts before this one.
        longest_s: The longest wait for which a request is kept, in seconds.

    Returns:
        ``None`` where this request does not ask it again.
    """
    tries = sum(row["provider"] == spec.name and "tier" not in row for row in attempts)
    again = error.should_retry
    if again is None:
        # Without a status no answer says that the work was not done.
        again = error.retryable and error.status is not None
    # What may be billed already is not bought twice, whatever the provider says.
    if not again or error.outcome_unknown or tries >= spec.max_retries:
        return None
    wait_s = error.retry_after_s
    if wait_s is None:
        wait_s = spec.retry_wait_s * 2**tries
    return wait_s if wait_s <= longest_s else None
