"""From this package's errors to refusals of HTTP."""

from __future__ import annotations

import logging
import re
from decimal import Decimal
from typing import Any, NamedTuple

from starlette.responses import JSONResponse

from aegis_graph.errors import (
    AegisError,
    AllProvidersFailedError,
    BudgetExceededError,
    InvalidRequestError,
    LedgerError,
    LimitExceededError,
    NoProviderError,
    RequestRejectedError,
    RoutingError,
    StreamInterruptedError,
)
from aegis_graph.server.refusals import error_body, ledger_refusal, refusal

logger = logging.getLogger(__name__)

COOLDOWN_RETRY_S = 5.0
"""What a caller is told to wait where every provider is left alone for now."""

_PARAM = re.compile(r"([a-z_]+(?:[.\[][\w.\[\]]*)?): ")
"""How this package's messages name what they are about."""

_PASSES = frozenset({"cooldown", "verdict", "timeout"})
"""Reasons that may be gone in a moment."""
_OF_THE_SERVER = frozenset({"key", "package"})
"""Reasons that the server's owner can mend, and no caller."""


class Meaning(NamedTuple):
    """What an error is for a client."""

    status: int
    code: str
    retry_after_s: float | None = None
    should_retry: bool | None = None
    """What OpenAI's clients are to do; ``None`` leaves it to them."""


def meaning_of_error(error: AegisError) -> Meaning:
    """The status and the word of an error."""
    if isinstance(error, BudgetExceededError):
        return Meaning(402, "budget_exceeded", should_retry=False)
    if isinstance(error, LimitExceededError):
        return Meaning(429, "rate_limit_exceeded", error.retry_after_s or 1.0)
    if isinstance(error, NoProviderError):
        return _no_provider(error)
    if isinstance(error, RequestRejectedError):
        too_long = {row["error_type"] for row in error.attempts} == {"ContextTooLongError"}
        return Meaning(400, "context_length_exceeded" if too_long else "request_rejected")
    if isinstance(error, AllProvidersFailedError):
        # The router has tried again already, and each try may have cost something.
        return Meaning(503, "all_providers_failed", should_retry=False)
    if isinstance(error, StreamInterruptedError):
        return Meaning(503, "stream_interrupted", should_retry=False)
    if isinstance(error, InvalidRequestError):
        return Meaning(400, "invalid_request")
    return Meaning(500, "internal_error", should_retry=False)


def _no_provider(error: NoProviderError) -> Meaning:
    codes = {row["code"] for row in error.skipped}
    if codes & _PASSES:
        return Meaning(503, "no_provider_available", COOLDOWN_RETRY_S)
    if codes <= _OF_THE_SERVER:
        return Meaning(503, "no_provider_available", should_retry=False)
    if "privacy" in codes:
        return Meaning(403, "no_private_provider")
    return Meaning(400, "no_provider_for_request")


def refusal_of(error: AegisError) -> JSONResponse:
    """The refusal that an error is."""
    if isinstance(error, LedgerError):
        return ledger_refusal(error)
    meaning, message = meaning_of_error(error), _message(error)
    headers: dict[str, str] = {}
    if isinstance(error, RoutingError):
        headers = {"x-request-id": error.route_id, "x-aegis-route-id": error.route_id}
        spent = sum((Decimal(row["cost_usd"]) for row in error.attempts), Decimal(0))
        headers["x-aegis-cost-usd"] = f"{spent:f}"
    if meaning.should_retry is not None:
        headers["x-should-retry"] = "true" if meaning.should_retry else "false"
    return refusal(
        meaning.status,
        message,
        code=meaning.code,
        param=_param(error),
        retry_after_s=meaning.retry_after_s,
        headers=headers,
    )


def error_event_body(error: Exception) -> dict[str, Any]:
    """The data of the event that ends a stream because of an error."""
    if not isinstance(error, AegisError):
        logger.error("a stream failed", exc_info=error)
        return error_body(500, "the server failed; its log says how", code="internal_error")
    if isinstance(error, LedgerError):
        logger.error("the ledger cannot be used: %s", error)
        return error_body(503, "the ledger cannot be used", code="ledger_unavailable")
    meaning = meaning_of_error(error)
    return error_body(meaning.status, _message(error), code=meaning.code, param=_param(error))


def _message(error: AegisError) -> str:
    if isinstance(error, InvalidRequestError | RoutingError):
        return str(error)
    # It may name a path or an address.
    logger.error("a request failed", exc_info=error)
    return "the server failed; its log says how"


def _param(error: AegisError) -> str | None:
    found = _PARAM.match(str(error)) if isinstance(error, InvalidRequestError) else None
    return found[1].removeprefix("options.") if found else None
