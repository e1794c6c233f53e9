"""One line of the log for each request, and one for each attempt that failed.

Neither has anything of a prompt, of an answer or of a key in it. The fields stand in ``extra``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from aegis_graph.pricing.money import usd_text
from aegis_graph.request.request import Request
from aegis_graph.telemetry.facts import CallFacts, EndedCall
from aegis_graph.types import LOCAL_ONLY

logger = logging.getLogger("aegis_graph.requests")


def is_on() -> bool:
    """Whether anything reads these lines."""
    return logger.isEnabledFor(logging.INFO)


def log_request(
    request: Request | None,
    route_id: str,
    calls: Sequence[tuple[CallFacts, EndedCall]],
    status: str,
    error: BaseException | None,
    *,
    seconds: float,
) -> None:
    """Say how a request ended.

    Args:
        request: What was asked; ``None`` where it could not be read.
        route_id: Its identifier.
        calls: Every attempt.
        status: ``answered``, ``failed``, ``cancelled`` or ``paused``.
        error: With which it failed.
        seconds: How long it took.
    """
    if not is_on():
        return
    settled = [outcome.settlement for _, outcome in calls]
    last = calls[-1][0] if calls else None
    cost = usd_text(sum(one["cost_nano_usd"] for one in settled))
    extra = {
        "event": "request",
        **_facts(request, route_id),
        "status": status,
        "error_type": None if error is None else type(error).__name__,
        "provider": None if last is None else last.provider,
        "model": None if last is None else last.model,
        "attempts": len(calls),
        "input_tokens": sum(one["input_tokens"] or 0 for one in settled),
        "output_tokens": sum(one["output_tokens"] or 0 for one in settled),
        "cost_usd": cost,
        "cost_basis": sorted({one["cost_basis"] for one in settled}),
        "duration_ms": round(seconds * 1000),
    }
    by = "" if last is None else f" by {last.provider}"
    why = "" if error is None else f" ({type(error).__name__})"
    logger.info(
        "request %s %s%s%s in %d ms, attempts: %d, $%s",
        route_id or "?",
        status,
        by,
        why,
        extra["duration_ms"],
        len(calls),
        cost,
        extra=extra,
    )


def log_failed_attempt(
    request: Request | None, route_id: str, facts: CallFacts, outcome: EndedCall
) -> None:
    """Say why an attempt failed."""
    if not is_on():
        return
    settled = outcome.settlement
    # The provider's words have been cleaned of the prompt; of a private request none are repeated.
    private = request is None or request.sensitivity in LOCAL_ONLY
    reason = "" if private else outcome.reason
    logger.info(
        "attempt %d of request %s failed at %s: %s%s",
        facts.number,
        route_id,
        facts.provider,
        settled["error_type"],
        f": {reason}" if reason else "",
        extra={
            "event": "attempt_failed",
            **_facts(request, route_id),
            "attempt": facts.number,
            "provider": facts.provider,
            "model": facts.model,
            "error_type": settled["error_type"],
            "reason": reason,
            "cost_usd": usd_text(settled["cost_nano_usd"]),
            "cost_basis": settled["cost_basis"],
            "duration_ms": settled["latency_ms"],
        },
    )


def _facts(request: Request | None, route_id: str) -> dict[str, Any]:
    if request is None:
        return {"route_id": route_id}
    return {
        "route_id": route_id,
        "task": request.task,
        "sensitivity": request.sensitivity,
        "run_id": request.run_id,
        "thread_id": request.thread_id,
    }
