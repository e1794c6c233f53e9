"""What an HTTP status and a provider's own code mean."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    ContextTooLongError,
    MalformedAnswerError,
    ModelAccessError,
    ProviderError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
)

OPENAI_CODES: Mapping[str, type[ProviderError]] = {
    "billing_hard_limit_reached": QuotaError,
    "content_filter": ContentRefusedError,
    "content_policy_violation": ContentRefusedError,
    "context_length_exceeded": ContextTooLongError,
    "insufficient_quota": QuotaError,
    "invalid_prompt": BadRequestError,
    "model_not_found": ModelAccessError,
}
"""Source: https://platform.openai.com/docs/guides/error-codes; most compatible servers use them."""

_BY_STATUS: Mapping[int, type[ProviderError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: QuotaError,
    403: ModelAccessError,
    404: ModelAccessError,
    408: ProviderUnavailableError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
}


def error_for_status(
    status: int, *, code: str | None = None, retry_after: str | None = None
) -> ProviderError:
    """The error that an HTTP status means where the provider gave no better code."""
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = ProviderUnavailableError if status >= 500 else MalformedAnswerError
    text = f"HTTP {status}" + (f" ({code})" if code else "")
    return kind(text, status=status, code=code, retry_after_s=seconds_to_wait(retry_after))


def seconds_to_wait(header: str | None) -> float | None:
    """A ``Retry-After`` header in seconds; ``None`` where it is absent or not a number.

    The header's date form is not read: no provider of this package sends it.
    """
    try:
        seconds = float(header) if header else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None
