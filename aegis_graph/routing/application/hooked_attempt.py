"""What the application's functions do to one attempt: before it, and after it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import cast

from langchain_core.messages import BaseMessage

from aegis_graph.config.specs import EmbeddingSpec
from aegis_graph.errors import AttemptRefusedError, InvalidRequestError
from aegis_graph.providers.base import Provider
from aegis_graph.request.request import Request
from aegis_graph.routing.application.hooks import (
    AfterAttempt,
    BeforeAttempt,
    HookCall,
    OutgoingAttempt,
    SettledAttempt,
    notify,
)
from aegis_graph.routing.reservation import bound_of, hold_for
from aegis_graph.routing.route import AdmittedHold
from aegis_graph.routing.state import RouterState
from aegis_graph.types import AttemptRecord, SettlementRecord


async def checked_by_hook(
    hook: BeforeAttempt,
    provider: Provider,
    request: Request,
    state: RouterState,
    hold: AdmittedHold,
) -> Request:
    """The request as the application lets this provider have it.

    Raises:
        AttemptRefusedError: The provider is not to be asked, or the reservation is too small for
            what the function made of the request.
        HookError: The function failed, or returned what it may not.
    """
    call = HookCall("before_attempt", state)
    offered = _outgoing(provider, request, state, hold)
    returned = await call.result(hook, offered)
    if returned is None:
        returned = offered
    if not isinstance(returned, OutgoingAttempt):
        raise call.error(f"returned {type(returned).__name__}; return the attempt, or None")
    kept = replace(returned, messages=offered.messages)
    if kept != replace(offered, options=request.options):
        raise call.error("only the messages of an attempt can be changed")
    messages = list(returned.messages)
    if messages == list(request.messages):
        return request
    if isinstance(provider.spec, EmbeddingSpec):
        messages = _as_named(messages, request.messages, call)
    try:
        changed = request.with_messages(messages)
    except InvalidRequestError as error:
        raise call.error(str(error)) from error
    if len(changed.images) > len(request.images):
        raise call.error("added an image")
    at = datetime.fromisoformat(hold["admitted_at"])
    needed = hold_for(provider, changed, state["route_id"], offered.attempt, at=at).nano_usd
    if needed > hold["nano_usd"]:
        raise AttemptRefusedError("before_attempt made the prompt larger than its reservation")
    return changed


def _outgoing(
    provider: Provider, request: Request, state: RouterState, hold: AdmittedHold
) -> OutgoingAttempt:
    return OutgoingAttempt(
        provider=provider.spec.name,
        model=provider.spec.model,
        location=provider.spec.location,
        task=request.task,
        sensitivity=request.sensitivity,
        user_id=request.user_id,
        run_id=request.run_id,
        tags=dict(request.tags),
        route_id=state["route_id"],
        attempt=len(state["attempts"]) + 1,
        hold_nano_usd=hold["nano_usd"],
        messages=[message.model_copy(deep=True) for message in request.messages],
        options=deepcopy(request.options),
        max_output_tokens=bound_of(provider, request).output_cap,
    )


def _as_named(
    messages: Sequence[BaseMessage], asked: Sequence[BaseMessage], call: HookCall
) -> list[BaseMessage]:
    """Texts to embed under the names that say what they are for; each has a vector of its own."""
    if len(messages) != len(asked):
        raise call.error(f"{len(asked)} texts are to be embedded, and {len(messages)} were left")
    return [
        text.model_copy(update={"name": former.name})
        for text, former in zip(messages, asked, strict=True)
    ]


async def report_settled(
    hook: AfterAttempt,
    request: Request,
    state: RouterState,
    record: AttemptRecord,
    settlement: SettlementRecord,
) -> None:
    """Tell the application of an attempt of which the ledger has the cost."""
    if (settlement["status"], settlement["cost_basis"]) == ("cancelled", "none"):
        # A reservation that was given back: no call was made under it.
        return
    answer = state.get("answer")
    if answer is not None and answer.response_metadata.get("attempt") != record["attempt"]:
        answer = None
    settled = SettledAttempt(
        record=cast(AttemptRecord, dict(record)),
        route_id=state["route_id"],
        sensitivity=request.sensitivity,
        user_id=request.user_id,
        run_id=request.run_id,
        tags=dict(request.tags),
        cost_nano_usd=settlement["cost_nano_usd"],
        input_tokens=settlement["input_tokens"],
        output_tokens=settlement["output_tokens"],
        cached_input_tokens=settlement["cached_input_tokens"],
        reasoning_tokens=settlement["reasoning_tokens"],
        answer=None if answer is None else answer.model_copy(deep=True),
    )
    await notify("after_attempt", hook, settled)
