"""Refusals in the form that OpenAI's clients understand."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from aegis_graph.errors import LedgerError

logger = logging.getLogger(__name__)

TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    421: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
}
"""The error's ``type`` by status; ``server_error`` for any other."""


def error_body(
    status: int, message: str, *, code: str | None, param: str | None = None
) -> dict[str, Any]:
    """The body of a refusal, which is an event's data in the middle of a stream."""
    kind = TYPES.get(status, "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refusal(
    status: int,
    message: str,
    *,
    code: str | None = None,
    param: str | None = None,
    retry_after_s: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A refusal.

    Args:
        status: The HTTP status.
        message: One line: what is wrong, and what to do.
        code: A word for programs.
        param: The parameter that it is about.
        retry_after_s: When it may be tried again, in seconds; the header has it in whole ones.
        headers: More headers.
    """
    more = dict(headers or {})
    if retry_after_s is not None:
        more["retry-after"] = str(max(1, math.ceil(retry_after_s)))
    return JSONResponse(
        error_body(status, message, code=code, param=param), status_code=status, headers=more
    )


def ledger_refusal(error: LedgerError) -> JSONResponse:
    """The refusal where the ledger cannot be used; the log has the path and the reason."""
    logger.error("the ledger cannot be used: %s", error)
    return refusal(
        503, "the ledger cannot be used; see the server's log", code="ledger_unavailable"
    )
