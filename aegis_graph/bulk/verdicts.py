"""Whose fault it is that an item has no result: its own, the money's, the providers'. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from aegis_graph.errors import (
    AllProvidersFailedError,
    AuthenticationError,
    BudgetExceededError,
    LedgerError,
    LimitExceededError,
    ModelAccessError,
    ModelLoadingError,
    NoProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
    StoreError,
    WorkerLostError,
)

VerdictKind = Literal["own", "money", "outage", "crowded", "lost"]
"""Whose fault it is that an item has no result: its own, or that of the money, of the providers, of
a limit that is full, or of a worker that is gone."""

_OUTAGES = frozenset(
    kind.__name__
    for kind in (
        AuthenticationError,
        ModelAccessError,
        ModelLoadingError,
        ProviderTimeoutError,
        ProviderUnavailableError,
        QuotaError,
        RateLimitError,
    )
)
"""How attempts fail when a provider is down, for this account or for all."""

_NOT_ABOUT_THE_REQUEST = frozenset({"cooldown", "verdict", "key", "package"})
"""Why a provider is passed over whatever the request is."""


class Verdict(NamedTuple):
    """Whose fault it is that an item has no result."""

    kind: VerdictKind
    is_doubtful: bool = False
    """Whether it may be the item's all the same."""
    wait_s: float | None = None
    """When it may be tried again, in seconds, where that is known."""


def verdict(error: Exception, *, others_succeed: bool) -> Verdict:
    """What an error says.

    Args:
        error: Ended the item.
        others_succeed: Whether other items got their results while this one ran: then the
            providers are not down.

    Example:
        >>> verdict(ValueError("no such city"), others_succeed=False).kind
        'own'
    """
    if isinstance(error, BudgetExceededError):
        return Verdict("own" if _is_own_envelope(error.skipped) else "money")
    if isinstance(error, LimitExceededError):
        return Verdict("crowded", wait_s=error.retry_after_s)
    if isinstance(error, WorkerLostError):
        return Verdict("lost")
    if isinstance(error, LedgerError | StoreError):
        return Verdict("outage")
    if isinstance(error, NoProviderError):
        codes = {row.get("code") for row in error.skipped}
        return Verdict("outage" if codes & _NOT_ABOUT_THE_REQUEST else "own")
    if isinstance(error, AllProvidersFailedError) and not others_succeed:
        kinds = {row.get("error_type") for row in error.attempts}
        if kinds and kinds <= _OUTAGES:
            return Verdict("outage", is_doubtful=True)
    return Verdict("own")


def verdict_by_name(names: set[str], *, others_succeed: bool) -> Verdict | None:
    """What the errors say that a graph met and answered without a model; ``None`` for nothing.

    Args:
        names: The classes of the errors, as the ledger has them.
        others_succeed: As for ``verdict``.
    """
    if BudgetExceededError.__name__ in names:
        return Verdict("money")
    if LimitExceededError.__name__ in names:
        return Verdict("crowded")
    if others_succeed:
        return None
    if names & {AllProvidersFailedError.__name__, NoProviderError.__name__}:
        return Verdict("outage", is_doubtful=True)
    return None


def error_line(error: BaseException) -> str:
    """An error in one line, with its class where its message alone says little."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}"[:2000] if text else name


def _is_own_envelope(skipped: Sequence[Mapping[str, Any]]) -> bool:
    """Whether only the envelope that the item's own input names is in the way."""
    reasons = [str(row.get("reason")) for row in skipped if row.get("code") == "budget"]
    return bool(reasons) and all(reason.startswith("budget run:") for reason in reasons)
